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
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._reached_ns: int | None = None
        self.restart()

    def restart(self) -> None:
        """The sensor's clock began anew: the next message finds the offset."""
        self._spans: deque[_Span] = deque(maxlen=_NUM_DRIFT_SPANS)
        self._offset_spans: deque[_Span] = deque(maxlen=_NUM_OFFSET_SPANS)

    @property
    def offset_ns(self) -> int | None:
        """Host time minus sensor time, least delay included; None before the first message."""
        return min((span.least_ns for span in self._offset_spans), default=None)

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the host's clock runs, in millionths; None for the first ten seconds."""
        spans = list(self._spans)[:-1]  # the last one is still open
        if len(spans) < _NUM_OFFSET_SPANS:
            return None
        begin_ns = np.array([span.begin_ns - spans[0].begin_ns for span in spans], np.float64)
        least_ns = np.array([span.least_ns - spans[0].least_ns for span in spans], np.float64)
        return 1e6 * float(np.polyfit(begin_ns, least_ns, 1)[0])

    def observe(self, sensor_ns: int, stamp_ns: int) -> None:
        """Learn from a message.

        Args:
            sensor_ns: time of its first event, on the sensor's clock.
            stamp_ns: of its header, on the host's clock; not before that of the last message.
        """
        difference_ns = stamp_ns - sensor_ns
        offset_ns = self.offset_ns
        if offset_ns is not None and abs(difference_ns - offset_ns) > _JUMP_NS:
            self._jump()
        if not self._spans or stamp_ns - self._spans[-1].begin_ns >= _SPAN_NS:
            self._close_span()
            span = _Span(stamp_ns, difference_ns)
            self._spans.append(span)
            self._offset_spans.append(span)
        else:
            span = self._spans[-1]
            span.least_ns = min(span.least_ns, difference_ns)
            span.num_messages += 1

    def host_ns(self, sensor_ns: np.ndarray) -> np.ndarray:
        """Sensor times as host times, none before one that was given out earlier.

        Args:
            sensor_ns: (N,) int64, never decreasing, N >= 1, of the message observed last.

        Returns:
            (N,) int64.
        """
        host_ns = sensor_ns + self.offset_ns
        reached_ns = self._reached_ns
        # The offset shrinks by microseconds whenever a message was faster than all before it.
        if reached_ns is not None and 0 < reached_ns - host_ns[0] < _JUMP_NS:
            np.maximum(host_ns, reached_ns, out=host_ns)
        self._reached_ns = int(host_ns[-1])
        return host_ns

    def _close_span(self) -> None:
        """See whether the last span tells of a clock that was set."""
        if len(self._offset_spans) < 2:
            return
        *before, last = self._offset_spans
        is_step = last.least_ns - min(span.least_ns for span in before) > _STEP_NS
        if is_step and last.num_messages >= _MIN_STEP_MESSAGES:
            self._jump()
            self._spans.append(last)
            self._offset_spans.append(last)

    def _jump(self) -> None:
        self.jumps += 1
        self.restart()
