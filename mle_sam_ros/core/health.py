"""Whether each input does its part: the judgement behind `/diagnostics`, without ROS.

Every fault begins as a warning, becomes an error once it has lasted `error_after_s`, and is over
as soon as it is over.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from mle_sam_ros.core.clock_offset import clock_hint

# Streams are judged out of sync by what they did in this time, and by at least so many samples.
_SYNC_WINDOW_S = 3.0
_NUM_SAMPLES = 3
# Reasons of `FrameAccount` and `StreamAccount` that accuse the clock.
CLOCK_REASONS = frozenset({'no_stamp', 'too_old', 'in_future'})


class Level(IntEnum):
    """As in `diagnostic_msgs/DiagnosticStatus`."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class HealthLimits:
    """When the diagnostics complain.

    Attributes:
        stale_after_s: silence of a sensor that is taken for a fault, in seconds.
        error_after_s: a warning that has lasted this long becomes an error, in seconds.
        suspect_after_s: the router has to contradict a sensor's health this long before it is
            told, in seconds.
        max_processing_time_ms: of one frame, in milliseconds; a slower one is told. 0 sets no
            limit.
    """

    stale_after_s: float = 1.0
    error_after_s: float = 5.0
    suspect_after_s: float = 5.0
    max_processing_time_ms: float = 0.0


@dataclass(frozen=True)
class Health:
    """A judgement.

    Attributes:
        level: of the status.
        state: one word.
        message: one line for people.
    """

    level: Level
    state: str
    message: str


class Escalation:
    """Turns a warning that lasts into an error."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def level(self, is_fine: bool, now_s: float, error_after_s: float) -> Level:
        """OK as soon as all is fine; else WARN, and ERROR after a while."""
        if is_fine:
            self._since_s = None
            return Level.OK
        if self._since_s is None:
            self._since_s = now_s
        return Level.ERROR if now_s - self._since_s >= error_after_s else Level.WARN

    def duration_s(self, now_s: float) -> float:
        """How long it has not been fine."""
        return 0.0 if self._since_s is None else now_s - self._since_s


@dataclass(frozen=True)
class Observation:
    """What was seen of one input since it was subscribed to.

    Attributes:
        topic: its name, for people.
        is_steady: whether its silence is a fault.
        received: messages.
        silence_s: seconds since the last message; None before the first.
        num_publishers: of the topic, now.
        faults: messages and samples that could not be used.
        last_fault: why, the last time; one line.
        delay_s: by how much the last message's stamp lay behind the node's clock on arrival;
            negative where it lay ahead, None before the first stamp.
        stamp_s: the last stamp, in seconds.
        refused: samples that time alignment refused, by reason.
        served: sensor sets that the stream took part in; None where it takes part in none.
        sets: sensor sets made.
        lacks_camera_info: what its calibration lacks are intrinsics.
        lack: what its calibration lacks, in one line; None where it is complete.
    """

    topic: str
    is_steady: bool
    received: int = 0
    silence_s: float | None = None
    num_publishers: int = 0
    faults: int = 0
    last_fault: str = ''
    delay_s: float | None = None
    stamp_s: float = 0.0
    refused: Mapping[str, int] = field(default_factory=dict)
    served: int | None = None
    sets: int = 0
    lacks_camera_info: bool = False
    lack: str | None = None

    @property
    def refused_by_clock(self) -> int:
        """Samples refused because their stamps cannot be true."""
        return sum(self.refused.get(reason, 0) for reason in CLOCK_REASONS)


class InputJudge:
    """Judges one input, report by report."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, Observation]] = deque()
        self._escalation = Escalation()
        self.rate_hz = 0.0

    def judge(self, seen: Observation, now_s: float, limits: HealthLimits) -> Health:
        """The state of the input, and how grave it is.

        Args:
            seen: up to now.
            now_s: on a clock that never goes back.
            limits: as of now.
        """
        last = self._history[-1][1] if self._history else Observation(seen.topic, seen.is_steady)
        self._history.append((now_s, seen))
        while self._history[0][0] < now_s - _SYNC_WINDOW_S:
            self._history.popleft()
        before_s, before = self._history[0]
        if now_s > before_s:
            self.rate_hz = (seen.received - before.received) / (now_s - before_s)
        state, message = self._state(seen, last, before, limits)
        # What nobody needs may be missing; where it is needed, the one in need says so.
        is_fine = state == 'ok' or (state == 'never_received' and not seen.is_steady)
        return Health(self._escalation.level(is_fine, now_s, limits.error_after_s), state, message)

    def _state(
        self, seen: Observation, last: Observation, before: Observation, limits: HealthLimits
    ) -> tuple[str, str]:
        if seen.silence_s is None:
            return 'never_received', _never_received(seen)
        if seen.is_steady and seen.silence_s > limits.stale_after_s:
            return 'stale', f'{seen.topic} is silent since {seen.silence_s:.1f} s'
        if seen.faults > last.faults:
            return 'rejected', seen.last_fault
        if seen.lack is not None:
            kind = 'camera_info' if seen.lacks_camera_info else 'transform'
            return f'waiting_{kind}', seen.lack
        if (reason := _desynchronisation(seen, last, before)) is not None:
            return 'out_of_sync', f'{seen.topic}: {reason}'
        return 'ok', f'{self.rate_hz:.1f} Hz'


def _never_received(seen: Observation) -> str:
    message = f'nothing received on {seen.topic} yet'
    if seen.last_fault:
        return f'{message}: {seen.last_fault}'
    if not seen.num_publishers:
        return f'{message}: nobody publishes it'
    return f'{message}, although it has a publisher'


def _desynchronisation(seen: Observation, last: Observation, before: Observation) -> str | None:
    """Why the samples of late are of no use to any frame; None where they are, or may be."""
    received = seen.received - before.received
    if received < _NUM_SAMPLES:
        return None
    hint = clock_hint(seen.stamp_s, seen.delay_s)
    refused = seen.refused_by_clock - before.refused_by_clock
    if 2 * refused > received and seen.refused_by_clock > last.refused_by_clock:
        reasons = ', '.join(
            reason
            for reason in sorted(CLOCK_REASONS)
            if seen.refused.get(reason, 0) > before.refused.get(reason, 0)
        )
        return f'{refused} of the last {received} messages were refused ({reasons}); {hint}'
    if seen.served is None or before.served is None or seen.sets - before.sets < _NUM_SAMPLES:
        return None
    if seen.served == before.served:
        return (
            f'none of the last {received} messages served one of '
            f'{seen.sets - before.sets} sensor sets; {hint}'
        )
    return None
