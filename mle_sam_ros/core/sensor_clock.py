"""A sensor's own clock on the host's time, out of what the messages alone say."""

from collections import deque
from dataclasses import dataclass

import numpy as np

_SECOND = 1_000_000_000
# The least delay is sought in spans of this length, over the last ten seconds of them; the drift
# over the last minute.
_SPAN_NS = _SECOND // 4
_NUM_OFFSET_SPANS = 40
_NUM_DRIFT_SPANS = 240
# A whole span of delays longer than before by this much is no delay: a clock was set. The drift
# of quartz, 0.1 ms in a second at worst, is far from it. It takes so many messages to tell.
_STEP_NS = 20_000_000
_MIN_STEP_MESSAGES = 5
# Nor is a single delay shorter or longer by this much.
_JUMP_NS = _SECOND
_UNKNOWN_NS = 2**62


@dataclass
class _Span:
    """The smallest difference between a message's stamp and its first event's time."""

    begin_ns: int
    least_ns: int
    num_messages: int = 1


class SensorClock:
    """Follows the difference between host and sensor time by its lower envelope.

    A message's stamp is when the host had its first events: their time plus a delay that varies
    by some milliseconds, never below the least. The smallest difference of the last ten seconds
    is therefore the offset of the clocks plus the least delay, which a setting must correct.

    Attributes:
        jumps: how often a clock was set, so that the offset was found anew.
        drift_ppm: how much faster the host's clock runs, in millionths; None for ten seconds.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._reached_ns: int | None = None
        self.restart()

    def restart(self) -> None:
        """The sensor's clock began anew: the next message finds the offset."""
        self.drift_ppm: float | None = None
        self._open: _Span | None = None
        self._closed: deque[_Span] = deque(maxlen=_NUM_DRIFT_SPANS)
        self._closed_least_ns = _UNKNOWN_NS

    @property
    def offset_ns(self) -> int | None:
        """Host time minus sensor time, least delay included; None before the first message."""
        if self._open is None:
            return None
        return min(self._closed_least_ns, self._open.least_ns)

    def observe(self, sensor_ns: int, stamp_ns: int) -> None:
        """Learn from a message.

        Args:
            sensor_ns: time of its first event, on the sensor's clock.
            stamp_ns: of its header, on the host's clock.
        """
        difference_ns = stamp_ns - sensor_ns
        offset_ns = self.offset_ns
        if offset_ns is not None and abs(difference_ns - offset_ns) > _JUMP_NS:
            self._jump()
        if self._open is not None and stamp_ns - self._open.begin_ns < _SPAN_NS:
            self._open.least_ns = min(self._open.least_ns, difference_ns)
            self._open.num_messages += 1
            return
        if self._open is not None:
            self._close(self._open)
        self._open = _Span(stamp_ns, difference_ns)

    def to_host(self, t_ns: np.ndarray, end_ns: int) -> int:
        """Turn sensor times into host times in place, none before one that was given out earlier.

        Args:
            t_ns: (N,) int64, never decreasing, N >= 0, of the message observed last.
            end_ns: another time, not before them: until when the message tells everything.

        Returns:
            The host's time of `end_ns`.
        """
        offset_ns = self.offset_ns
        if offset_ns is None:
            raise ValueError('no message was observed')
        t_ns += offset_ns
        end_ns += offset_ns
        first_ns = int(t_ns[0]) if len(t_ns) else end_ns
        reached_ns = self._reached_ns
        # The offset shrinks by microseconds whenever a message was faster than all before it.
        if reached_ns is not None and 0 < reached_ns - first_ns < _JUMP_NS:
            np.maximum(t_ns, reached_ns, out=t_ns)
            end_ns = max(end_ns, reached_ns)
        self._reached_ns = end_ns
        return end_ns

    def _close(self, span: _Span) -> None:
        """Take a span's least difference into account, unless it tells that a clock was set."""
        is_step = span.least_ns > self._closed_least_ns + _STEP_NS
        if is_step and span.num_messages >= _MIN_STEP_MESSAGES:
            self._jump()
        self._closed.append(span)
        least_ns = [span.least_ns for span in self._closed]
        self._closed_least_ns = min(least_ns[-_NUM_OFFSET_SPANS:])
        if len(least_ns) >= _NUM_OFFSET_SPANS:
            begin_ns = np.array([other.begin_ns for other in self._closed]) - span.begin_ns
            slope = np.polyfit(begin_ns / _SECOND, np.array(least_ns) - span.least_ns, 1)[0]
            self.drift_ppm = 1e6 * float(slope) / _SECOND

    def _jump(self) -> None:
        self.jumps += 1
        self.restart()
