"""How good label maps are: intersection over union, and how honest their confidence is.

In ground truth 255 means unknown: those pixels do not count. In a prediction 255 means no class,
which is wrong wherever the truth is known.
"""

from dataclasses import dataclass
from typing import Literal

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.overlap import iou_of, joint_histogram, mean_iou, NO_CLASS, overlap_of
import numba
import numpy as np

__all__ = ['NO_CLASS', 'CalibrationError', 'ConfusionMatrix']


@dataclass(frozen=True)
class ReliabilityBin:
    """Pixels of about one confidence, and how often they are right.

    Attributes:
        lower: bound of the confidence.
        upper: bound of the confidence; not part of the bin, but for 1.
        pixels: known pixels in the bin.
        confidence: their mean; NaN without any.
        accuracy: the part of them that is right; NaN without any.
    """

    lower: float
    upper: float
    pixels: int
    confidence: float
    accuracy: float


class ConfusionMatrix:
    """One matrix over all pixels of all frames, so that large and small frames weigh as they are.

    Attributes:
        counts: (K, K + 1) int64, pixels by true class and predicted class; last column: no class.
    """

    def __init__(self, num_classes: int) -> None:
        """Start empty, for class ids below `num_classes`, 1 to 255."""
        self.counts = np.zeros((num_classes, num_classes + 1), np.int64)

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return self.counts.shape[0]

    def update(self, truth: np.ndarray, prediction: np.ndarray) -> None:
        """Count the pixels of a frame.

        Args:
            truth: (H, W) uint8 class ids, 255 where unknown.
            prediction: (H, W) uint8 class ids, 255 for no class.

        Raises:
            InputError: for unequal sizes, or ids that are neither classes nor 255.
        """
        _check_pair('truth and prediction', truth, prediction)
        joint = joint_histogram(truth, prediction)
        _check_ids('truth', joint.sum(axis=1), self.num_classes)
        _check_ids('prediction', joint.sum(axis=0), self.num_classes)
        self.counts += np.delete(joint[: self.num_classes], _strangers(self.num_classes), axis=1)

    def __add__(self, other: 'ConfusionMatrix') -> 'ConfusionMatrix':
        """The matrix of both sets of frames."""
        if other.num_classes != self.num_classes:
            raise InputError(
                f'confusion matrix: expected {self.num_classes} classes, got {other.num_classes}; '
                'add matrices of one class list'
            )
        total = ConfusionMatrix(self.num_classes)
        total.counts = self.counts + other.counts
        return total

    @property
    def overlap(self) -> np.ndarray:
        """(3, K) int64 known pixels by class: right, in the truth, in the prediction."""
        return overlap_of(self.counts)

    def iou(self) -> np.ndarray:
        """(K,) float64 intersection over union; NaN where neither side has the class."""
        return iou_of(self.overlap)

    def miou(self, absent: Literal['skip', 'zero'] = 'skip') -> float:
        """Mean IoU.

        Args:
            absent: what becomes of classes in neither truth nor prediction: left out, or taken as
                0 as DELIVER's public evaluation does.

        Returns:
            0 to 1; NaN where `skip` leaves nothing.
        """
        if absent == 'zero':
            return float(np.nan_to_num(self.iou()).mean())
        return mean_iou(self.overlap)

    def accuracy(self) -> float:
        """Part of the known pixels that is right; NaN without any."""
        total = int(self.counts.sum())
        return int(np.trace(self.counts)) / total if total else float('nan')


class CalibrationError:
    """Expected calibration error: how far confidence is from the rate of being right.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    Attributes:
        counts: (2, 256) int64 known pixels by confidence: those that are right, and all.
    """

    def __init__(self) -> None:
        self.counts = np.zeros((2, 256), np.int64)

    def update(self, truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> None:
        """Count the pixels of a frame.

        Args:
            truth: (H, W) uint8 class ids, 255 where unknown.
            prediction: (H, W) uint8 class ids, 255 for no class.
            confidence: (H, W) uint8, 255 times the probability of the predicted class.

        Raises:
            InputError: for unequal sizes.
        """
        _check_pair('truth and prediction', truth, prediction)
        _check_pair('truth and confidence', truth, confidence)
        _count_verdicts(truth.ravel(), prediction.ravel(), confidence.ravel(), self.counts)

    def bins(self, num_bins: int = 15) -> list[ReliabilityBin]:
        """Equal bins of confidence, the lowest first: the reliability diagram."""
        levels = np.arange(256)
        numbers = levels * num_bins // 256
        num_right, num_all = self.counts
        summed = [
            np.bincount(numbers, weights) for weights in (num_all, num_all * levels, num_right)
        ]
        return [
            ReliabilityBin(
                index / num_bins,
                (index + 1) / num_bins,
                int(pixels),
                float(levels_sum / 255 / pixels) if pixels else float('nan'),
                float(right / pixels) if pixels else float('nan'),
            )
            for index, (pixels, levels_sum, right) in enumerate(zip(*summed, strict=True))
        ]

    def value(self, num_bins: int = 15) -> float:
        """The error over equal bins of confidence, 0 (honest) to 1; NaN without pixels."""
        filled = [item for item in self.bins(num_bins) if item.pixels]
        if not filled:
            return float('nan')
        gaps = sum(item.pixels * abs(item.accuracy - item.confidence) for item in filled)
        return gaps / sum(item.pixels for item in filled)


@numba.njit(nogil=True, cache=True)
def _count_verdicts(truth, prediction, confidence, counts):
    for i in range(len(truth)):
        if truth[i] != NO_CLASS:
            counts[0, confidence[i]] += truth[i] == prediction[i]
            counts[1, confidence[i]] += 1


def _strangers(num_classes: int) -> slice:
    """Ids that are neither a class nor 255."""
    return slice(num_classes, NO_CLASS)


def _check_pair(names: str, first: np.ndarray, second: np.ndarray) -> None:
    if (
        first.shape != second.shape
        or first.ndim != 2
        or {first.dtype, second.dtype} != {np.dtype(np.uint8)}
    ):
        raise InputError(
            f'{names}: expected two (H, W) uint8 images of one size, got {first.shape} '
            f'{first.dtype} and {second.shape} {second.dtype}; resize or convert one'
        )


def _check_ids(name: str, histogram: np.ndarray, num_classes: int) -> None:
    strangers = np.flatnonzero(histogram[_strangers(num_classes)]) + num_classes
    if len(strangers):
        raise InputError(
            f'{name}: expected class ids below {num_classes}, or 255, got {strangers[0]}; '
            'use the label ids of the class list'
        )
