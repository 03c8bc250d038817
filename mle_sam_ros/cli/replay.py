"""`mle-sam replay`: a recorded drive through a model."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mle_sam_ros.cli.options import (
    add_command,
    add_engine_options,
    add_topic_option,
    Commands,
    names,
    printable,
    topics_of,
)
from mle_sam_ros.core.errors import InputError

if TYPE_CHECKING:
    from mle_sam_ros.replay.session import Settings

_MOTIONS = ('none', 'odometry', 'twist', 'tf')


def add_commands(commands: Commands) -> None:
    """Add them to the program."""
    replay = add_command(
        commands, 'replay', _replay, 'run a recorded drive through a model and score it'
    )
    replay.add_argument('bag', type=Path, help='.mcap, .db3 or .bag file, or rosbag2 directory')
    replay.add_argument('--out', type=Path, required=True, help='directory to write')
    add_replay_options(replay)


def add_replay_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how recordings are replayed; `settings_of` reads it."""
    parser.add_argument('--bundle', type=Path, required=True, help='model to run')
    parser.add_argument(
        '--drop', type=names, default=[], metavar='SENSOR[,…]', help='sensors to leave out'
    )
    parser.add_argument(
        '--subsets', choices=('all',), help='also score every subset of the sensors'
    )
    parser.add_argument('--video', action='store_true', help='also write overlay.mp4')
    parser.add_argument(
        '--rerun', action='store_true', help='also write drive.rrd, for the Rerun viewer'
    )
    parser.add_argument(
        '--annotated', choices=('full', 'sampled', 'masks', 'none'), default='sampled',
        help='how much goes into annotated.mcap: pictures and points of every frame, of five '
        'frames a second, or of none',
    )  # fmt: skip
    add_topic_option(
        parser,
        'where the names do not tell: camera, camera_info, event, event_camera_info, lidar, '
        'lidar_2 and so on, labels, tf_static, tf, odometry, twist, or an image of the model such '
        'as depth; may be given again',
    )
    parser.add_argument(
        '--keep-going', action='store_true',
        help='count messages that cannot be used and go on, as the node does',
    )  # fmt: skip
    parser.add_argument(
        '--fault', action='append', default=[], metavar='STREAM:KIND=VALUE[@FROM-TO]',
        help='what is to go wrong, as in lidar:drop=1@4-6; KIND is drop, delay, jitter, rate, '
        'freeze, stamp, rotate, shift, noise, exposure, burst or beams (docs/replay_faults.md); '
        'may be given again',
    )  # fmt: skip
    parser.add_argument('--fault-seed', type=int, default=0, help='of the chance in faults')
    parser.add_argument(
        '--condition', action='append', default=[], metavar='NAME',
        help='what held all the time, such as night, beside what the recording notes; may be '
        'given again',
    )  # fmt: skip
    parser.add_argument('--calibration', type=Path, help='YAML file; else from the recording')
    parser.add_argument(
        '--params', type=Path, metavar='YAML', help="the node's parameter file: pairing in time, "
        'LiDARs, motion'
    )  # fmt: skip
    parser.add_argument(
        '--motion', choices=_MOTIONS, help='of the vehicle, by which LiDAR points are moved to '
        'the exposure; else as in --params',
    )  # fmt: skip
    parser.add_argument('--fixed-frame', default='', help='of --motion tf, such as odom')
    parser.add_argument(
        '--labels', type=Path, metavar='FOLDER', help='label maps as PNG files named by stamp'
    )
    parser.add_argument(
        '--classes', metavar='NAME', help='of the label maps: cityscapes, muses, deliver, or a '
        'YAML file; else those of the model',
    )  # fmt: skip
    add_engine_options(parser)
    parser.add_argument(
        '--reuse-features', action='store_true',
        help='encode a sweep once for all frames that it serves; the masks are the same',
    )  # fmt: skip


def settings_of(options: argparse.Namespace, bag: Path) -> 'Settings':
    """What to run on a recording, as given by the options of `add_replay_options`.

    Raises:
        InputError: for files that cannot be read, and names that are none.
    """
    from mle_sam_ros.bags.calibration_file import read_calibration
    from mle_sam_ros.bags.settings_file import read_rig_settings
    from mle_sam_ros.core.settings import RigSettings
    from mle_sam_ros.replay.faults.parse import parse_fault
    from mle_sam_ros.replay.session import Settings

    rig = read_rig_settings(options.params) if options.params else RigSettings()
    if options.motion:
        rig = replace(rig, motion=options.motion)
    if options.fixed_frame and rig.motion != 'tf':
        raise InputError(
            f'--fixed-frame: expected it with --motion tf, got {options.fixed_frame!r} with '
            f'motion {rig.motion}; give both or neither'
        )
    if options.fixed_frame:
        rig = replace(rig, fixed_frame=options.fixed_frame)
    return Settings(
        bag,
        options.bundle,
        drop=options.drop,
        all_subsets=options.subsets == 'all',
        with_video=options.video,
        annotated=options.annotated,
        with_rerun=options.rerun,
        topics=topics_of(options),
        calibration=read_calibration(options.calibration) if options.calibration else None,
        labels=options.labels,
        classes=options.classes,
        backend=options.backend,
        threads=options.threads,
        reuse_features=options.reuse_features,
        conditions=tuple(dict.fromkeys(options.condition)),
        faults=tuple(parse_fault(text) for text in options.fault),
        fault_seed=options.fault_seed,
        keep_going=options.keep_going,
        rig=rig,
    )


def _replay(options: argparse.Namespace) -> None:
    from mle_sam_ros.replay.replay import replay
    from mle_sam_ros.replay.summary import summary

    metrics = replay(settings_of(options, options.bag), options.out)
    print(printable(summary(metrics, options.out)))
