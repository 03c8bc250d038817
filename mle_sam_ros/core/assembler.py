"""Time alignment: samples of all streams in, one SensorSet per camera frame out.

The camera sets the pace. Each of its frames asks every other stream for what that can contribute
to the frame's reference time `t = stamp + offset`, waits a little where something is about to
come, and leaves without the streams that have nothing. While the camera is silent, a metronome
stands in for it. Every frame received ends in exactly one place of the `FrameAccount`.

Time moves only in `poll`; a push happens at the time of the poll before it. A caller that does

    for stream, stamp_ns, payload, arrival_ns in arrivals:      # in order of arrival
        while (sensor_set := assembler.poll(arrival_ns)) is not None:
            ...
        assembler.push(stream, stamp_ns, payload)

gets sets that depend on stamps and arrival times alone: more polls in between give the same sets
earlier, a busy caller gets the same sets later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mle_sam_ros.core.account import FrameAccount, StreamAccount
from mle_sam_ros.core.buffers import AT_ONCE, buffer_for, StreamBuffer
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.metronome import Metronome
from mle_sam_ros.core.sensor_set import Sample, SensorSet
from mle_sam_ros.core.streams import CameraStream, ClockLimits, NearestStream, WindowStream


@dataclass(frozen=True)
class _Frame:
    """An instant to serve: a camera frame, or the beat that stands in for one."""

    stamp_ns: int
    reference_ns: int
    image: Sample | None


class Assembler:
    """Pairs the streams in time. Not thread-safe: one owner pushes and polls.

    Attributes:
        account: what became of every camera frame.
    """

    def __init__(
        self,
        camera: CameraStream,
        streams: Sequence[NearestStream | WindowStream],
        limits: ClockLimits | None = None,
    ) -> None:
        """Set up, with nothing received.

        Raises:
            InputError: for two streams of one name.
        """
        names = [camera.name, *(stream.name for stream in streams)]
        if len(set(names)) < len(names):
            raise InputError(
                f'streams: expected distinct names, got {", ".join(names)}; rename one'
            )
        self.account = FrameAccount()
        self._camera = camera
        self._limits = limits or ClockLimits()
        self._buffers = {stream.name: buffer_for(stream) for stream in streams}
        self._metronome = Metronome(camera.timeout_ns, camera.default_period_ns)
        self._now_ns: int | None = None
        self._frame: _Frame | None = None  # the one that waits
        self._newest_ns: int | None = None  # reference time of the newest camera frame
        self._served_ns: int | None = None  # reference time of the newest set

    @property
    def stream_accounts(self) -> dict[str, StreamAccount]:
        """What became of the samples of every stream but the camera."""
        return {name: buffer.account for name, buffer in self._buffers.items()}

    def push(self, stream: str, stamp_ns: int, payload: Any, num_bytes: int = 0) -> None:
        """Take in a sample. What cannot be used is counted with a reason, never raised.

        Args:
            stream: name of the camera or of another stream.
            stamp_ns: sensor time; for a window stream the END of what the packet covers.
            payload: anything; for a window stream `core.events.Events`.
            num_bytes: memory that the sample holds on to; of events it is known.

        Raises:
            InputError: for an unknown stream.
        """
        if stream == self._camera.name:
            self._push_frame(stamp_ns, payload)
        elif stream in self._buffers:
            self._push_sample(self._buffers[stream], stamp_ns, payload, num_bytes)
        else:
            names = ', '.join([self._camera.name, *self._buffers])
            raise InputError(f'push: expected a stream of {names}, got {stream!r}; correct it')

    def poll(self, now_ns: int) -> SensorSet | None:
        """Move time to `now_ns` and give the next set that is due; call again until None."""
        if self._steps_back(now_ns, self._now_ns):
            return self._jump_back(now_ns)
        self._now_ns = max(now_ns, self._clock_ns)  # a small step back: time stands still
        while (frame := self._frame or self._beat()) is not None:
            self._frame = frame
            if self._clock_ns < self._leaves_ns(frame):
                return None
            self._frame = None
            if (sensor_set := self._serve(frame)) is not None:
                return sensor_set
        return None

    def retune(
        self, camera: CameraStream, streams: Sequence[NearestStream | WindowStream]
    ) -> None:
        """Work with other settings of the same streams from now on.

        No frame is lost and none counted twice; of a stream whose offset changes, the samples
        so far are forgotten, as their times would no longer compare.
        """
        shift_ns = camera.offset_ns - self._camera.offset_ns
        self._camera = camera
        self._metronome.retune(camera.timeout_ns, camera.default_period_ns)
        if self._frame is not None:
            frame = self._frame
            self._frame = replace(frame, reference_ns=frame.reference_ns + shift_ns)
        if self._newest_ns is not None:
            self._newest_ns += shift_ns
        if self._served_ns is not None:
            self._served_ns += shift_ns
        for stream in streams:
            buffer = self._buffers[stream.name]
            if stream.offset_ns != buffer.stream.offset_ns:
                buffer.clear()
            buffer.stream = stream

    def next_deadline_ns(self) -> int | None:
        """When `poll` may have something new without another push; None for never."""
        if self._frame is not None:
            return max(self._clock_ns, self._leaves_ns(self._frame))
        beat = self._metronome.beat
        if beat is None or not self._is_any_alive(beat.stamp_ns + self._camera.offset_ns):
            return None
        return beat.due_ns

    # Arrivals

    def _push_frame(self, stamp_ns: int, payload: Any) -> None:
        reference_ns = stamp_ns + self._camera.offset_ns
        self.account.receive()
        reason = self._fault(stamp_ns, reference_ns)
        if reason is None and self._steps_back(reference_ns, self._newest_ns):
            self._start_anew(reference_ns)
        reason = reason or _disorder(reference_ns, self._newest_ns)
        if reason is not None:
            self.account.reject(reason)
            return
        self._newest_ns = reference_ns
        if self._now_ns is not None:
            self._metronome.hear(stamp_ns, self._now_ns)
        if self._is_served(reference_ns):
            self.account.reject('overtaken')  # it comes after a set that did without the camera
            return
        if self._frame is not None and self._frame.image is not None:
            self.account.supersede()
        self._frame = _Frame(stamp_ns, reference_ns, Sample(stamp_ns, payload))

    def _push_sample(
        self, buffer: StreamBuffer, stamp_ns: int, payload: Any, num_bytes: int
    ) -> None:
        time_ns = stamp_ns + buffer.stream.offset_ns
        buffer.account.received += 1
        reason = self._fault(stamp_ns, time_ns)
        if reason is None and self._steps_back(time_ns, buffer.newest_ns):
            buffer.clear()
            buffer.account.clock_jumps += 1
        reason = reason or _disorder(time_ns, buffer.newest_ns)
        if reason is not None:
            buffer.account.refused[reason] += 1
            return
        buffer.push(time_ns, payload, num_bytes)
        is_camera_unknown = self._newest_ns is None and self._metronome.beat is None
        if is_camera_unknown and self._now_ns is not None:
            self._metronome.start(time_ns - self._camera.offset_ns, self._now_ns)

    def _fault(self, stamp_ns: int, time_ns: int) -> str | None:
        """Why a stamp cannot be true, or None."""
        if stamp_ns <= 0:
            return 'no_stamp'
        if self._now_ns is not None and time_ns > self._now_ns + self._limits.max_ahead_ns:
            return 'in_future'
        if self._now_ns is not None and time_ns < self._now_ns - self._limits.max_behind_ns:
            return 'too_old'
        return None

    # Instants

    def _beat(self) -> _Frame | None:
        """The frame that a silent camera owes by now, as long as another stream is alive."""
        beat = self._metronome.beat
        if beat is None or beat.due_ns > self._clock_ns:
            return None
        reference_ns = beat.stamp_ns + self._camera.offset_ns
        if not self._is_any_alive(reference_ns):
            self._metronome.skip(self._clock_ns)
            return None
        self._metronome.next()
        return _Frame(beat.stamp_ns, reference_ns, None)

    def _leaves_ns(self, frame: _Frame) -> int:
        """Until when the frame waits, if nothing else arrives."""
        time_ns = frame.reference_ns
        latest_ns = time_ns + self._camera.wait_ns
        if self._missing_at(time_ns) is not None:
            return latest_ns
        waits = (buffer.worth_waiting_until_ns(time_ns) for buffer in self._buffers.values())
        return min(latest_ns, max(waits, default=AT_ONCE))

    def _serve(self, frame: _Frame) -> SensorSet | None:
        """Close the frame's account, and give its set where there is one."""
        is_beat = frame.image is None
        if is_beat and self._is_served(frame.reference_ns):
            return None
        missing = self._missing_at(frame.reference_ns)
        if missing is not None:
            if not is_beat:
                self.account.reject(f'{missing}_missing')
            return None
        sensor_set = self._assemble(frame)
        if not sensor_set.samples:
            return None
        if is_beat:
            self.account.without_camera += 1
        else:
            self.account.emit()
        self._served_ns = frame.reference_ns
        return sensor_set

    def _assemble(self, frame: _Frame) -> SensorSet:
        samples = {} if frame.image is None else {self._camera.name: frame.image}
        ages_ns = dict.fromkeys(samples, 0)
        for name, buffer in self._buffers.items():
            sample = buffer.sample_at(frame.reference_ns)
            if sample is not None:
                samples[name] = sample
                sample_ns = sample.stamp_ns + buffer.stream.offset_ns
                ages_ns[name] = frame.reference_ns - sample_ns
        return SensorSet(frame.stamp_ns, frame.reference_ns, samples, ages_ns)

    def _missing_at(self, time_ns: int) -> str | None:
        """The first required stream that has nothing for this instant."""
        for name, buffer in self._buffers.items():
            if buffer.stream.required and not buffer.serves(time_ns):
                return name
        return None

    def _is_served(self, time_ns: int) -> bool:
        return self._served_ns is not None and time_ns <= self._served_ns

    def _is_any_alive(self, time_ns: int) -> bool:
        return any(buffer.is_alive_at(time_ns) for buffer in self._buffers.values())

    # Time

    @property
    def _clock_ns(self) -> int:
        return AT_ONCE if self._now_ns is None else self._now_ns

    def _steps_back(self, time_ns: int, newest_ns: int | None) -> bool:
        return newest_ns is not None and time_ns < newest_ns - self._limits.max_step_back_ns

    def _jump_back(self, now_ns: int) -> SensorSet | None:
        """The clock went back: nothing that still waits could become any better, so it leaves."""
        sensor_set = None if self._frame is None else self._serve(self._frame)
        self._frame = None
        self._start_anew(now_ns)
        self._now_ns = now_ns
        return sensor_set

    def _start_anew(self, time_ns: int) -> None:
        """Time went back to `time_ns`: forget what belongs to the time before.

        A stream may have made the step before the camera did; what it delivered since is kept.
        """
        self._newest_ns = self._served_ns = None
        self._metronome.rest()
        limit_ns = time_ns + self._limits.max_step_back_ns // 2
        for buffer in self._buffers.values():
            if buffer.newest_ns is not None and buffer.newest_ns > limit_ns:
                buffer.clear()
        self.account.clock_jumps += 1


def _disorder(time_ns: int, newest_ns: int | None) -> str | None:
    if newest_ns is None or time_ns > newest_ns:
        return None
    return 'duplicate' if time_ns == newest_ns else 'out_of_order'
