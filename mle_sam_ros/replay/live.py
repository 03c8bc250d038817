"""What a running node published, scored like a replay and compared with one."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import BagReader, open_bag
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.image import decode_label_image
from mle_sam_ros.core.inference import Engine
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.core.trust import present_of, router_weights_of, Statuses, trust_statuses
from mle_sam_ros.replay.annotated import CONFIDENCE_TOPIC, MASK_TOPIC, ROUTER_WEIGHTS_TOPIC
from mle_sam_ros.replay.drive import Drive
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.track import Track
from mle_sam_ros.replay.truth import Truth
import numpy as np

# A silent camera's masks stand on beats, which a live node counts from times of its own.
_BEAT_TOLERANCE_NS = 25_000_000


@dataclass(frozen=True, eq=False)
class LiveMask:
    """One mask as it was published.

    Attributes:
        stamp_ns: of its header.
        log_time_ns: when it was recorded, on the clock of the stamps.
        label_map: (H, W) uint8 class ids.
        confidence: (H, W) uint8.
        statuses: of `~/router_weights`.
    """

    stamp_ns: int
    log_time_ns: int
    label_map: np.ndarray
    confidence: np.ndarray
    statuses: Statuses


@dataclass
class Agreement:
    """How a node's masks compare with those of a replay of the same recording.

    Attributes:
        compared: frames that both segmented.
        identical: of these, masks that are equal in every pixel.
        same_inputs: frames for which both paired the same samples.
        identical_of_same_inputs: of these, masks that are equal in every pixel.
    """

    compared: int = 0
    identical: int = 0
    same_inputs: int = 0
    identical_of_same_inputs: int = 0

    def add(self, mask: LiveMask, twin: Prediction, manifest: Manifest) -> None:
        """Compare one frame."""
        sensors = trust_statuses(twin, manifest.modality_names)['sensors']
        is_identical = np.array_equal(mask.label_map, twin.label_map)
        has_same_inputs = mask.statuses['sensors'] == sensors
        self.compared += 1
        self.identical += is_identical
        self.same_inputs += has_same_inputs
        self.identical_of_same_inputs += is_identical and has_same_inputs


class LiveDrive:
    """A recorded drive, what a node made of it, and what a replay makes of it, side by side.

    Attributes:
        agreement: of the frames given out so far.
        num_unmatched_truth: label maps that met no mask; known after the last frame.
    """

    def __init__(
        self,
        bag_path: Path,
        live_path: Path,
        manifest: Manifest,
        engine: Engine,
        calibration: Calibration,
    ) -> None:
        """Set up.

        Args:
            bag_path: the drive that was played to the node.
            live_path: the node's mask, confidence and router weights, as recorded.
            manifest: of the bundle that the node ran.
            engine: of the same bundle.
            calibration: that the node had.
        """
        self.agreement = Agreement()
        self.num_unmatched_truth = 0
        self._bag_path = bag_path
        self._live_path = live_path
        self._manifest = manifest
        self._engine = engine
        self._calibration = calibration

    def frames(self) -> Iterator[Frame]:
        """Every mask of the node, with the replay's image and rasters for pictures.

        Raises:
            InputError: for a recording that cannot be read.
        """
        with ExitStack() as stack:
            bag, labels, live = (
                stack.enter_context(open_bag(path))
                for path in (self._bag_path, self._bag_path, self._live_path)
            )
            topics = find_topics(bag)
            truth = Truth(labels, topics.labels)
            drive = Drive(bag, topics, self._manifest, self._engine, self._calibration)
            twins = _Twins(prediction for _, prediction in drive.predictions())
            for mask in _masks(live, self._live_path, stack):
                present = present_of(mask.statuses)
                has_camera = 'camera' in present
                twin = twins.at(mask.stamp_ns, 0 if has_camera else _BEAT_TOLERANCE_NS)
                if twin is not None and has_camera:
                    self.agreement.add(mask, twin, self._manifest)
                yield _frame(mask, present, truth.at(mask.stamp_ns, has_camera), twin)
            self.num_unmatched_truth = truth.count_unused()


class _Twins:
    """The replay's predictions, looked up by rising stamps."""

    def __init__(self, predictions: Iterator[Prediction]) -> None:
        self._predictions = predictions
        self._next = next(predictions, None)

    def at(self, time_ns: int, tolerance_ns: int) -> Prediction | None:
        while self._next is not None and self._next.stamp_ns < time_ns - tolerance_ns:
            self._next = next(self._predictions, None)
        if self._next is None or self._next.stamp_ns > time_ns + tolerance_ns:
            return None
        return self._next


def _masks(live: BagReader, path: Path, stack: ExitStack) -> Iterator[LiveMask]:
    """The node's masks that have their confidence and router weights, too."""
    confidences, weights = (
        Track(stack.enter_context(open_bag(path)), topic)
        for topic in (CONFIDENCE_TOPIC, ROUTER_WEIGHTS_TOPIC)
    )
    for item in live.messages([MASK_TOPIC]):
        time_ns = stamp_ns(item.message.header)
        confidence, weight = confidences.at(time_ns), weights.at(time_ns)
        if confidence is not None and weight is not None:
            yield LiveMask(
                time_ns,
                item.log_time_ns,
                decode_label_image(item.message, MASK_TOPIC),
                decode_label_image(confidence.message, CONFIDENCE_TOPIC),
                statuses_of(weight.message),
            )


def statuses_of(message: Any) -> Statuses:
    """Status name to keys and values of a `diagnostic_msgs/DiagnosticArray`."""
    return {
        status.name: {pair.key: pair.value for pair in status.values} for status in message.status
    }


def _frame(
    mask: LiveMask, present: frozenset[str], truth: np.ndarray | None, twin: Prediction | None
) -> Frame:
    timings: Mapping[str, str] = mask.statuses.get('timings', {})
    rasters = twin.rasters if twin else {}
    return Frame(
        mask.stamp_ns,
        mask.label_map,
        mask.confidence,
        present,
        router_weights_of(mask.statuses),
        (mask.log_time_ns - mask.stamp_ns) / 1e6,
        {stage: float(value) for stage, value in timings.items()},
        truth,
        twin.image if twin and 'camera' in present else None,
        {name: raster for name, raster in rasters.items() if name in present},
    )
