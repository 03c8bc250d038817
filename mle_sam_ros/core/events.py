"""Events of an event camera: messages to arrays in sensor time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.point_fields import read_points
from mle_sam_ros.core.stamp import stamp_ns
import numpy as np


@dataclass(frozen=True, eq=False)
class Events:
    """Changes of brightness, in order of time.

    Attributes:
        x: (N,) uint16, column.
        y: (N,) uint16, row.
        t_ns: (N,) int64, sensor time, never decreasing.
        polarity: (N,) uint8, 1 brighter, 0 darker.
    """

    x: np.ndarray
    y: np.ndarray
    t_ns: np.ndarray
    polarity: np.ndarray

    def __len__(self) -> int:
        return len(self.t_ns)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        return self.x.nbytes + self.y.nbytes + self.t_ns.nbytes + self.polarity.nbytes

    def window(self, after_ns: int, until_ns: int) -> 'Events':
        """The events with after_ns < t <= until_ns, as views."""
        first, last = np.searchsorted(self.t_ns, [after_ns, until_ns], side='right')
        part = slice(first, last)
        return Events(self.x[part], self.y[part], self.t_ns[part], self.polarity[part])

    @staticmethod
    def concatenate(parts: Sequence['Events']) -> 'Events':
        """Join parts that follow one another in time; no parts give no events."""
        if not parts:
            return EMPTY
        return Events(
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.t_ns for part in parts]),
            np.concatenate([part.polarity for part in parts]),
        )


EMPTY = Events(
    np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.int64), np.empty(0, np.uint8)
)


def decode_event_packet(message: Any, source: str) -> Events:
    """Read an `event_camera_msgs/EventPacket` of encoding `libcaer` or `mono`.

    Events outside the sensor (bit errors) are dropped.

    Raises:
        InputError: for another encoding, big-endian data, or a length that is not whole events.
    """
    decoders = {'libcaer': _decode_libcaer, 'mono': _decode_mono}
    if message.encoding not in decoders:
        raise InputError(
            f'{source}: expected encoding {" or ".join(decoders)}, got {message.encoding!r}; '
            'set the encoding in the event camera driver'
        )
    if message.is_bigendian:
        raise InputError(
            f'{source}: expected little-endian events, got is_bigendian true; '
            'convert them in the driver'
        )
    if len(message.events) % 8:
        raise InputError(
            f'{source}: expected whole events of 8 bytes, got {len(message.events)} bytes; '
            'the packet is cut short, check the transport'
        )
    words = np.frombuffer(message.events, '<u8')
    events = decoders[message.encoding](words, int(message.time_base))
    return _checked(events, message.width, message.height)


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
    return _in_order(events)


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


def _decode_libcaer(words: np.ndarray, time_base: int) -> Events:
    """32 bits {valid, polarity, y (15), x (15)}, then int32 microseconds after time_base."""
    address = (words & 0xFFFFFFFF).astype(np.uint32)
    t_us = (words >> np.uint64(32)).astype(np.uint32).view(np.int32).astype(np.int64)
    # The 31-bit microsecond counter rolls over every 35 minutes, perhaps inside a packet.
    rollovers = np.cumsum(np.diff(t_us, prepend=t_us[:1]) < -(2**30))
    t_ns = time_base + (t_us + (rollovers << 31)) * 1000
    valid = (address & 1).astype(bool)
    return Events(
        ((address >> 17) & 0x7FFF).astype(np.uint16)[valid],
        ((address >> 2) & 0x7FFF).astype(np.uint16)[valid],
        t_ns[valid],
        ((address >> 1) & 1).astype(np.uint8)[valid],
    )


def _decode_mono(words: np.ndarray, time_base: int) -> Events:
    """Bits 0..31 nanoseconds after time_base, 32..47 x, 48..62 y, 63 polarity."""
    return Events(
        ((words >> np.uint64(32)) & 0xFFFF).astype(np.uint16),
        ((words >> np.uint64(48)) & 0x7FFF).astype(np.uint16),
        time_base + (words & 0xFFFFFFFF).astype(np.int64),
        (words >> np.uint64(63)).astype(np.uint8),
    )


def _checked(events: Events, width: int, height: int) -> Events:
    inside = (events.x < width) & (events.y < height)
    if not inside.all():
        events = Events(
            events.x[inside], events.y[inside], events.t_ns[inside], events.polarity[inside]
        )
    return _in_order(events)


def _in_order(events: Events) -> Events:
    if (np.diff(events.t_ns) >= 0).all():
        return events
    order = np.argsort(events.t_ns, kind='stable')
    return Events(events.x[order], events.y[order], events.t_ns[order], events.polarity[order])
