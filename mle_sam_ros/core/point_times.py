"""When each point of a sweep was measured, by the conventions of the drivers."""

import numba
import numpy as np

# The first that a cloud has is taken.
TIME_FIELDS = ('t', 'time', 'timestamp', 'time_stamp', 'offset_time')

_MIN_SPAN_NS = 1_000
_MAX_SPAN_NS = 500_000_000
# Points further than this from their stamp were timed by another clock.
_MAX_OFF_STAMP_NS = 1_000_000_000
_TAI_OFFSET_NS = 37_000_000_000
_MAX_RELATIVE_S = 2.0


def read_times(
    points: np.ndarray, xyz: np.ndarray, stamp_ns: int
) -> tuple[np.ndarray | None, str]:
    """Bring a driver's times to the clock of the stamps.

    Integers of 32 bits are nanoseconds after the stamp. Floating-point numbers are told apart by
    their magnitude: up to 2 they are seconds after (below zero: before) the stamp, from 1e8 to
    1e11 seconds since the epoch, above 1e17 nanoseconds since the epoch.

    Args:
        points: (N,) structured array of the cloud.
        xyz: (N, 3) float32, its coordinates.
        stamp_ns: of the message.

    Returns:
        (N,) int64 nanoseconds, or None; and why the times that are there cannot be used, in one
        line, empty if there is nothing to complain of.
    """
    names = points.dtype.names or ()
    name = next((name for name in TIME_FIELDS if name in names), None)
    if name is None:
        return None, ''
    dtype = points.dtype[name]
    if dtype not in (np.uint32, np.int32, np.float32, np.float64):
        return None, (
            f'expected {name} as uint32, int32, float32 or float64, got {dtype}; fix the driver'
        )
    ticks = points[name].astype(np.float64)
    num_returns, first, last = _span_of_returns(ticks, xyz)
    if num_returns < 2:  # nothing to tell apart
        return None, ''
    scale_ns, is_absolute = _unit(dtype, max(abs(first), abs(last)))
    if scale_ns == 0:
        return None, (
            f'expected {name} in seconds after the stamp, seconds or nanoseconds since the epoch, '
            f'got {first:g} to {last:g}; fix the driver'
        )
    span_ns = (last - first) * scale_ns
    if not _MIN_SPAN_NS <= span_ns <= _MAX_SPAN_NS:
        return None, (
            f'expected {name} to span 1 us to 0.5 s in a sweep, got {span_ns / 1e9:.9g} s; '
            'check the time mode of the driver'
        )
    base_ns = 0 if is_absolute else stamp_ns
    off_stamp_ns = round(first * scale_ns) + base_ns - stamp_ns
    if abs(off_stamp_ns) > _MAX_OFF_STAMP_NS:
        is_tai = abs(abs(off_stamp_ns) - _TAI_OFFSET_NS) <= _MAX_OFF_STAMP_NS
        cause = ' (TAI against UTC)' if is_tai else ''
        return None, (
            f'expected {name} within a second of the stamp, got it {off_stamp_ns / 1e9:.3f} s '
            f'off{cause}; let the driver take both from one clock'
        )
    time_ns = np.empty(len(ticks), np.int64)
    _to_ns(ticks, first, last, scale_ns, base_ns, time_ns)
    return time_ns, ''


def _unit(dtype: np.dtype, magnitude: float) -> tuple[int, bool]:
    """Nanoseconds of one tick, 0 if unknown; and whether ticks count from the epoch."""
    if dtype.kind != 'f':
        return 1, False
    if magnitude <= _MAX_RELATIVE_S:
        return 1_000_000_000, False
    if 1e8 <= magnitude <= 1e11:
        return 1_000_000_000, True
    # Not beyond what int64 holds; NaN fails all of these.
    if 1e17 <= magnitude <= 9e18:
        return 1, True
    return 0, False


@numba.njit(nogil=True, cache=True)
def _span_of_returns(ticks, xyz):
    """Number of returns, and their first and last tick; NaN where one of them has none."""
    num_returns, first, last = 0, np.inf, -np.inf
    for i in range(len(ticks)):
        x, y, z = xyz[i, 0], xyz[i, 1], xyz[i, 2]
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(z)):
            continue
        if x == 0 and y == 0 and z == 0:
            continue
        tick = ticks[i]
        if np.isnan(tick):
            return 2, np.nan, np.nan
        num_returns += 1
        first, last = min(first, tick), max(last, tick)
    return num_returns, first, last


@numba.njit(nogil=True, cache=True)
def _to_ns(ticks, first, last, scale_ns, base_ns, time_ns):
    for i in range(len(ticks)):
        # What is no return may carry any number, or none.
        tick = min(ticks[i] if ticks[i] >= first else first, last)
        # Nanoseconds since the epoch are more than a float64 holds exactly.
        whole = np.floor(tick)
        part_ns = np.int64(np.rint((tick - whole) * scale_ns))
        time_ns[i] = base_ns + np.int64(whole) * scale_ns + part_ns
