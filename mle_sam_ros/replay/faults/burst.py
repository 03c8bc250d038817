"""An event camera that floods: flicker, rain, a broken bias."""

from dataclasses import dataclass, replace
from typing import Any

from mle_sam_ros.bags.messages import event_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.replay.faults.fault import Draw, MessageFault, NumberFault, Passing, Step
import numpy as np

# However long a stream paused, its next packet is of no more.
_MAX_SPAN_NS = 100_000_000
# What both `mono` and clouds can tell; no driver fills a packet for as long.
_MAX_PACKET_NS = 2**32 - 1
_MAX_HW = 2**15, 2**16


@dataclass(frozen=True)
class Burst(NumberFault, MessageFault):
    """So many events a second come on top, at any pixel and any time.

    From the first on, packets are written anew in the encoding `mono`, as nothing can be put into
    the middle of words that continue one another; a stream that went back to its encoding would
    begin anew. Clouds stay clouds, and are flooded where they have had events.
    """

    kind = 'burst'
    takes = 'events per second'
    said = '{number:,.0f} more events per second'
    victims = 'event'
    low, high = 0.0, 1e8

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it."""
        return stream == 'event'

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""
        return _Flood(self.value, draw)


class _Flood:
    """The step of one stream: packets continue one another, so all are decoded."""

    def __init__(self, rate_hz: float, draw: Draw) -> None:
        self._rate_hz = rate_hz
        self._draw = draw
        self._decoder = EventDecoder()
        self._size_hw = (0, 0)
        self._end_ns: int | None = None
        self._has_begun = False

    def __call__(self, item: Passing, holds: bool) -> Passing:
        if not self._rate_hz:
            return item
        message = item.message
        try:
            events = self._decoder.decode(message, 'event')
        except InputError:
            return item  # whoever reads it says what is wrong with it
        begin_ns, self._end_ns = self._end_ns, self._decoder.end_ns
        self._size_hw = _size_of(message, events, self._size_hw)
        self._has_begun |= holds
        if not self._has_begun:
            return item
        if holds and begin_ns is not None and self._end_ns is not None:
            begin_ns = max(begin_ns, self._end_ns - _MAX_SPAN_NS)
            extra = self._extra(begin_ns, self._end_ns, self._draw(item.number))
            events = Events.concatenate([events, extra]).in_order()
        if len(events) and events.t_ns[-1] - events.t_ns[0] > _MAX_PACKET_NS:
            return item
        return item._replace(message=_rewritten(message, events))

    def _extra(self, begin_ns: int, end_ns: int, chance: np.random.Generator) -> Events:
        """Events with begin < t <= end; none where the packet is not later than the one before."""
        span_ns, (height, width) = end_ns - begin_ns, self._size_hw
        if span_ns <= 0 or not height * width:
            return Events.uninitialized(0)
        count = int(chance.poisson(self._rate_hz * span_ns / 1e9))
        return Events(
            chance.integers(0, min(width, _MAX_HW[1]), count, np.uint16),
            chance.integers(0, min(height, _MAX_HW[0]), count, np.uint16),
            begin_ns + np.sort(chance.integers(1, span_ns + 1, count)),
            chance.integers(0, 2, count, np.uint8),
        )


def _size_of(message: Any, events: Events, known_hw: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the sensor, as packets say it, and of clouds the events so far."""
    if hasattr(message, 'time_base'):
        return int(message.height), int(message.width)
    if not len(events):
        return known_hw
    return max(known_hw[0], int(events.y.max()) + 1), max(known_hw[1], int(events.x.max()) + 1)


def _rewritten(message: Any, events: Events) -> Any:
    """A message of the same stamp and type with these events, whose order is that of time."""
    now_ns = stamp_ns(message.header)
    base_ns = int(events.t_ns[0]) if len(events) else now_ns
    if not hasattr(message, 'time_base'):
        return event_cloud(events, base_ns, message.header.frame_id)
    words = (events.t_ns - base_ns).astype(np.uint64)
    words |= events.x.astype(np.uint64) << np.uint64(32)
    words |= events.y.astype(np.uint64) << np.uint64(48)
    words |= events.polarity.astype(np.uint64) << np.uint64(63)
    return replace(
        message,
        time_base=base_ns,
        encoding='mono',
        is_bigendian=False,
        events=words.astype('<u8').view(np.uint8),
    )
