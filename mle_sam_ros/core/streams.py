"""How each stream takes part in time alignment. All times in integer nanoseconds.

`offset_ns` moves a stream's stamps onto the common time: what is compared is `stamp + offset`.
"""

from dataclasses import dataclass

from mle_sam_ros.core.errors import InputError

MILLISECOND = 1_000_000
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class CameraStream:
    """The stream that sets the pace: one sensor set for each of its frames.

    Attributes:
        name: of the stream.
        offset_ns: from the stamp to the reference time; half the exposure where stamps mark its
            start.
        wait_ns: the longest a frame waits for other streams, counted from its reference time.
        timeout_ns: silence after which sensor sets are made without the camera.
        default_period_ns: the period of those sets before two frames were seen; None makes none
            until then.
    """

    name: str = 'camera'
    offset_ns: int = 0
    wait_ns: int = 30 * MILLISECOND
    timeout_ns: int = 250 * MILLISECOND
    default_period_ns: int | None = None

    def __post_init__(self) -> None:
        _check_not_negative(self, 'wait_ns')
        _check_positive(self, 'timeout_ns')
        if self.default_period_ns is not None:
            _check_positive(self, 'default_period_ns')


@dataclass(frozen=True)
class NearestStream:
    """A stream that gives the sample nearest to the reference time, as a LiDAR gives sweeps.

    Only samples already here count; a future one is never waited for. One sample may serve
    several frames.

    Attributes:
        name: of the stream.
        offset_ns: from the sensor's clock to the common time.
        max_age_ns: greatest distance in time, to either side, at which a sample still serves.
        buffer_ns: time span of the samples kept.
        buffer_bytes: memory of the samples kept.
        required: whether a frame without this stream is rejected. Such a frame waits the camera's
            whole `wait_ns` first.
    """

    name: str
    offset_ns: int = 0
    max_age_ns: int = 150 * MILLISECOND
    buffer_ns: int = 1000 * MILLISECOND
    buffer_bytes: int = 128 * MEBIBYTE
    required: bool = False

    def __post_init__(self) -> None:
        _check_not_negative(self, 'max_age_ns', 'buffer_ns')
        _check_positive(self, 'buffer_bytes')


@dataclass(frozen=True)
class SweepStream(NearestStream):
    """A LiDAR: its sweeps are paired by their middle.

    Attributes:
        middle_ns: from the stamp to the middle of a sweep whose points carry no times; half a
            revolution where stamps mark its start. Where they do, their middle counts.
    """

    middle_ns: int = 50 * MILLISECOND


@dataclass(frozen=True)
class WindowStream:
    """A stream that gives all events in (reference - window, reference].

    A sample is a packet of `core.events.Events`, stamped with the END of the time that it covers,
    so that a packet without events still says that nothing happened.

    Attributes:
        name: of the stream.
        window_ns: length of the window.
        offset_ns: from the sensor's clock to the common time.
        wait_ns: the longest a frame waits for the packet that completes its window, counted from
            its reference time.
        max_silence_ns: a stream that ends longer ago is taken for dead, and no frame waits for it.
        buffer_ns: time span of the packets kept.
        buffer_bytes: memory of the packets kept.
        required: whether a frame without this stream is rejected. Such a frame waits the camera's
            whole `wait_ns` first.
    """

    name: str
    window_ns: int = 30 * MILLISECOND
    offset_ns: int = 0
    wait_ns: int = 15 * MILLISECOND
    max_silence_ns: int = 100 * MILLISECOND
    buffer_ns: int = 500 * MILLISECOND
    buffer_bytes: int = 128 * MEBIBYTE
    required: bool = False

    def __post_init__(self) -> None:
        _check_positive(self, 'window_ns', 'buffer_bytes')
        _check_not_negative(self, 'wait_ns', 'max_silence_ns')
        if self.buffer_ns < self.window_ns:
            raise InputError(
                f'stream {self.name}: expected buffer_ns >= window_ns ({self.window_ns}), '
                f'got {self.buffer_ns}; keep more or shorten the window'
            )


@dataclass(frozen=True)
class ClockLimits:
    """How far stamps and the clock may disagree.

    Attributes:
        max_ahead_ns: a stamp further ahead of the clock is refused (`in_future`).
        max_behind_ns: a stamp further behind the clock is refused (`too_old`).
        max_step_back_ns: a larger step back, of the clock or of a stream's stamps, is a jump (a
            recording that starts again), not disorder.
    """

    max_ahead_ns: int = 500 * MILLISECOND
    max_behind_ns: int = 5000 * MILLISECOND
    max_step_back_ns: int = 1000 * MILLISECOND

    def __post_init__(self) -> None:
        _check_not_negative(self, 'max_ahead_ns', 'max_behind_ns', 'max_step_back_ns')


def _check_positive(settings: object, *fields: str) -> None:
    _check_at_least(1, settings, fields)


def _check_not_negative(settings: object, *fields: str) -> None:
    _check_at_least(0, settings, fields)


def _check_at_least(least: int, settings: object, fields: tuple[str, ...]) -> None:
    where = getattr(settings, 'name', type(settings).__name__)
    for field in fields:
        value = getattr(settings, field)
        if value < least:
            raise InputError(
                f'stream {where}: expected {field} of at least {least}, got {value}; correct it'
            )
