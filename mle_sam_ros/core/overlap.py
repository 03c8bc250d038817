"""Two label maps laid over one another: the counts that intersection over union takes.

In both maps 255 stands for what does not count there: unknown, no class, or simply left out.
"""

import numba
import numpy as np

NO_CLASS = 255


def count_overlap(first: np.ndarray, second: np.ndarray, num_classes: int) -> np.ndarray:
    """Pixels of each class.

    Args:
        first: (H, W) uint8 class ids, 255 where nothing counts; ids from K on do not, either.
        second: likewise, of the same size.
        num_classes: K.

    Returns:
        (3, K) int64: where both maps have the class, where the first has it, where the second.
    """
    counts = np.zeros((3, 256), np.int64)
    if first.size:
        _count_overlap(first.ravel(), second.ravel(), counts)
    return counts[:, :num_classes]


def overlap_of(counts: np.ndarray) -> np.ndarray:
    """(3, R) overlap of an (R, C) table of how often each pair meets; R is at most C."""
    both = np.diagonal(counts)
    return np.stack([both, counts.sum(axis=1), counts.sum(axis=0)[: len(counts)]])


def iou_of(overlap: np.ndarray) -> np.ndarray:
    """(…, K) float64 intersection over union of (…, 3, K) counts; NaN where neither has it."""
    both, first, second = np.moveaxis(np.asarray(overlap), -2, 0)
    union = first + second - both
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)


def mean_iou(overlap: np.ndarray) -> float:
    """Mean over the classes that either map has, of (3, K) counts; NaN where there is none."""
    iou = iou_of(overlap)
    known = iou[~np.isnan(iou)]
    return float(known.mean()) if len(known) else float('nan')


def joint_histogram(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(256, 256) int64: how often each pair of values meets in two uint8 images of one size."""
    counts = np.zeros((256, 256), np.int64)
    if first.size:
        _count_runs(first.ravel(), second.ravel(), counts)
    return counts


# Both count in runs: neighbours mostly have one class, and adding to one place again and again is
# slow.
@numba.njit(nogil=True, cache=True)
def _count_overlap(first, second, counts):
    one, other, start = first[0], second[0], 0
    for i in range(1, len(first)):
        if first[i] != one or second[i] != other:
            _add_run(one, other, i - start, counts)
            one, other, start = first[i], second[i], i
    _add_run(one, other, len(first) - start, counts)


@numba.njit(nogil=True, cache=True)
def _add_run(one, other, length, counts):
    counts[0, one] += length * (one == other)
    counts[1, one] += length
    counts[2, other] += length


@numba.njit(nogil=True, cache=True)
def _count_runs(first, second, counts):
    one, other, start = first[0], second[0], 0
    for i in range(1, len(first)):
        if first[i] != one or second[i] != other:
            counts[one, other] += i - start
            one, other, start = first[i], second[i], i
    counts[one, other] += len(first) - start
