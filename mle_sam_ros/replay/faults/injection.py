"""Faults on their way into one drive."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial, reduce
from heapq import heappop, heappush
import math

from mle_sam_ros.bags.arrived import Arrived
from mle_sam_ros.core.manifest import Encoding
from mle_sam_ros.core.noise import noise_generator
from mle_sam_ros.core.rig import MISPLACED, Misplacement
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.replay.faults.fault import Draw, Fault, MessageFault, Passing, Step
from mle_sam_ros.replay.faults.mounting import MountingFault
from mle_sam_ros.replay.faults.noise import Noise
from mle_sam_ros.replay.faults.stamps import Stamp
import numpy as np


class Injection:
    """A `bags.arrived.Disturbance` by faults, in the order given.

    What chance does to a message or frame depends on the seed, the fault's stream and kind, and
    the message or frame alone: not on other faults, nor on how the work is shared out. A second
    fault of the same stream and kind has a chance of its own.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        seed: int,
        start_ns: int,
        encodings: Mapping[str, Encoding],
    ) -> None:
        """Set up.

        Args:
            faults: what goes wrong.
            seed: of all chance, 0 or more.
            start_ns: log time of the recording's first message, from which windows count.
            encodings: of the bundle, by modality.
        """
        self._start_ns = start_ns
        self._encodings = encodings
        self._faults: list[tuple[Fault, Draw]] = []
        ordinals: Counter[tuple[str, str]] = Counter()
        for fault in faults:
            key = fault.stream, fault.kind
            name = f'{fault.kind}/{ordinals[key]}' if ordinals[key] else fault.kind
            ordinals[key] += 1
            draw = partial(_generator, seed, fault.stream, name)
            self._faults.append((fault, draw))

    def settings(self, rig: RigSettings) -> RigSettings:
        """How the rig's messages are to be taken, where the camera's clock is wrong."""
        stamps = [fault for fault, _ in self._faults if isinstance(fault, Stamp)]
        return reduce(
            lambda rig, fault: fault.applied(rig) if fault.stream == 'camera' else rig, stamps, rig
        )

    def arrivals(self, arrivals: Iterator[Arrived]) -> Iterator[Arrived]:
        """As `Disturbance.arrivals`."""
        steps = self._steps()
        numbers: Counter[str] = Counter()
        misplacements = self._misplacements()
        late: list[tuple[int, int, Arrived]] = []
        for count, (time_ns, stream, message) in enumerate(arrivals):
            item = Passing(time_ns, message, time_ns, numbers[stream])
            numbers[stream] += 1
            left = self._passed(item, steps.get(stream, ()))
            if left is not None:
                arrived = Arrived(left.time_ns, stream, left.message)
                heappush(late, (left.time_ns, count, arrived))
            while late and late[0][0] <= time_ns:
                yield from _after(misplacements, heappop(late)[2])
        while late:
            yield from _after(misplacements, heappop(late)[2])

    def rasters(self, stamp_ns: int, rasters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """As `Disturbance.rasters`."""
        for fault, draw in self._faults:
            if (
                isinstance(fault, Noise)
                and fault.stream in rasters
                and fault.window.covers(stamp_ns - self._start_ns)
            ):
                encoding = self._encodings[fault.stream]
                noisy = fault.spoiled(rasters[fault.stream], encoding, draw(stamp_ns))
                rasters = {**rasters, fault.stream: noisy}
        return rasters

    def _steps(self) -> dict[str, list[tuple[Fault, Step]]]:
        """By stream, what is done to its messages."""
        steps: dict[str, list[tuple[Fault, Step]]] = {}
        for fault, draw in self._faults:
            if isinstance(fault, MessageFault):
                steps.setdefault(fault.stream, []).append((fault, fault.begin(draw)))
        return steps

    def _passed(self, item: Passing, steps: Sequence[tuple[Fault, Step]]) -> Passing | None:
        """What the faults of its stream leave of a message."""
        for fault, step in steps:
            left = step(item, fault.window.covers(item.recorded_ns - self._start_ns))
            if left is None:
                return None
            item = left
        return item

    def _misplacements(self) -> list[Arrived]:
        """Every change of what is wrong with where sensors stand, the earliest last."""
        by_stream: dict[str, list[tuple[Fault, np.ndarray]]] = {}
        for fault, draw in self._faults:
            if isinstance(fault, MountingFault) and fault.value:
                errors = by_stream.setdefault(fault.stream, [])
                errors.append((fault, fault.error(draw(0))))
        changes = []
        for stream, errors in by_stream.items():
            times_s = {time for fault, _ in errors for time in _edges(fault)}
            for time_s in times_s:
                since_ns = math.ceil(time_s * 1e9)
                holding = [error for fault, error in errors if fault.window.covers(since_ns)]
                error = reduce(np.matmul, holding, np.eye(4))
                time_ns = self._start_ns + since_ns
                changes.append(Arrived(time_ns, MISPLACED, Misplacement(stream, error)))
        return sorted(changes, key=lambda item: item.time_ns, reverse=True)


def _edges(fault: Fault) -> list[float]:
    return [time for time in (fault.window.from_s, fault.window.to_s) if math.isfinite(time)]


def _after(misplacements: list[Arrived], arrived: Arrived) -> Iterator[Arrived]:
    """A message, behind the misplacements that are due by then; these are taken away."""
    while misplacements and misplacements[-1].time_ns <= arrived.time_ns:
        yield misplacements.pop()
    yield arrived


def _generator(seed: int, stream: str, kind: str, number: int) -> np.random.Generator:
    return noise_generator(seed, number, stream, kind)
