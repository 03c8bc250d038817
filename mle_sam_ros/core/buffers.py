"""What the streams beside the camera have delivered lately.

Inside a buffer time is common time, `stamp + offset`, in integer nanoseconds.
"""

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Any

from mle_sam_ros.core.account import StreamAccount
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.sensor_set import Sample
from mle_sam_ros.core.streams import NearestStream, WindowStream

AT_ONCE = -(2**63)
FOR_EVER = 2**63 - 1


@dataclass(frozen=True)
class _Entry:
    time_ns: int
    payload: Any
    num_bytes: int


class StreamBuffer(ABC):
    """Samples of one stream in order of time, bounded in seconds and in bytes.

    Attributes:
        stream: the settings.
        account: what became of the stream's samples.
        newest_ns: the time of the last sample, even where that was evicted since; None at first.
        num_bytes: memory of the samples held.
    """

    def __init__(self, stream: NearestStream | WindowStream) -> None:
        self.stream = stream
        self.account = StreamAccount()
        self.clear()

    def clear(self) -> None:
        """Forget all samples."""
        self.newest_ns: int | None = None
        self.num_bytes = 0
        self._entries: deque[_Entry] = deque()

    def push(self, time_ns: int, payload: Any, num_bytes: int) -> None:
        """Keep a sample newer than all before it, and drop what then exceeds the bounds."""
        self.newest_ns = time_ns
        self.num_bytes += num_bytes
        self._entries.append(_Entry(time_ns, payload, num_bytes))
        while self._entries[0].time_ns < time_ns - self.stream.buffer_ns:
            self._drop_oldest()
        while self.num_bytes > self.stream.buffer_bytes:
            self._drop_oldest()
            self.account.evicted += 1

    @abstractmethod
    def is_alive_at(self, time_ns: int) -> bool:
        """Whether the stream was heard lately. Once false, it is false for all later times."""

    @abstractmethod
    def worth_waiting_until_ns(self, time_ns: int) -> int:
        """Until when an instant should wait for the stream; `AT_ONCE` where that is vain."""

    @abstractmethod
    def serves(self, time_ns: int) -> bool:
        """Whether `sample_at` gives something."""

    @abstractmethod
    def sample_at(self, time_ns: int) -> Sample | None:
        """What the stream contributes to an instant, out of what is already here."""

    def _drop_oldest(self) -> None:
        self.num_bytes -= self._entries.popleft().num_bytes

    def _reaches(self, time_ns: int) -> bool:
        return self.newest_ns is not None and self.newest_ns >= time_ns


class _NearestBuffer(StreamBuffer):
    stream: NearestStream

    def is_alive_at(self, time_ns: int) -> bool:
        return self._reaches(time_ns - self.stream.max_age_ns)

    def worth_waiting_until_ns(self, time_ns: int) -> int:
        return AT_ONCE

    def serves(self, time_ns: int) -> bool:
        return self._nearest(time_ns) is not None

    def sample_at(self, time_ns: int) -> Sample | None:
        nearest = self._nearest(time_ns)
        if nearest is None:
            return None
        return Sample(nearest.time_ns - self.stream.offset_ns, nearest.payload)

    def _nearest(self, time_ns: int) -> _Entry | None:
        def distance_ns(entry: _Entry) -> int:
            return abs(time_ns - entry.time_ns)

        near = (entry for entry in self._entries if distance_ns(entry) <= self.stream.max_age_ns)
        return min(near, key=distance_ns, default=None)


class _WindowBuffer(StreamBuffer):
    stream: WindowStream

    def push(self, time_ns: int, payload: Events, num_bytes: int) -> None:
        # A packet may begin before its predecessor ended; the window must stay in order of time.
        if self.newest_ns is not None:
            payload = payload.window(self.newest_ns - self.stream.offset_ns - 1, FOR_EVER)
        super().push(time_ns, payload, max(num_bytes, payload.nbytes))

    def is_alive_at(self, time_ns: int) -> bool:
        return self._reaches(time_ns - self.stream.max_silence_ns)

    def worth_waiting_until_ns(self, time_ns: int) -> int:
        if self._reaches(time_ns) or not self.is_alive_at(time_ns):
            return AT_ONCE
        return time_ns + self.stream.wait_ns

    def serves(self, time_ns: int) -> bool:
        # A window of which nothing was seen is absent: no events would claim a still scene.
        return self._reaches(time_ns - self.stream.window_ns + 1)

    def sample_at(self, time_ns: int) -> Sample | None:
        if self.newest_ns is None or not self.serves(time_ns):
            return None
        until_ns = time_ns - self.stream.offset_ns
        after_ns = until_ns - self.stream.window_ns
        packets = [e.payload for e in self._entries if e.time_ns > time_ns - self.stream.window_ns]
        parts = [packet.window(after_ns, until_ns) for packet in packets]
        end_ns = min(self.newest_ns, time_ns) - self.stream.offset_ns
        return Sample(end_ns, Events.concatenate([part for part in parts if len(part)]))


def buffer_for(stream: NearestStream | WindowStream) -> StreamBuffer:
    """An empty buffer that works as the stream's settings say."""
    return _NearestBuffer(stream) if isinstance(stream, NearestStream) else _WindowBuffer(stream)
