"""`mle-sam compare`: is the candidate better, or at least not worse?"""

import argparse
import json
from pathlib import Path

from mle_sam_ros.cli.options import add_command, Commands, printable

_EPILOG = """\
FIGURE is a dotted path in metrics.json, or latency. and one in latency.json beside it, such as
miou, iou.road, conditions.night.miou, subsets.camera+event.miou, distance_bands.0-10m.miou,
latency.stages.infer.p95; short names are accuracy, boundary_iou, ece, temporal_consistency,
latency.p50, latency.p95 and latency.p99. A * stands for anything but a dot: 'iou.*=2'.
AMOUNT is in points of 100 of rates, in milliseconds of latencies, in frames of counts; with a %
sign it is relative to A's figure: latency.p95=10%. IoU, accuracy and consistency may not fall by
more, calibration error, latency and lost frames not rise by more; others may do neither.
Exit code: 0 all tolerances kept (or none given), 1 one is not, 2 bad input."""


def add_commands(commands: Commands) -> None:
    """Add it to the program."""
    compare = add_command(
        commands, 'compare', _compare, 'tell whether one replay scored better than another'
    )
    compare.formatter_class = argparse.RawDescriptionHelpFormatter
    compare.epilog = _EPILOG
    compare.add_argument(
        'standing', metavar='A', type=Path, help='metrics.json that stands, or its directory'
    )
    compare.add_argument('candidate', metavar='B', type=Path, help='metrics.json of the candidate')
    compare.add_argument(
        '--tolerance', action='append', default=[], metavar='FIGURE=AMOUNT',
        help='how much worse B may be; may be given again, the last one for a figure counts',
    )  # fmt: skip
    compare.add_argument(
        '--gate', action='store_true',
        help='begin with miou=0.5, conditions.*.miou=2, boundary_iou=1, ece=1 and '
        'frames_without_mask=0, where A has them',
    )  # fmt: skip
    compare.add_argument('--json', action='store_true', help='print JSON')


def _compare(options: argparse.Namespace) -> int:
    from mle_sam_ros.replay.compare.comparison import compare
    from mle_sam_ros.replay.compare.mapping import comparison_mapping
    from mle_sam_ros.replay.compare.run import read_run
    from mle_sam_ros.replay.compare.text import comparison_text
    from mle_sam_ros.replay.compare.tolerances import gate, judge, Tolerance

    tolerances = [Tolerance.parse(text) for text in options.tolerance]
    comparison = compare(read_run(options.standing), read_run(options.candidate))
    if options.gate:
        tolerances = [*gate(comparison), *tolerances]
    verdicts = judge(comparison, tolerances)
    if options.json:
        print(json.dumps(comparison_mapping(comparison, verdicts), indent=2, allow_nan=False))
    else:
        print(printable(comparison_text(comparison, verdicts)))
    return 0 if all(verdict.is_kept for verdict in verdicts) else 1
