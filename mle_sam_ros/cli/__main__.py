"""`python -m mle_sam_ros.cli`."""

import sys

from mle_sam_ros.cli.main import main

sys.exit(main())
