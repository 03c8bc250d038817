"""`mle-sam demo|synthesize`: drives without a vehicle."""

import argparse
from pathlib import Path

from mle_sam_ros.cli.options import add_command, Commands
from mle_sam_ros.ros.environment import share_path

_CONDITIONS = ('day', 'dusk', 'night', 'fog', 'rain')


def add_commands(commands: Commands) -> None:
    """Add them to the program."""
    demo = add_command(
        commands, 'demo', _demo, 'simulate a drive, run the node on it over ROS 2, and score it'
    )
    demo.add_argument('--out', type=Path, default=Path('out/demo'), help='directory to write')
    demo.add_argument(
        '--bundle', type=Path, default=share_path('engines/nano'), help='model to run'
    )

    drive = add_command(
        commands, 'synthesize', _synthesize, 'simulate a drive and write it as a bag'
    )
    drive.add_argument('--out', type=Path, required=True, help='.mcap file to write')
    drive.add_argument('--seed', type=int, default=0, help='of town, traffic and noise')
    drive.add_argument('--seconds', type=float, default=10.0, help='length of the drive')
    drive.add_argument('--condition', choices=_CONDITIONS, default='day', help='of light and air')
    drive.add_argument(
        '--failure', action='append', default=[], metavar='NAME[:FROM:TO]',
        help='motion_blur, over_exposure, under_exposure, lidar_jitter, event_low_resolution; '
        'for some seconds of the drive, or all of it; may be given again',
    )  # fmt: skip
    drive.add_argument(
        '--outage', action='append', default=[], metavar='STREAM[:FROM:TO]',
        help='camera, event or lidar gives no messages; may be given again',
    )  # fmt: skip
    drive.add_argument(
        '--events-as', choices=('event_packet', 'point_cloud2'), default='event_packet',
        help='message type of the events',
    )  # fmt: skip


def _demo(options: argparse.Namespace) -> None:
    from mle_sam_ros.demo import demo

    demo(options.out, options.bundle)


def _synthesize(options: argparse.Namespace) -> None:
    from mle_sam_ros.simulation.scenario import parse_failure, parse_outage, Scenario
    from mle_sam_ros.simulation.synthesize import synthesize

    scenario = Scenario(
        options.seed,
        options.seconds,
        options.condition,
        tuple(parse_failure(text) for text in options.failure),
        tuple(parse_outage(text) for text in options.outage),
    )
    synthesize(options.out, scenario, options.events_as)
    print(f'{options.out}  {options.out.stat().st_size / 1e6:.1f} MB')
