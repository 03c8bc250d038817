"""The figures of a result by name, which way each is better, and how it is shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

# Of `metrics.json`: what is counted, not what it came from.
_NO_FIGURES = frozenset({'arguments', 'bags', 'blocks', 'software', 'tallies', 'timeline'})
_NO_LATENCIES = frozenset({'histogram'})

SHORT_NAMES = {
    'accuracy': 'pixel_accuracy',
    'boundary_iou': 'boundary_iou.mean',
    'ece': 'calibration.error',
    'temporal_consistency': 'temporal_consistency.miou',
    'latency.p50': 'latency.total.p50',
    'latency.p95': 'latency.total.p95',
    'latency.p99': 'latency.total.p99',
}


@dataclass(frozen=True)
class Unit:
    """How a kind of figure is counted.

    Attributes:
        scale: what the JSON's value is multiplied with.
        decimals: shown.
        name: behind the number, as ` ms`.
    """

    scale: float
    decimals: int
    name: str


POINTS, MILLISECONDS, COUNT = Unit(100, 2, ' points'), Unit(1, 1, ' ms'), Unit(1, 0, '')


@dataclass(frozen=True)
class Kind:
    """What is known of a figure.

    Attributes:
        better: 1 where more is better, -1 where less is, 0 where neither is said.
        unit: to show it in.
    """

    better: int
    unit: Unit


# The first pattern that fits counts; `*` stands for dots, too.
_KINDS = (
    ('latency.*', Kind(-1, MILLISECONDS)),
    ('calibration.bins.*.pixels', Kind(0, COUNT)),
    ('calibration.bins.*', Kind(0, POINTS)),
    ('calibration.error', Kind(-1, POINTS)),
    ('*calibration_error', Kind(-1, POINTS)),
    ('router_weights.*', Kind(0, POINTS)),
    ('*.router_weights.*', Kind(0, POINTS)),
    ('*miou_of_truth', Kind(0, POINTS)),
    ('*miou', Kind(1, POINTS)),
    ('miou_absent_as_zero', Kind(1, POINTS)),
    ('pixel_accuracy', Kind(1, POINTS)),
    ('boundary_iou.width', Kind(0, POINTS)),
    ('boundary_iou.*', Kind(1, POINTS)),
    ('*.boundary_iou', Kind(1, POINTS)),
    ('*.temporal_consistency', Kind(1, POINTS)),
    ('iou.*', Kind(1, POINTS)),
    ('*.iou.*', Kind(1, POINTS)),
    ('frames_scored', Kind(1, COUNT)),
    ('*.frames_scored', Kind(1, COUNT)),
    ('frames_without_mask', Kind(-1, COUNT)),
    ('frames.emitted', Kind(1, COUNT)),
    ('frames.superseded', Kind(-1, COUNT)),
    ('frames.rejected.*', Kind(-1, COUNT)),
    ('faults.*', Kind(-1, COUNT)),
)
_OTHER = Kind(0, COUNT)


def kind_of(name: str) -> Kind:
    """What is known of the figure of this name."""
    return next((kind for pattern, kind in _KINDS if fnmatchcase(name, pattern)), _OTHER)


def figures(metrics: Mapping[str, Any], latency: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a result by its dotted path.

    Args:
        metrics: content of `metrics.json`.
        latency: content of `latency.json`, whose names begin with `latency.`.

    Returns:
        As it stands in the JSON; what is null, or no number, is left out. Distance bands are named
        by their metres, `distance_bands.0-10m.miou`, items of other lists by their place.
    """
    counted = {name: value for name, value in metrics.items() if name not in _NO_FIGURES}
    return dict(_numbers(counted, '')) | dict(_numbers(latency, 'latency.'))


def _numbers(content: Any, prefix: str) -> Iterator[tuple[str, float]]:
    if isinstance(content, Mapping):
        for name, value in content.items():
            if name not in _NO_LATENCIES:
                yield from _numbers(value, f'{prefix}{name}.')
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _numbers(value, f'{prefix}{_band(value) or index}.')
    elif isinstance(content, int | float) and not isinstance(content, bool):
        if abs(content) < 2**63:
            yield prefix[:-1], float(content)


def _band(item: Any) -> str | None:
    if not isinstance(item, Mapping) or 'from_m' not in item:
        return None
    from_m, to_m = item['from_m'], item.get('to_m')
    return f'{from_m!s:.20}m-' if to_m is None else f'{from_m!s:.20}-{to_m!s:.20}m'
