"""Events as one object each (`dvs_msgs/EventArray`), turned into packets of encoding `mono`.

Deserialising them would make an object of every event; here their bytes are looked at as a table.
"""

import struct
from typing import Any, NamedTuple

from mle_sam_ros.bags.typestore import typestore
import numpy as np

EVENT_ARRAYS = ('dvs_msgs/msg/EventArray', 'dv_ros2_msgs/msg/EventArray')
EVENT_PACKET = 'event_camera_msgs/msg/EventPacket'
_ROS1_EVENT = np.dtype(
    [('x', '<u2'), ('y', '<u2'), ('sec', '<u4'), ('nanosec', '<u4'), ('polarity', 'u1')]
)
# In CDR, numbers stand at multiples of their size. From the second event on each takes 16 bytes;
# the first, which follows the count, is two bytes shorter, and its x and y stand where it begins.
_CDR_EVENT = np.dtype(
    {
        'names': ['x', 'y', 'sec', 'nanosec', 'polarity'],
        'formats': ['<u2', '<u2', '<u4', '<u4', 'u1'],
        'offsets': [0, 2, 6, 10, 14],
        'itemsize': 16,
    }
)
_CDR_START = 4  # bytes that tell the byte order; positions count from behind them


class _Head(NamedTuple):
    """What stands before the events."""

    stamp: tuple[int, int]
    frame_id: str
    size_hw: tuple[int, int]
    num_events: int
    end: int


def packet_of_ros1(data: bytes, seq: int) -> bytes:
    """An `EventPacket` in CDR with the events of a message as ROS 1 has it.

    Args:
        data: the message.
        seq: for the packet.

    Raises:
        ValueError: for bytes that are no such message.
    """
    head = _head(data, 4, is_ros1=True)
    events = _table(data, _ROS1_EVENT, head.end, head.num_events)
    if head.end + events.nbytes != len(data):
        raise ValueError(f'{len(data)} bytes for {head.num_events} events')
    return _packet(head, events, events['x'], events['y'], seq)


def packet_of_cdr(data: bytes, seq: int) -> bytes:
    """The same of a message as ROS 2 has it.

    Raises:
        ValueError: for bytes that are no such message, or have the larger byte first.
    """
    if len(data) < _CDR_START or data[1] != 1:
        raise ValueError('no little-endian CDR')
    body = data[_CDR_START:]
    head = _head(body, 0, is_ros1=False)
    # The last byte of padding belongs to no event, and may be missing.
    events = _table(body + b'\x00', _CDR_EVENT, head.end - 2, head.num_events)
    x, y = events['x'].copy(), events['y'].copy()
    if head.num_events:
        x[0], y[0] = struct.unpack_from('<HH', body, head.end)
    return _packet(head, events, x, y, seq)


def _head(data: bytes, start: int, is_ros1: bool) -> _Head:
    try:
        sec, nanosec, length = struct.unpack_from('<III', data, start)
        text = data[start + 12 : start + 12 + length]
        end = start + 12 + length
        end += 0 if is_ros1 else -end % 4
        height, width, count = struct.unpack_from('<III', data, end)
    except struct.error as error:
        raise ValueError(str(error)) from None
    frame_id = text.rstrip(b'\x00').decode('utf-8', 'replace')
    return _Head((sec, nanosec), frame_id, (height, width), count, end + 12)


def _table(data: bytes, dtype: np.dtype, start: int, count: int) -> np.ndarray:
    if start + count * dtype.itemsize > len(data):
        raise ValueError(f'{len(data)} bytes for {count} events')
    return np.frombuffer(data, dtype, count, start)


def _packet(head: _Head, events: np.ndarray, x: np.ndarray, y: np.ndarray, seq: int) -> bytes:
    t_ns = events['sec'].astype(np.int64) * 1_000_000_000 + events['nanosec']
    time_base = int(t_ns.min()) if head.num_events else 0
    after_ns = t_ns - time_base
    if head.num_events and (after_ns.max() >= 2**32 or y.max() >= 2**15):
        raise ValueError('events of more than four seconds, or off any sensor')
    words = after_ns.astype(np.uint64)
    words |= x.astype(np.uint64) << np.uint64(32)
    words |= y.astype(np.uint64) << np.uint64(48)
    words |= (events['polarity'] != 0).astype(np.uint64) << np.uint64(63)
    store = typestore()
    types: Any = store.types
    stamp = types['builtin_interfaces/msg/Time'](*head.stamp)
    message = types[EVENT_PACKET](
        header=types['std_msgs/msg/Header'](stamp, head.frame_id),
        height=head.size_hw[0],
        width=head.size_hw[1],
        seq=seq,
        time_base=time_base,
        encoding='mono',
        is_bigendian=False,
        events=words.astype('<u8').view(np.uint8),
    )
    return bytes(store.serialize_cdr(message, EVENT_PACKET))
