"""Plots over time as SVG shapes in a box of 1000 x 100, stretched by the page that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np

WIDTH, HEIGHT = 1000, 100
_MAX_POINTS = 600


@dataclass(frozen=True)
class Axis:
    """The span of time that all plots of a page share.

    Attributes:
        from_s: at the left edge.
        to_s: at the right edge, later.
    """

    from_s: float
    to_s: float

    def percent(self, time_s: float) -> float:
        """How far right of the left edge, 0 to 100; times outside are at an edge."""
        part = (time_s - self.from_s) / (self.to_s - self.from_s)
        return round(100 * min(1.0, max(0.0, part)), 3)

    def span(self, from_s: float, to_s: float) -> tuple[float, float]:
        """(left, width), percent."""
        left, right = self.percent(from_s), self.percent(to_s)
        return left, round(right - left, 3)

    def positions(self, times_s: np.ndarray) -> np.ndarray:
        """(T,) in the box."""
        return WIDTH * (times_s - self.from_s) / (self.to_s - self.from_s)


def axis_of(times_s: np.ndarray) -> Axis:
    """From the first sample to the end of the last, which lasts as long as the one before it.

    Where the clock jumped back, first and last are not those that came first and last.
    """
    last = times_s[-1] - times_s[-2] if len(times_s) > 1 else 0.0
    return Axis(float(times_s.min()), float(times_s.max() + (last if last > 0 else 1.0)))


def thinned(num_samples: int) -> np.ndarray:
    """Indices of at most 600 evenly spaced samples, the first and the last among them."""
    count = min(num_samples, _MAX_POINTS)
    return np.unique(np.linspace(0, num_samples - 1, count).round().astype(int))


def lowest(values: np.ndarray) -> np.ndarray:
    """Indices of the lowest sample of each of at most 600 even parts, so that no dip is lost.

    Args:
        values: (T,); a part that is all NaN gives one NaN.
    """
    parts = np.array_split(np.arange(len(values)), min(len(values), _MAX_POINTS))
    comparable = np.where(np.isnan(values), np.inf, values)
    return np.array([part[comparable[part].argmin()] for part in parts], int)


def stacked_areas(axis: Axis, times_s: np.ndarray, shares: np.ndarray) -> list[str]:
    """Shares that add up to at most 1, piled upon one another.

    Args:
        axis: of the plot.
        times_s: (T,) seconds, increasing.
        shares: (T, M), each from 0 to 1.

    Returns:
        M lists of polygon points, the first at the bottom.
    """
    x = axis.positions(times_s)
    edges = np.cumsum(np.hstack([np.zeros((len(shares), 1)), shares]), axis=1)
    y = HEIGHT * (1 - np.clip(edges, 0, 1))
    return [
        _points(np.concatenate([x, x[::-1]]), np.concatenate([y[:, i + 1], y[::-1, i]]))
        for i in range(shares.shape[1])
    ]


def line(axis: Axis, times_s: np.ndarray, values: np.ndarray, top: float) -> list[str]:
    """A line, broken where values are NaN.

    Args:
        axis: of the plot.
        times_s: (T,) seconds, increasing.
        values: (T,), drawn from 0 (bottom) to `top`; higher ones are cut off.
        top: value at the top of the box, positive.

    Returns:
        Points of one polyline per unbroken part.
    """
    x, y = axis.positions(times_s), HEIGHT * (1 - np.clip(values / top, 0, 1))
    gaps = np.flatnonzero(np.isnan(values))
    split = zip(np.split(x, gaps), np.split(y, gaps), strict=True)
    parts = ((px[~np.isnan(py)], py[~np.isnan(py)]) for px, py in split)
    return [_points(px, py) for px, py in parts if len(px)]


def spans(axis: Axis, times_s: np.ndarray, is_on: Sequence[bool]) -> list[tuple[float, float]]:
    """Where something was on; each sample holds until the next, the last one to the edge.

    Returns:
        (from, to) of each span, in seconds.
    """
    ends = np.append(times_s[1:], axis.to_s)
    on = np.concatenate([[False], is_on, [False]]).astype(int)
    firsts, lasts = np.flatnonzero(np.diff(on) == 1), np.flatnonzero(np.diff(on) == -1) - 1
    return [
        (float(times_s[first]), float(max(times_s[first], ends[last])))
        for first, last in zip(firsts, lasts, strict=True)
    ]


def round_top(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten that is not below value; 1 where there is none."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return ' '.join(f'{px:.1f},{py:.1f}' for px, py in zip(x, y, strict=True))
