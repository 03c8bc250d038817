"""The perception node with an engine that takes no time.

python benchmarks/node_null.py --ros-args -p bundle:=engines/nano …
"""

import sys

from mle_sam_ros.ros import node
from null_engine import open_null_engine

if __name__ == '__main__':
    node.open_engine = open_null_engine
    sys.exit(node.main())
