"""`mle-sam live-replay|record|score`: a drive through the real node, over ROS 2."""

import argparse
from collections.abc import Mapping
from pathlib import Path
import signal
from typing import Any

from mle_sam_ros.cli.options import add_command, Commands, printable
from mle_sam_ros.cli.replay import add_replay_options, settings_of


def add_commands(commands: Commands) -> None:
    """Add them to the program."""
    live = add_command(
        commands, 'live-replay', _live_replay,
        'play a recorded drive to the node over ROS 2, record its masks, and score them',
    )  # fmt: skip
    live.add_argument('bag', type=Path, help='.mcap, .db3 or .bag file, or rosbag2 directory')
    live.add_argument('--out', type=Path, required=True, help='directory to write')
    live.add_argument(
        '--rate', type=float, default=1.0, help='0.5 plays half as fast, for a slow machine'
    )
    live.add_argument(
        '--player', choices=('auto', 'rosbag2', 'mle_sam'), default='auto',
        help='ros2 bag play, or our own; auto takes the former where it is installed and can play',
    )  # fmt: skip
    live.add_argument(
        '--node', choices=('start', 'running'), default='start',
        help='start the node, on a ROS domain of its own; or take the one that runs on this '
        'domain, with use_sim_time',
    )  # fmt: skip
    add_replay_options(live)

    record = add_command(
        commands, 'record', _record, 'record what the node publishes, until interrupted (Ctrl-C)'
    )
    record.add_argument('--out', type=Path, required=True, help='.mcap file to write')
    record.add_argument(
        '--sim-time', action='store_true', help='take log times from /clock, as of a player'
    )

    score = add_command(
        commands, 'score', _score, 'score what the node published of a drive, and compare it with '
        'the replay'
    )  # fmt: skip
    score.add_argument('bag', type=Path, help='the drive that the node was given')
    score.add_argument('recording', type=Path, help='what it published, as record writes it')
    score.add_argument('--out', type=Path, required=True, help='directory to write')
    add_replay_options(score)


def _live_replay(options: argparse.Namespace) -> None:
    from mle_sam_ros.live import Live, live_replay

    _hear_interruptions()
    live = Live(options.rate, options.player, options.node == 'running')
    metrics = live_replay(settings_of(options, options.bag), live, options.out)
    _summarise(metrics, options.out)


def _score(options: argparse.Namespace) -> None:
    from mle_sam_ros.live import score

    metrics = score(settings_of(options, options.bag), options.recording, options.out)
    _summarise(metrics, options.out)


def _record(options: argparse.Namespace) -> None:
    from mle_sam_ros.ros.recorder import record_until_interrupted

    _hear_interruptions()
    for topic, count in record_until_interrupted(options.out, options.sim_time).items():
        print(printable(f'{count:8} {topic}'))
    print(options.out)


def _hear_interruptions() -> None:
    """A launch system ends its processes with SIGINT, which a shell's background jobs ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _summarise(metrics: Mapping[str, Any], out: Path) -> None:
    from mle_sam_ros.replay.score_recording import node_summary
    from mle_sam_ros.replay.summary import summary

    print(printable(f'{summary(metrics, out)}\n\n{node_summary(metrics)}'))
