"""Plots over time as SVG shapes in a box of 1000 x 100, stretched by the page that shows them."""

from collections.abc import Sequence

import numpy as np

WIDTH, HEIGHT = 1000, 100
_MAX_POINTS = 600


def thinned(num_samples: int) -> np.ndarray:
    """Indices of at most 600 evenly spaced samples, the first and the last among them."""
    count = min(num_samples, _MAX_POINTS)
    return np.unique(np.linspace(0, num_samples - 1, count).round().astype(int))


def stacked_areas(times_s: np.ndarray, shares: np.ndarray) -> list[str]:
    """Shares that add up to at most 1, piled upon one another.

    Args:
        times_s: (T,) seconds, increasing.
        shares: (T, M), each from 0 to 1.

    Returns:
        M lists of polygon points, the first at the bottom.
    """
    x = _positions(times_s)
    edges = np.cumsum(np.hstack([np.zeros((len(shares), 1)), shares]), axis=1)
    y = HEIGHT * (1 - np.clip(edges, 0, 1))
    return [
        _points(np.concatenate([x, x[::-1]]), np.concatenate([y[:, i + 1], y[::-1, i]]))
        for i in range(shares.shape[1])
    ]


def line(times_s: np.ndarray, values: np.ndarray, top: float) -> list[str]:
    """A line, broken where values are NaN.

    Args:
        times_s: (T,) seconds, increasing.
        values: (T,), drawn from 0 (bottom) to `top`; higher ones are cut off.
        top: value at the top of the box, positive.

    Returns:
        Points of one polyline per unbroken part.
    """
    x, y = _positions(times_s), HEIGHT * (1 - np.clip(values / top, 0, 1))
    gaps = np.flatnonzero(np.isnan(values))
    parts = zip(np.split(x, gaps), np.split(y, gaps), strict=True)
    parts = ((px[~np.isnan(py)], py[~np.isnan(py)]) for px, py in parts)
    return [_points(px, py) for px, py in parts if len(px)]


def spans(times_s: np.ndarray, is_on: Sequence[bool]) -> list[tuple[float, float]]:
    """Where something was on.

    Each sample holds until the next; the last one as long as the one before it.

    Returns:
        (left, width) of each span, in percent of the box.
    """
    if len(times_s) < 2:
        return [(0.0, 100.0)] if any(is_on) else []
    ends = np.append(times_s[1:], 2 * times_s[-1] - times_s[-2])
    total = ends[-1] - times_s[0]
    on = np.concatenate([[False], is_on, [False]]).astype(int)
    firsts, lasts = np.flatnonzero(np.diff(on) == 1), np.flatnonzero(np.diff(on) == -1) - 1
    return [
        (
            round(100 * float((times_s[first] - times_s[0]) / total), 3),
            round(100 * float((ends[last] - times_s[first]) / total), 3),
        )
        for first, last in zip(firsts, lasts, strict=True)
    ]


def round_top(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten that is not below value; 1 where there is none."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))


def _positions(times_s: np.ndarray) -> np.ndarray:
    duration = times_s[-1] - times_s[0] if len(times_s) > 1 else 1.0
    return WIDTH * (times_s - times_s[0]) / duration


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return ' '.join(f'{px:.1f},{py:.1f}' for px, py in zip(x, y, strict=True))
