"""The score of a drive: frame by frame in, `metrics.json` out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import math
from typing import Any

from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.metrics import CalibrationError, ConfusionMatrix
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.subsets import subset_key, subset_keys
import numpy as np

_PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Moment:
    """What is kept of each frame, for plots over time.

    Attributes:
        stamp_ns: of the frame.
        present: modalities that took part.
        router_weights: (levels, M) float32.
        latency_ms: of the frame.
        miou: mean over the classes that the frame or its mask has; NaN without ground truth.
    """

    stamp_ns: int
    present: frozenset[str]
    router_weights: np.ndarray
    latency_ms: float
    miou: float


class Evaluation:
    """Accumulates frames of one drive, whoever made their masks.

    Attributes:
        manifest: of the bundle that made the masks.
        moments: one per frame, in order.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.moments: list[Moment] = []
        self._whole = self._new_matrix()
        self._subsets: dict[str, ConfusionMatrix] = {}
        self._num_scored: dict[str, int] = {}
        self._calibration = CalibrationError()
        self._timings_ms: dict[str, list[float]] = {}

    def add(self, frame: Frame) -> None:
        """Take in a mask that was put out."""
        miou = math.nan
        if frame.truth is not None:
            matrix = self._new_matrix()
            matrix.update(frame.truth, frame.label_map)
            self._whole = self._whole + matrix
            miou = matrix.miou()
            self._calibration.update(frame.truth, frame.label_map, frame.confidence)
            self.add_subset(frame.present, frame.label_map, frame.truth)
        moment = Moment(
            frame.stamp_ns, frame.present, frame.router_weights, frame.latency_ms, miou
        )
        self.moments.append(moment)
        for stage, value in frame.timings_ms.items():
            self._timings_ms.setdefault(stage, []).append(value)

    def add_subset(self, present: Iterable[str], label_map: np.ndarray, truth: np.ndarray) -> None:
        """Take in a mask that was made only to score this subset of the sensors.

        Args:
            present: modalities that took part.
            label_map: (H, W) uint8 class ids.
            truth: (H, W) uint8 class ids, 255 where unknown.
        """
        key = subset_key(present, self.manifest)
        self._subsets.setdefault(key, self._new_matrix()).update(truth, label_map)
        self._num_scored[key] = self._num_scored.get(key, 0) + 1

    def metrics(self, frames: Mapping[str, Any], frames_without_mask: int) -> dict[str, Any]:
        """The part of `metrics.json` that repeats exactly when the run is repeated.

        Args:
            frames: `FrameAccount.to_mapping()` of the run.
            frames_without_mask: ground-truth label maps of the drive that no mask met.
        """
        num_scored = sum(not math.isnan(moment.miou) for moment in self.moments)
        return {
            **self._score(self._whole),
            'miou_absent_as_zero': _rounded(self._whole.miou('zero')),
            'pixel_accuracy': _rounded(self._whole.accuracy()),
            'calibration_error': _rounded(self._calibration.value()),
            'frames_scored': num_scored,
            'frames_without_mask': frames_without_mask,
            'subsets': {
                key: {**self._score(self._subsets[key]), 'frames_scored': self._num_scored[key]}
                for key in subset_keys(self.manifest)
                if key in self._subsets
            },
            'frames': dict(frames),
            'router_weights': self._mean_router_weights(),
        }

    def latency_ms(self) -> dict[str, Any]:
        """Percentiles of the latency, and of each stage; empty without frames."""
        if not self.moments:
            return {}
        return {
            **_percentiles([moment.latency_ms for moment in self.moments]),
            'stages': {
                stage: _percentiles(self._timings_ms[stage])
                for stage in _in_order(self._timings_ms)
            },
        }

    def _score(self, matrix: ConfusionMatrix) -> dict[str, Any]:
        iou = zip(self.manifest.class_names, matrix.iou().tolist(), strict=True)
        return {
            'miou': _rounded(matrix.miou()),
            'iou': {name: _rounded(value) for name, value in iou},
        }

    def _mean_router_weights(self) -> dict[str, dict[str, float]]:
        """By level and modality, over all frames; a modality weighs 0 where it is absent."""
        if not self.moments:
            return {}
        mean = np.mean([moment.router_weights for moment in self.moments], 0, np.float64)
        return {
            f'level_{level}': {
                name: round(float(weight), 6)
                for name, weight in zip(self.manifest.modality_names, weights, strict=True)
            }
            for level, weights in enumerate(mean)
        }

    def _new_matrix(self) -> ConfusionMatrix:
        return ConfusionMatrix(len(self.manifest.classes))


def _in_order(stages: Iterable[str]) -> list[str]:
    """Stages as they came, each followed by its parts (`stage/part`)."""
    roots = list(dict.fromkeys(stage.partition('/')[0] for stage in stages))
    return sorted(stages, key=lambda stage: roots.index(stage.partition('/')[0]))


def _percentiles(values: list[float]) -> Mapping[str, float]:
    points = np.percentile(values, _PERCENTILES)
    return {
        f'p{percent}': round(float(value), 3)
        for percent, value in zip(_PERCENTILES, points, strict=True)
    }


def _rounded(value: float) -> float | None:
    """Six decimals; None, JSON's null, for NaN."""
    return None if math.isnan(value) else round(float(value), 6)
