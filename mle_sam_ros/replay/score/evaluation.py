"""The score of a drive: frame by frame in, tallies out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low
from typing import Any

from mle_sam_ros.core.boundary import boundary_overlap
from mle_sam_ros.core.distance_bands import overlap_by_distance
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.metrics import CalibrationError, ConfusionMatrix
from mle_sam_ros.core.overlap import mean_iou
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.sampling import Sampling
from mle_sam_ros.replay.score.conditions import Conditions, Span
from mle_sam_ros.replay.score.latency import Latency
from mle_sam_ros.replay.score.ranges import ranges_of
from mle_sam_ros.replay.score.steadiness import Steadiness
from mle_sam_ros.replay.score.subsets import subset_key
from mle_sam_ros.replay.score.tallies import Block, DISTANCES_M, Layout, Tallies, Tally
import numpy as np

_BLOCK_NS = 1_000_000_000


@dataclass(frozen=True)
class Moment:
    """What is kept of each frame, for plots over time.

    Attributes:
        stamp_ns: of the frame.
        present: modalities that took part.
        router_weights: (levels, M) float32.
        latency_ms: of the frame.
        miou: mean over the classes that the frame or its mask has; NaN without ground truth.
        conditions: that held.
    """

    stamp_ns: int
    present: frozenset[str]
    router_weights: np.ndarray
    latency_ms: float
    miou: float
    conditions: tuple[str, ...] = ()


class Evaluation:
    """Accumulates frames of one drive in their order, whoever made their masks.

    Attributes:
        manifest: of the bundle that made the masks.
        conditions: of the drive.
        moments: one per frame, in order.
        latency: of all frames.
    """

    def __init__(self, manifest: Manifest, conditions: Conditions | None = None) -> None:
        """Start without frames."""
        self.manifest = manifest
        self.conditions = conditions or Conditions()
        self.moments: list[Moment] = []
        self.latency = Latency()
        self._layout = Layout(
            manifest.class_names, manifest.modality_names, manifest.router.levels
        )
        self._whole = Tally(self._layout)
        # A condition that no frame ever met is told, too.
        self._conditions = {name: Tally(self._layout) for name in self.conditions.names}
        self._blocks: dict[int, Block] = {}
        self._steadiness = Steadiness(len(manifest.classes))
        self._before: Frame | None = None
        self._presences: dict[frozenset[str], frozenset[str]] = {}
        # Of all masks, and of those with ground truth, which may be few.
        self._sampling, self._scored_sampling = Sampling(), Sampling()

    def add(self, frame: Frame) -> Moment:
        """Take in a mask that was put out.

        Returns:
            What is kept of it.

        Raises:
            InputError: for ground truth of another size, or with ids that are no classes.
        """
        tally = Tally(self._layout)
        tally.frames = 1
        tally.add_weights(frame.router_weights)
        if frame.truth is not None:
            self._score(frame, frame.truth, tally)
        before, self._before = self._before, frame
        if self._sampling.takes(frame.stamp_ns) and before is not None:
            tally.flow_pairs, tally.flow = self._steadiness.compare(before, frame)
        moment = Moment(
            frame.stamp_ns,
            # Many frames, few sets: each set is kept once.
            self._presences.setdefault(frame.present, frame.present),
            frame.router_weights,
            frame.latency_ms,
            mean_iou(tally.overlap),
            self.conditions.at(frame.stamp_ns),
        )
        self.moments.append(moment)
        self.latency.add(frame.latency_ms, frame.timings_ms)
        for total in self._tallies_of(moment):
            total.add(tally)
        return moment

    def add_subset(self, present: Iterable[str], label_map: np.ndarray, truth: np.ndarray) -> None:
        """Take in a mask that was made only to score this subset of the sensors.

        It counts under the conditions of the frame that was added last.

        Args:
            present: modalities that took part.
            label_map: (H, W) uint8 class ids.
            truth: (H, W) uint8 class ids, 255 where unknown.
        """
        key = subset_key(present, self.manifest)
        overlap = self._matrix(truth, label_map).overlap
        for total in self._tallies_of(self.moments[-1]):
            total.add_subset(key, 1, overlap)

    def tallies(
        self,
        bag: str,
        frames: Mapping[str, Any],
        faults: Mapping[str, int],
        frames_without_mask: int,
    ) -> Tallies:
        """All that was counted.

        Args:
            bag: what the blocks name the recording by: its hash.
            frames: `FrameAccount.to_mapping()` of the run.
            faults: messages, to how often they came.
            frames_without_mask: ground-truth label maps of the drive that no mask met.
        """
        tallies = Tallies(self._layout)
        tallies.whole.add(self._whole)
        for name, tally in self._conditions.items():
            tallies.conditions[name] = Tally(self._layout)
            tallies.conditions[name].add(tally)
        tallies.blocks = {(bag, start_ns): block for start_ns, block in self._blocks.items()}
        tallies.frames = {**frames, 'rejected': dict(frames['rejected'])}
        tallies.faults.update(faults)
        tallies.frames_without_mask = frames_without_mask
        return tallies

    def timeline(self) -> list[dict[str, Any]]:
        """What a reader must see beside plots over time: conditions, absent sensors, gaps."""
        spans = [*self.conditions.spans, *self._absences(), *self._gaps()]
        spans.sort(key=lambda span: (span.from_s, span.kind, span.name))
        return [span.to_mapping(self.seconds) for span in spans if span.from_s <= self.seconds]

    @property
    def seconds(self) -> float:
        """From the recording's first message to the last mask."""
        return round(max(0.0, self._time_s(self.moments[-1])), 6) if self.moments else 0.0

    def _absences(self) -> Iterator[Span]:
        """Where a sensor had no part in the masks: from the first one without it to the next."""
        for name in self._layout.modalities:
            since_s: float | None = None
            for moment in self.moments:
                if name in moment.present:
                    if since_s is not None:
                        yield Span('absent', name, since_s, self._time_s(moment))
                    since_s = None
                elif since_s is None:
                    since_s = self._time_s(moment)
            if since_s is not None:
                yield Span('absent', name, since_s)

    def _gaps(self) -> Iterator[Span]:
        """Where no mask came for more than twice the usual time."""
        stamps_ns = [moment.stamp_ns for moment in self.moments]
        steps_ns = [late - early for early, late in pairwise(stamps_ns)]
        if not steps_ns:
            return
        usual_ns = median_low(steps_ns)
        for before, after in pairwise(self.moments):
            if after.stamp_ns - before.stamp_ns > 2 * usual_ns:
                yield Span('no_mask', 'no mask', self._time_s(before), self._time_s(after))

    def _time_s(self, moment: Moment) -> float:
        return (moment.stamp_ns - self.conditions.start_ns) / 1e9

    def _score(self, frame: Frame, truth: np.ndarray, tally: Tally) -> None:
        """Count what the ground truth says of a mask."""
        num_classes = len(self._layout.classes)
        matrix = self._matrix(truth, frame.label_map)
        calibration = CalibrationError()
        calibration.update(truth, frame.label_map, frame.confidence)
        tally.frames_scored = 1
        tally.confusion = matrix.counts
        tally.calibration = calibration.counts
        if self._scored_sampling.takes(frame.stamp_ns):
            tally.boundary = boundary_overlap(truth, frame.label_map, num_classes)
            pixels = ranges_of(frame, self.manifest)
            if pixels is not None:
                tally.distance = overlap_by_distance(
                    truth, frame.label_map, pixels, len(DISTANCES_M), num_classes
                )
        tally.add_subset(subset_key(frame.present, self.manifest), 1, matrix.overlap)
        start_ns = frame.stamp_ns // _BLOCK_NS * _BLOCK_NS
        block, before = Block(1, matrix.overlap), self._blocks.get(start_ns)
        self._blocks[start_ns] = block if before is None else before + block

    def _matrix(self, truth: np.ndarray, label_map: np.ndarray) -> ConfusionMatrix:
        matrix = ConfusionMatrix(len(self._layout.classes))
        matrix.update(truth, label_map)
        return matrix

    def _tallies_of(self, moment: Moment) -> list[Tally]:
        return [self._whole, *(self._conditions[name] for name in moment.conditions)]
