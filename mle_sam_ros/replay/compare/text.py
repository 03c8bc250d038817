"""A comparison for a terminal, 80 columns wide."""

from collections.abc import Iterator, Mapping, Sequence
import math
import textwrap

from mle_sam_ros.replay.compare.blocks import CONFIDENCE_PERCENT, NUM_RESAMPLES
from mle_sam_ros.replay.compare.comparison import Comparison, Difference
from mle_sam_ros.replay.compare.figures import Kind, kind_of
from mle_sam_ros.replay.compare.run import Run
from mle_sam_ros.replay.compare.tolerances import Verdict

_WIDTH = 80
_WHOLE = {
    'miou': 'mIoU',
    'pixel_accuracy': 'pixel accuracy',
    'boundary_iou.mean': 'boundary IoU',
    'calibration.error': 'calibration error',
    'temporal_consistency.miou': 'temporal consistency',
    'frames_scored': 'frames scored',
    'frames_without_mask': 'frames without mask',
}
# Heading, and what stands before and after the label in the names of its figures.
_SECTIONS = (
    ('IoU by class', 'iou.', ''),
    ('mIoU by condition', 'conditions.', '.miou'),
    ('mIoU by sensors', 'subsets.', '.miou'),
    ('mIoU by distance', 'distance_bands.', '.miou'),
    ('latency, ms', 'latency.total.', ''),
)


def comparison_text(comparison: Comparison, verdicts: Sequence[Verdict]) -> str:
    """Lines: what A and B are, why they may not be compared, the figures, the tolerances."""
    return '\n'.join(_lines(comparison, verdicts))


def _lines(comparison: Comparison, verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield from _wrapped('A  ', _identity(comparison.standing))
    yield from _wrapped('B  ', _identity(comparison.candidate))
    if comparison.warnings:
        yield ''
        yield 'ATTENTION: A and B are not of one kind; the differences may come from this:'
        for text in comparison.warnings:
            yield from _wrapped('! ', text)
    yield ''
    yield f'{"":28}{"A":>8} {"B":>8} {"B - A":>8}  {CONFIDENCE_PERCENT} % interval'
    yield from _rows(comparison, _WHOLE)
    for heading, before, after in _SECTIONS:
        rows = list(_rows(comparison, _labels(comparison, before, after)))
        if rows:
            yield from ['', heading, *rows]
    yield ''
    yield from _wrapped('', 'Rates in per cent, differences in points. ' + _intervals(comparison))
    for text in comparison.notes:
        yield from _wrapped('- ', text)
    if verdicts:
        yield ''
        for verdict in verdicts:
            yield from _wrapped('kept  ' if verdict.is_kept else 'PAST  ', verdict_text(verdict))
        num_past = sum(not verdict.is_kept for verdict in verdicts)
        yield f'B is past {num_past} of {len(verdicts)} tolerances' if num_past else 'B passes'


def _identity(run: Run) -> str:
    bundle = run.metrics.get('bundle')
    if not isinstance(bundle, Mapping):
        return str(run.path)
    return f'{run.path}: {bundle.get("name")} {str(bundle.get("sha256"))[:8]}'


def _intervals(comparison: Comparison) -> str:
    if comparison.num_blocks < 2:
        return 'No intervals: they need two blocks of scored frames or more.'
    return (
        f'Intervals: paired bootstrap, {NUM_RESAMPLES} draws of {comparison.num_blocks} blocks of '
        'a second; a word behind one: all of it is on one side of 0. Figures without an interval '
        'have no blocks.'
    )


def _labels(comparison: Comparison, before: str, after: str) -> dict[str, str]:
    """Names of the figures of a section to their labels."""
    return {
        name: f'  {name[len(before) : len(name) - len(after)]}'
        for name in comparison.differences
        if name.startswith(before) and name.endswith(after) and '.subsets.' not in name
    }


def _rows(comparison: Comparison, labels: Mapping[str, str]) -> Iterator[str]:
    for name, label in labels.items():
        difference = comparison.differences.get(name)
        if difference is not None and (difference.standing, difference.candidate) != (None, None):
            yield _row(label, kind_of(name), difference)


def _row(label: str, kind: Kind, difference: Difference) -> str:
    label = label if len(label) <= 28 else f'{label[:27]}…'
    values = [
        _number(difference.standing, kind),
        _number(difference.candidate, kind),
        _number(difference.value, kind, '+'),
    ]
    row = f'{label:28}' + ' '.join(f'{value:>8}' for value in values)
    interval = difference.interval
    if interval is None:
        return row
    row += f'  {_number(interval.low, kind, "+")} to {_number(interval.high, kind, "+")}'
    if not interval.excludes_zero:
        return row
    return f'{row} {"better" if interval.low * kind.better > 0 else "worse"}'


def verdict_text(verdict: Verdict) -> str:
    """A tolerance in a line: the change, what is allowed, and whether chance may have decided."""
    kind, difference = verdict.kind, verdict.difference
    way = {1: 'fall', 0: 'change', -1: 'rise'}[kind.better]
    allowed = f'may {way} by {_number(verdict.allowed, kind)}'
    if math.isinf(verdict.loss):
        return f'{verdict.name}: B has no such figure, it {allowed}'
    text = f'{verdict.name}: {_number(difference.value, kind, "+")}{kind.unit.name}, {allowed}'
    interval = difference.interval
    if interval is None:
        return text
    bounds = f'{_number(interval.low, kind, "+")} to {_number(interval.high, kind, "+")}'
    if verdict.is_certain:
        return f'{text}; the whole interval says so, {bounds}'
    return f'{text}; not beyond chance, the interval is {bounds}'


def _number(value: float | None, kind: Kind, sign: str = '') -> str:
    if value is None:
        return 'n/a'
    shown = round(value * kind.unit.scale, kind.unit.decimals) + 0.0  # no -0
    return f'{shown:{sign if shown else ""}.{kind.unit.decimals}f}'


def _wrapped(mark: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=mark,
        subsequent_indent=' ' * len(mark),
        break_on_hyphens=False,
    )
