"""A process that has the fake TensorRT and runs `mle-sam` with the arguments given.

python built_here.py VERSION GPU ARGUMENTS…
"""

from pathlib import Path
import sys

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from fake_tensorrt import install  # noqa: E402
from mle_sam_ros.cli import main  # noqa: E402
from mle_sam_ros.runtime import latency  # noqa: E402

if __name__ == '__main__':
    latency._NUM_WARM_UP, latency._NUM_CALLS = 0, (2, 2)
    install(sys.argv[1], sys.argv[2])
    sys.exit(main(sys.argv[3:]))
