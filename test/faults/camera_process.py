"""A camera driver of its own: 20 frames per second until it is killed.

python camera_process.py DOMAIN_ID
"""

import itertools
from pathlib import Path
import sys
import time

sys.path.insert(0, str(Path(__file__).parents[1]))

from ros_bench import Bench, camera_message

if __name__ == '__main__':
    with Bench(int(sys.argv[1])) as bench:
        for _ in itertools.count():
            time.sleep(0.05)
            bench.send('camera', camera_message(time.time_ns()))
