"""`mle-sam replay-fleet`: many recordings through a model, one result."""

import argparse
from functools import partial
from pathlib import Path
import sys

from mle_sam_ros.cli.options import add_command, Commands, printable
from mle_sam_ros.cli.replay import add_replay_options, settings_of


def add_commands(commands: Commands) -> None:
    """Add them to the program."""
    fleet = add_command(
        commands,
        'replay-fleet',
        _replay_fleet,
        'run many recordings through a model, and score them one by one and together',
    )
    fleet.add_argument(
        'recordings', nargs='+', metavar='RECORDING',
        help="recordings, directories of them, or quoted patterns such as 'bags/**/*.mcap'",
    )  # fmt: skip
    fleet.add_argument(
        '--out', type=Path, required=True, help='directory to write; run again to go on'
    )
    fleet.add_argument(
        '--address', default='local',
        help='of a Ray cluster, such as ray://head:10001; else starts Ray on this machine',
    )  # fmt: skip
    fleet.add_argument(
        '--workers', type=int, help='recordings at the same time; else as there are processors'
    )
    fleet.add_argument('--redo', action='store_true', help='run again what has results already')
    add_replay_options(fleet)
    # Threads are not by what machine this is: results are to repeat anywhere.
    fleet.set_defaults(threads=1, annotated='none')


def _replay_fleet(options: argparse.Namespace) -> int:
    from mle_sam_ros.replay.fleet.cluster import open_cluster
    from mle_sam_ros.replay.fleet.fleet import replay_fleet
    from mle_sam_ros.replay.fleet.recordings import find_recordings
    from mle_sam_ros.replay.summary import summary
    from mle_sam_ros.runtime.build import COMPILED_BACKENDS

    recordings = find_recordings(options.recordings)
    fleet = replay_fleet(
        recordings,
        settings_of(options, recordings[0]),
        options.out,
        partial(
            open_cluster,
            options.address,
            options.workers,
            options.threads,
            needs_gpu=options.backend in COMPILED_BACKENDS,
        ),
        redo=options.redo,
    )
    if fleet.metrics is not None:
        print(printable(summary(fleet.metrics, options.out)))
    for row in fleet.failed:
        print(printable(f'mle-sam: {row.name} failed: {row.failure}'), file=sys.stderr)
    return 1 if fleet.failed else 0
