"""The camera's beat, carried on while the camera is silent."""

from collections import deque
from dataclasses import dataclass
from statistics import median_low

NUM_INTERVALS = 15
SHORTEST_PERIOD_NS = 5_000_000  # Two stamps a nanosecond apart must not flood the engine.


@dataclass(frozen=True)
class Beat:
    """A frame that the camera owes.

    Attributes:
        stamp_ns: the stamp that it would have had.
        due_ns: when it would have arrived.
    """

    stamp_ns: int
    due_ns: int


class Metronome:
    """Tells which frames a silent camera owes, one after the other.

    The period is the median of the last intervals between stamps, which some lost frames do not
    disturb. The first frame owed is the first after `timeout_ns` of silence.
    """

    def __init__(self, timeout_ns: int, default_period_ns: int | None) -> None:
        """Set up; `default_period_ns` serves until two frames were heard, None for no beat."""
        self.beat: Beat | None = None
        self._timeout_ns = timeout_ns
        self._default_period_ns = default_period_ns
        self._intervals_ns: deque[int] = deque(maxlen=NUM_INTERVALS)
        self._last_stamp_ns: int | None = None

    @property
    def period_ns(self) -> int | None:
        """Time between beats; None while unknown."""
        if not self._intervals_ns:
            return self._default_period_ns
        return max(SHORTEST_PERIOD_NS, median_low(self._intervals_ns))

    def retune(self, timeout_ns: int, default_period_ns: int | None) -> None:
        """Count silence otherwise from the next frame on."""
        self._timeout_ns = timeout_ns
        self._default_period_ns = default_period_ns

    def hear(self, stamp_ns: int, arrival_ns: int) -> None:
        """The camera delivered a frame newer than all before it."""
        if self._last_stamp_ns is not None:
            self._intervals_ns.append(stamp_ns - self._last_stamp_ns)
        self._last_stamp_ns = stamp_ns
        self.start(stamp_ns, arrival_ns)

    def start(self, stamp_ns: int, arrival_ns: int) -> None:
        """Count silence from here, as if a frame of this stamp had just arrived."""
        self.beat = Beat(stamp_ns, arrival_ns)
        if self.period_ns is None:
            self.beat = None
        else:
            # At least two periods: a frame that is merely a little late is not owed.
            self._advance(max(2, -(-self._timeout_ns // self.period_ns)))

    def next(self) -> None:
        """The beat was served: go on to the next one."""
        self._advance(1)

    def skip(self, now_ns: int) -> None:
        """Go on to the first beat after now."""
        if self.beat is not None and self.period_ns is not None:
            self._advance(max(0, (now_ns - self.beat.due_ns) // self.period_ns + 1))

    def rest(self) -> None:
        """Time started anew: forget where the beat was, but not how fast."""
        self.beat = None
        self._last_stamp_ns = None

    def _advance(self, num_beats: int) -> None:
        if self.beat is not None and self.period_ns is not None:
            step_ns = num_beats * self.period_ns
            self.beat = Beat(self.beat.stamp_ns + step_ns, self.beat.due_ns + step_ns)
