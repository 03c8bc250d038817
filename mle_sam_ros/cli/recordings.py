"""`mle-sam info|convert|play`: what recordings hold, and where they come from and go."""

import argparse
from pathlib import Path

from mle_sam_ros.cli.options import (
    add_command,
    add_topic_option,
    Commands,
    pair,
    printable,
    topics_of,
)

_DATA_SETS = ('dsec', 'm3ed', 'kitti', 'muses', 'deliver')


def add_commands(commands: Commands) -> None:
    """Add them to the program."""
    info = add_command(
        commands, 'info', _info, 'tell what is in a recording, and whether a model runs on it'
    )
    info.add_argument('bag', type=Path, help='.mcap, .db3 or .bag file, or rosbag2 directory')
    info.add_argument('--bundle', type=Path, help='model to ask about')
    info.add_argument('--calibration', type=Path, help='YAML file; else from the recording')
    add_topic_option(info, 'where the names do not tell, as for replay')
    info.add_argument('--json', action='store_true', help='print JSON')

    convert = add_command(commands, 'convert', _convert, 'make a bag of a public recording')
    convert.add_argument('data_set', choices=_DATA_SETS)
    convert.add_argument(
        'source', type=Path, help='directory or file as downloaded; see docs/recordings.md'
    )
    convert.add_argument('out', type=Path, help='.mcap file to write')
    convert.add_argument(
        '--part', help='of muses, such as val/fog/night; of deliver, cloud/val/MAP_10_point102'
    )

    play = add_command(
        commands, 'play', _play, 'publish a bag through ROS 2 with its timing and /clock'
    )
    play.add_argument('bag', help='.mcap, .db3 or .bag file, or rosbag2 directory')
    play.add_argument('--rate', type=float, default=1.0, help='2.0 plays twice as fast')
    play.add_argument('--topics', nargs='*', default=[], help='topics to publish; else all')
    play.add_argument('--remap', nargs='*', default=[], metavar='FROM:=TO', help='other names')
    play.add_argument(
        '--wait-for', nargs='*', default=[], help='topics to wait for a subscriber on'
    )


def _info(options: argparse.Namespace) -> None:
    import json

    from mle_sam_ros.bags.calibration_file import read_calibration
    from mle_sam_ros.bags.info import recording_info
    from mle_sam_ros.bags.info_text import info_text
    from mle_sam_ros.bags.reader import open_bag
    from mle_sam_ros.core.record import to_mapping
    from mle_sam_ros.runtime.bundle import Bundle

    manifest = Bundle.open(options.bundle).manifest if options.bundle else None
    calibration = read_calibration(options.calibration) if options.calibration else None
    topics = topics_of(options)
    with open_bag(options.bag) as reader:
        info = recording_info(reader, topics, manifest, calibration)
    text = json.dumps(to_mapping(info), indent=2) if options.json else info_text(info)
    print(printable(text))


def _convert(options: argparse.Namespace) -> None:
    from mle_sam_ros.bags.convert.convert import convert

    convert(options.data_set, options.source, options.out, options.part)
    print(f'{options.out}  {options.out.stat().st_size / 1e6:.1f} MB')


def _play(options: argparse.Namespace) -> None:
    from mle_sam_ros.ros.player import play

    report = play(
        options.bag,
        rate=options.rate,
        topics=options.topics,
        remap=dict(pair(text, '--remap', ':=') for text in options.remap),
        wait_for=options.wait_for,
    )
    print(report)
