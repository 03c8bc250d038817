"""Events as `sensor_msgs/PointCloud2`."""

from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.point_fields import read_points
from mle_sam_ros.core.stamp import stamp_ns
import numpy as np


def decode_event_cloud(message: Any, source: str) -> Events:
    """Read events from a `sensor_msgs/PointCloud2` with x, y, t and a polarity p, pol or polarity.

    `t` is uint32 nanoseconds after the stamp; or float64: absolute seconds, or, as CARLA's bridge
    declares it for want of a 64-bit integer type, the bits of an int64 count of nanoseconds.

    Raises:
        InputError: for a layout that cannot be read, or a `t` of another type.
    """
    points = read_points(message, ('x', 'y', 't'), source)
    names = points.dtype.names or ()
    polarity = next((name for name in ('p', 'pol', 'polarity') if name in names), None)
    if polarity is None:
        raise InputError(
            f'{source}: expected a field p, pol or polarity, got {", ".join(names)}; '
            'fix the event camera driver'
        )
    events = Events(
        points['x'].astype(np.uint16),
        points['y'].astype(np.uint16),
        _cloud_time_ns(points['t'], stamp_ns(message.header), source),
        (points[polarity] > 0).astype(np.uint8),
    )
    return events.in_order()


def _cloud_time_ns(t: np.ndarray, base_ns: int, source: str) -> np.ndarray:
    if t.dtype == np.uint32:
        return base_ns + t.astype(np.int64)
    if t.dtype != np.float64:
        raise InputError(
            f'{source}: expected t as uint32 (nanoseconds after the stamp) or float64 (seconds), '
            f'got {t.dtype}; fix the event camera driver'
        )
    # An int64 below 2^52 read as float64 is subnormal, which no time in seconds ever is.
    if len(t) and np.abs(t).max() < np.finfo(np.float64).tiny:
        return np.ascontiguousarray(t).view(np.int64)
    return np.round(t * 1e9).astype(np.int64)
