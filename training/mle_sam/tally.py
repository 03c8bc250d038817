"""Counting the pixels of an evaluation."""

from collections.abc import Sequence

from mle_sam_ros.core.metrics import ConfusionMatrix
import numpy as np

from mle_sam.scores import Mean, Score


class Tally:
    """Counts the pixels of one circumstance, by group of samples."""

    def __init__(self, classes: Sequence[str]):
        self._classes = classes
        self._groups: dict[tuple[str, str], tuple[ConfusionMatrix, int]] = {}

    def update(
        self, truth: np.ndarray, prediction: np.ndarray, groups: list[tuple[str, str]]
    ) -> None:
        """Count a sample.

        Args:
            truth: (H, W) uint8, 255 = does not count.
            prediction: (H, W) uint8, 255 = no class.
            groups: kind (`whole`, `condition`, `failure`) and name of each that it belongs to.

        Raises:
            InputError: for sizes that differ, or labels beyond the classes.
        """
        matrix = ConfusionMatrix(len(self._classes))
        matrix.update(truth, prediction)
        for group in groups:
            total, samples = self._groups.get(group, (ConfusionMatrix(len(self._classes)), 0))
            self._groups[group] = (total + matrix, samples + 1)

    def score(self) -> Score:
        """What was counted."""
        whole, _ = self._groups['whole', 'all']
        by_class = (None if np.isnan(iou) else float(iou) for iou in whole.iou())
        return Score(
            self._means('whole')['all'],
            dict(zip(self._classes, by_class, strict=True)),
            self._means('condition'),
            self._means('failure'),
        )

    def _means(self, kind: str) -> dict[str, Mean]:
        return {
            name: _mean(matrix, samples)
            for (its_kind, name), (matrix, samples) in sorted(self._groups.items())
            if its_kind == kind
        }


def _mean(matrix: ConfusionMatrix, samples: int) -> Mean:
    over_present = matrix.miou()
    return Mean(matrix.miou('zero'), None if np.isnan(over_present) else over_present, samples)
