"""Whether the node keeps up with a camera of some rate, as its own `/diagnostics` say.

    python benchmarks/keeping_up.py out/demo/drive.mcap engines/nano [--keep-every 2]

Plays a recording (events as PointCloud2) to the node over DDS with every n-th camera frame, as a
slower camera would send them, and prints the node's account of frames and latency.
"""

import argparse
import os
from pathlib import Path
import tempfile

from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.calibration_file import write_calibration
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.ros.environment import free_domain_id, private_environment


def thin(source: Path, target: Path, keep_every: int) -> None:
    """Copy a recording with every n-th image of the camera."""
    with open_bag(source) as bag, BagWriter(target) as copy:
        camera, num_images = find_topics(bag).camera, 0
        for item in bag.raw():
            num_images += item.topic == camera
            if item.topic != camera or num_images % keep_every == 0:
                copy.write_raw(item.topic, bag.topics[item.topic], item.cdr, item.log_time_ns)


def run_node(drive: Path, bundle: Path, room: Path) -> dict[str, dict[str, str]]:
    """Play the drive to a node of its own; returns its last diagnostics."""
    os.environ.update(private_environment(free_domain_id()))
    # Only now: the middleware reads the environment when it is loaded.
    from mle_sam_ros.demo import last_diagnostics, sensor_topics
    from mle_sam_ros.ros.player import play, Timeline
    from mle_sam_ros.ros.process import NodeProcess, REMAPPINGS
    from mle_sam_ros.ros.recorder import Recorder

    with open_bag(drive) as bag:
        write_calibration(room / 'rig.yaml', calibration_of(bag, find_topics(bag)))
    parameters = {
        'bundle': bundle.absolute(),
        'calibration_file': room / 'rig.yaml',
        'event_message': 'point_cloud2',
        'use_sim_time': True,
    }
    topics, timeline = sensor_topics(drive), Timeline()
    with NodeProcess(parameters, REMAPPINGS, os.environ, room / 'node.log') as node:
        node.wait_until_active()
        recorded = {'/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray'}
        with Recorder(str(room / 'out.mcap'), recorded, now_ns=timeline.now_ns) as recorder:
            recorder.wait_for_publishers()
            play(str(drive), timeline=timeline, topics=topics, wait_for=topics)
        node.stop()
    return last_diagnostics(room / 'out.mcap')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('drive', type=Path)
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--keep-every', type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        drive = Path(room) / 'drive.mcap'
        thin(options.drive, drive, options.keep_every)
        report = run_node(drive, options.bundle, Path(room))
    for name in ('frames', 'latency'):
        print(f'{name}: {report[name].pop("message")}')
        for key, value in report[name].items():
            print(f'  {key:32} {value}')


if __name__ == '__main__':
    main()
