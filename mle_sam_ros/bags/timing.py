"""The times of one topic: how regular they are, and how far stamps and log times differ."""

from array import array
from dataclasses import dataclass

from mle_sam_ros.bags.reader import Arrival
from mle_sam_ros.core.streams import ClockLimits
import numpy as np

# An interval this many times the usual one is a gap.
_GAP_FACTOR = 2.5
_TAI_NS = 37_000_000_000
_SECOND_NS = 1_000_000_000
# Stamps below count from when a sensor was switched on, not from 1970.
_UPTIME_LIMIT_NS = 10 * 365 * 86_400 * _SECOND_NS


@dataclass(frozen=True)
class Delay:
    """Log time minus stamp, milliseconds."""

    least_ms: float
    median_ms: float
    most_ms: float


@dataclass(frozen=True)
class Timing:
    """What the times of a topic say.

    Attributes:
        messages: how many.
        num_bytes: of all messages, serialised.
        rate_hz: from the usual interval; None with fewer than two messages.
        longest_gap_s: the longest interval; None with fewer than two messages.
        gaps: intervals of more than 2.5 times the usual one.
        repeats: stamps that equal the one before.
        steps_back: stamps before the one before, by at most a second.
        jumps_back: the same by more than a second, as when a recording starts anew.
        delay: None where messages have no stamp.
        notes: what somebody should know, one line each.
    """

    messages: int
    num_bytes: int
    rate_hz: float | None
    longest_gap_s: float | None
    gaps: int
    repeats: int
    steps_back: int
    jumps_back: int
    delay: Delay | None
    notes: tuple[str, ...]


class TimingTally:
    """Collects the arrivals of one topic."""

    def __init__(self) -> None:
        self._log_times = array('q')
        self._stamps = array('q')
        self._num_bytes = 0

    def add(self, arrival: Arrival) -> None:
        """Take in the next message of the topic."""
        self._log_times.append(arrival.log_time_ns)
        if arrival.stamp_ns is not None:
            self._stamps.append(arrival.stamp_ns)
        self._num_bytes += arrival.num_bytes

    def timing(self) -> Timing:
        """What was collected so far."""
        log_times = np.array(self._log_times, np.int64)
        is_stamped = len(self._stamps) == len(log_times) > 0
        times = np.array(self._stamps, np.int64) if is_stamped else log_times
        steps = np.diff(times)
        onward = steps[steps > 0]
        usual = float(np.median(onward)) if len(onward) else None
        is_back = steps < -ClockLimits().max_step_back_ns
        is_gap = onward > _GAP_FACTOR * usual if usual is not None else onward > 0
        delay = _delay(log_times - times) if is_stamped else None
        return Timing(
            messages=len(log_times),
            num_bytes=self._num_bytes,
            rate_hz=None if usual is None else round(_SECOND_NS / usual, 3),
            longest_gap_s=float(onward.max()) / _SECOND_NS if len(onward) else None,
            gaps=int(is_gap.sum()),
            # Without stamps, log times may well coincide.
            repeats=int((steps == 0).sum()) if is_stamped else 0,
            steps_back=int(((steps < 0) & ~is_back).sum()),
            jumps_back=int(is_back.sum()),
            delay=delay,
            notes=tuple(_notes(times, steps, is_back, delay, is_stamped)),
        )


def _delay(difference_ns: np.ndarray) -> Delay:
    values = np.percentile(difference_ns, [0, 50, 100]) / 1e6
    return Delay(*(round(float(value), 3) for value in values))


def _notes(
    times: np.ndarray,
    steps: np.ndarray,
    is_back: np.ndarray,
    delay: Delay | None,
    is_stamped: bool,
) -> list[str]:
    notes = []
    for index in np.flatnonzero(is_back)[:3]:
        notes.append(
            f'the clock jumps back by {-steps[index] / 1e9:.3f} s after message {index + 1}; '
            'the pipeline starts anew there'
        )
    if is_stamped and not times.any():
        return [*notes, 'all stamps are zero; set them in the driver']
    if delay is None:
        return notes
    limits, median_ns = ClockLimits(), delay.median_ms * 1e6
    if 0 <= times.max() < _UPTIME_LIMIT_NS < times.max() + median_ns:
        notes.append(
            'stamps count from when the sensor was switched on; set its clock by PTP, or stamp '
            'with the host'
        )
    elif abs(abs(median_ns) - _TAI_NS) < _SECOND_NS:
        notes.append(
            f'stamps are {-median_ns / 1e9:+.3f} s from log times: atomic time (TAI) is 37 s '
            'ahead of UTC; correct it in the driver'
        )
    elif not -limits.max_ahead_ns <= median_ns <= limits.max_behind_ns:
        notes.append(
            f'stamps are {-median_ns / 1e9:+.3f} s from log times, which is refused (too_old or '
            'in_future); record with both on one clock'
        )
    return notes
