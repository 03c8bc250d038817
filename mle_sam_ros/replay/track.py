"""One topic of a recording, looked up by stamp while a drive goes by."""

from mle_sam_ros.bags.reader import BagMessage, BagReader
from mle_sam_ros.core.stamp import stamp_ns


class Track:
    """Gives the messages of a topic by their stamps, holding no more than two of them.

    Stamps are asked for in the order in which the topic has them: rising, but for a jump back
    where the recording itself jumps.

    Attributes:
        num_used: messages that were given out.
    """

    def __init__(self, reader: BagReader, topic: str) -> None:
        """Start at the first message; the reader serves no one else meanwhile."""
        self.num_used = 0
        self._num_read = 0
        self._messages = reader.messages([topic])
        self._before: BagMessage | None = None
        self._after = self._next()
        self._last_given: BagMessage | None = None

    def at(self, time_ns: int, tolerance_ns: int = 0) -> BagMessage | None:
        """The message nearest to this stamp, or None if none is within the tolerance."""
        while self._after is not None and self._is_past(self._after, time_ns):
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

    def _next(self) -> BagMessage | None:
        item = next(self._messages, None)
        self._num_read += item is not None
        return item

    def _is_past(self, following: BagMessage, time_ns: int) -> bool:
        """Whether to go on to the next message: it is due, and no jump back lies before it."""
        if self._before is not None and _time(following) < _time(self._before) <= time_ns:
            return False
        return _time(following) <= time_ns


def _time(item: BagMessage) -> int:
    return stamp_ns(item.message.header)
