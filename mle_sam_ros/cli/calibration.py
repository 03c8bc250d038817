"""`mle-sam calibration|check-calibration`: where the sensors stand."""

import argparse
from pathlib import Path

from mle_sam_ros.cli.options import (
    add_command,
    add_topic_option,
    Commands,
    pair,
    print_lines,
    topics_of,
)


def add_commands(commands: Commands) -> None:
    """Add them to the program."""
    calibration = add_command(
        commands,
        'calibration',
        _calibration,
        'write the calibration of a bag or of a file as YAML',
    )
    calibration.add_argument(
        'source', type=Path, help="a recording, a Kalibr camchain (.yaml), MUSES' calib.json"
    )
    calibration.add_argument('--out', type=Path, required=True, help='YAML file to write')
    calibration.add_argument(
        '--camera', action='append', default=[], metavar='ROLE=CAM',
        help='of a camchain: which is camera, which event, as in camera=cam0; may be given again',
    )  # fmt: skip
    add_topic_option(calibration, 'of a recording: where the names do not tell')
    calibration.add_argument(
        '--rectified',
        action='store_true',
        help="of a recording: the camera's images are rectified",
    )

    check_rig = add_command(
        commands, 'check-calibration', _check_calibration,
        'draw LiDAR and events over the images of a recording, and score the extrinsics; exit '
        'code 1 where one is clearly wrong',
    )  # fmt: skip
    check_rig.add_argument('bag', type=Path, help='.mcap, .db3 or .bag file, or rosbag2 directory')
    check_rig.add_argument('--calibration', type=Path, help='file; else from the recording')
    check_rig.add_argument(
        '--out', type=Path, default=Path('out/calibration'), help='directory to write'
    )
    add_topic_option(check_rig, 'where the names do not tell')


def _calibration(options: argparse.Namespace) -> None:
    from mle_sam_ros.bags.calibration import calibration_of
    from mle_sam_ros.bags.calibration_file import read_calibration, write_calibration
    from mle_sam_ros.bags.describe import find_topics
    from mle_sam_ros.bags.reader import open_bag

    if options.source.suffix in ('.yaml', '.yml', '.json'):
        cameras = dict(pair(text, '--camera', '=') for text in options.camera)
        calibration = read_calibration(options.source, cameras)
    else:
        topics = topics_of(options)
        with open_bag(options.source) as reader:
            calibration = calibration_of(reader, find_topics(reader, topics), options.rectified)
    write_calibration(options.out, calibration)
    print(options.out)


def _check_calibration(options: argparse.Namespace) -> int:
    from mle_sam_ros.bags.calibration_file import read_calibration
    from mle_sam_ros.replay.extrinsics.check_calibration import (
        check_calibration,
        CheckSettings,
        describe_scores,
    )

    settings = CheckSettings(
        options.bag,
        topics_of(options),
        read_calibration(options.calibration) if options.calibration else None,
    )
    scores = check_calibration(settings, options.out)
    print_lines(describe_scores(scores, options.out))
    return 1 if any(score.verdict == 'wrong' for score in scores.values()) else 0
