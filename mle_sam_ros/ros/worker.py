"""The one thread that runs the pipeline: callbacks hand messages in, predictions come out."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
import threading
from typing import Any

from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.pipeline import Pipeline, Prediction
from mle_sam_ros.core.rig import RIG_STREAMS
from mle_sam_ros.ros.latency import Stopwatch

# Messages that may wait while the worker is busy: of images and sweeps few, since they are large
# and only the newest are of use.
_LARGE_LIMIT, _SMALL_LIMIT = 8, 512
_MAX_BYTES = 128 << 20
_SMALL_STREAMS = RIG_STREAMS | {'event', 'camera_info', 'event_camera_info'}
# Shortest and longest sleep: simulated time may run faster than the clock of this machine.
_SLEEP_S = (0.001, 0.02)


@dataclass(frozen=True)
class Arrival:
    """A message and when its callback ran, in nanoseconds of the node's clock."""

    stream: str
    message: Any
    arrival_ns: int

    @property
    def num_bytes(self) -> int:
        """What the message holds of pixels, points or events."""
        return len(getattr(self.message, 'events', None) or getattr(self.message, 'data', ()))


class Worker:
    """Runs a pipeline on its own thread, and goes on whatever happens.

    Messages are taken in exactly in the order in which they arrived. When the engine is slower
    than the camera, the newest sensor set wins; the others are counted as superseded.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        now_ns: Callable[[], int],
        publish: Callable[[Prediction], None],
        report_fault: Callable[[str, str], None],
        stopwatch: Stopwatch,
    ) -> None:
        """Set up; `start` begins.

        Args:
            pipeline: owned by the worker's thread from now on.
            now_ns: the node's clock.
            publish: sends a prediction out.
            report_fault: stream and one-line message of what could not be used.
            stopwatch: collects how long everything takes.
        """
        self._pipeline = pipeline
        self._now_ns = now_ns
        self._publish = publish
        self._report_fault = report_fault
        self._stopwatch = stopwatch
        self._condition = threading.Condition()
        self._arrivals: deque[Arrival] = deque()
        self._overflow: Counter[str] = Counter()
        self._alignment: Alignment | None = None  # to adopt before the next step
        self._is_stopping = False
        self._counters: dict[str, Any] = {}
        self._note_counters()
        self._thread = threading.Thread(target=self._run, name='pipeline', daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the frame at hand and end the thread."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify()
        self._thread.join()

    @property
    def counters(self) -> dict[str, Any]:
        """As of the last step: `frames` (FrameAccount), by stream `streams` and `inputs`."""
        return self._counters

    def submit(self, stream: str, message: Any) -> None:
        """Queue a message; called from subscription callbacks, returns at once."""
        with self._condition:
            if len(self._arrivals) >= _LARGE_LIMIT:
                self._make_room(stream)
            self._arrivals.append(Arrival(stream, message, self._now_ns()))
            self._condition.notify()

    def retune(self, alignment: Alignment) -> None:
        """Have the streams paired otherwise, from the next message on; any thread."""
        with self._condition:
            self._alignment = alignment
            self._condition.notify()

    def _make_room(self, stream: str) -> None:
        """Drop the stream's oldest message if as many, or as large ones, wait as may."""
        waiting = [index for index, item in enumerate(self._arrivals) if item.stream == stream]
        num_bytes = sum(self._arrivals[index].num_bytes for index in waiting)
        if len(waiting) >= _limit(stream) or num_bytes >= _MAX_BYTES:
            del self._arrivals[waiting[0]]
            self._overflow[stream] += 1

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._arrivals and not self._is_stopping:
                    self._condition.wait(self._sleep_s())
                if self._is_stopping:
                    return
                arrivals, self._arrivals = self._arrivals, deque()
                overflow, self._overflow = self._overflow, Counter()
                alignment, self._alignment = self._alignment, None
                # Read under the lock: no arrival still to come is older than this.
                now_ns = self._now_ns()
            if alignment is not None:
                self._pipeline.retune(alignment)
            self._step(arrivals, overflow, now_ns)

    def _step(self, arrivals: deque[Arrival], overflow: Counter[str], now_ns: int) -> None:
        for _ in range(overflow.pop('camera', 0)):  # newer frames are waiting behind them
            self._pipeline.account.receive()
            self._pipeline.account.supersede()
        for stream, count in overflow.items():
            self._report_fault(
                stream,
                f'{stream}: expected at most {_limit(stream)} messages and {_MAX_BYTES >> 20} MiB '
                f'while a frame is segmented, got {count} messages more, dropped; '
                'use a faster engine or a lower rate',
            )
        for arrival in arrivals:
            self._receive(arrival)
        sensor_set = self._pipeline.poll(now_ns)
        if sensor_set is not None:
            self._segment(sensor_set)
        self._note_counters()

    def _receive(self, arrival: Arrival) -> None:
        stream, message = arrival.stream, arrival.message
        try:
            self._pipeline.receive(stream, message, arrival.arrival_ns)
        except InputError as error:
            self._report_fault(stream, str(error))
        except Exception as error:
            self._report_fault(stream, f'{stream}: {type(error).__name__}: {error}')

    def _segment(self, sensor_set: Any) -> None:
        try:
            start_ns = self._now_ns()
            with self._stopwatch.stage('total'):
                prediction = self._pipeline.run(sensor_set)
                with self._stopwatch.stage('publish'):
                    self._publish(prediction)
            self._stopwatch.add('wait', (start_ns - prediction.stamp_ns) / 1e6)
            self._stopwatch.add('latency', (self._now_ns() - prediction.stamp_ns) / 1e6)
            for stage, milliseconds in prediction.timings_ms.items():
                self._stopwatch.add(stage, milliseconds)
            for modality, fault in prediction.faults.items():
                self._report_fault(modality, fault)
        except InputError as error:
            self._report_fault('engine', str(error))
        except Exception as error:
            self._report_fault('engine', f'engine: {type(error).__name__}: {error}')

    def _sleep_s(self) -> float:
        shortest_s, longest_s = _SLEEP_S
        deadline_ns = self._pipeline.assembler.next_deadline_ns()
        if deadline_ns is None:
            return longest_s
        return min(max((deadline_ns - self._now_ns()) * 1e-9, shortest_s), longest_s)

    def _note_counters(self) -> None:
        streams = self._pipeline.assembler.stream_accounts
        self._counters = {
            'frames': self._pipeline.account.to_mapping(),
            'streams': {name: account.to_mapping() for name, account in streams.items()},
            'inputs': self._pipeline.input_counters(),
        }


def _limit(stream: str) -> int:
    return _SMALL_LIMIT if stream in _SMALL_STREAMS else _LARGE_LIMIT
