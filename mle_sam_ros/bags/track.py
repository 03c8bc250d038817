"""One topic of a recording, looked up by stamp while a drive goes by."""

from mle_sam_ros.bags.reader import BagMessage, BagReader
from mle_sam_ros.core.stamp import stamp_ns


class Track:
    """Gives the messages of a topic by their stamps, holding no more than two of them.

    Stamps are asked for in the order in which the topic has them: rising. Where the recording
    jumps back in time, both jump.

    Attributes:
        num_used: messages that were given out.
    """

    def __init__(self, reader: BagReader, topic: str) -> None:
        """Start at the first message."""
        self.num_used = 0
        self._num_read = 0
        self._messages = reader.messages([topic])
        self._before: BagMessage | None = None
        self._after = self._next()
        self._last_given: BagMessage | None = None
        self._last_asked_ns = 0

    def at(self, time_ns: int, tolerance_ns: int = 0) -> BagMessage | None:
        """The message nearest to this stamp, or None if none is within the tolerance."""
        if time_ns < self._last_asked_ns:
            self._go_to_jump()
        self._last_asked_ns = time_ns
        while self._after is not None and not self._jumps and _time(self._after) <= time_ns:
            self._before, self._after = self._after, self._next()
        candidates = [item for item in (self._before, self._after) if item is not None]
        nearest = min(candidates, key=lambda item: abs(_time(item) - time_ns), default=None)
        if nearest is None or abs(_time(nearest) - time_ns) > tolerance_ns:
            return None
        self.num_used += nearest is not self._last_given
        self._last_given = nearest
        return nearest

    def count(self) -> int:
        """How many messages the topic has; nothing can be looked up afterwards."""
        while self._next() is not None:
            pass
        return self._num_read

    @property
    def _jumps(self) -> bool:
        """Whether the topic jumps back between the two messages at hand."""
        if self._before is None or self._after is None:
            return False
        return _time(self._after) < _time(self._before)

    def _go_to_jump(self) -> None:
        while self._after is not None and not self._jumps:
            self._before, self._after = self._after, self._next()
        self._before = None

    def _next(self) -> BagMessage | None:
        item = next(self._messages, None)
        self._num_read += item is not None
        return item


def _time(item: BagMessage) -> int:
    return stamp_ns(item.message.header)
