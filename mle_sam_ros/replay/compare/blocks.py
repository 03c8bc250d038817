"""Blocks of two results, matched by recording and time, and how far chance moves their scores."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

from mle_sam_ros.core.errors import InputError
import numpy as np

NUM_RESAMPLES = 2000
CONFIDENCE_PERCENT = 95
_COUNTS = ('hits', 'truth', 'predicted')
# Sums of so many pixels are exact in float64, whatever the order.
_MAX_COUNT = 2**40
# Weights of so many blocks are drawn at once: a fleet must not take all memory.
_MAX_WEIGHTS = 1 << 22


class Interval(NamedTuple):
    """Where a difference may lie, candidate minus standing."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether chance alone does not explain the difference."""
        return self.low > 0 or self.high < 0


Blocks = Mapping[tuple[str, int], np.ndarray]


def read_blocks(metrics: Mapping[str, Any], num_classes: int, source: str) -> Blocks:
    """The blocks of a result.

    Args:
        metrics: content of `metrics.json`.
        num_classes: K.
        source: of the result, for errors.

    Returns:
        By recording and start, (4, K) float64 whole numbers: pixels that were hit, of the truth
        and of the prediction, by class; and the number of frames (in all columns). Parts of one
        block are added.

    Raises:
        InputError: for blocks that are none.
    """
    content = metrics.get('blocks') or []
    if not isinstance(content, list):
        raise InputError(f'{source}: expected blocks to be a list, got another thing; {_REMEDY}')
    blocks: dict[tuple[str, int], np.ndarray] = {}
    for index, item in enumerate(content):
        key, counts = _block(item, num_classes, f'{source}: blocks[{index}]')
        blocks[key] = blocks[key] + counts if key in blocks else counts
    return blocks


_REMEDY = 'replay the drive again'


def _block(item: object, num_classes: int, where: str) -> tuple[tuple[str, int], np.ndarray]:
    if not isinstance(item, dict):
        raise InputError(f'{where}: expected a mapping, got {item!r:.40}; {_REMEDY}')
    bag, start_ns, frames = (item.get(name) for name in ('bag', 'start_ns', 'frames'))
    if not (isinstance(bag, str) and _is_count(start_ns, 2**63) and _is_count(frames)):
        raise InputError(
            f'{where}: expected bag, start_ns and frames, got {bag!r:.40}, {start_ns!r:.40} and '
            f'{frames!r:.40}; {_REMEDY}'
        )
    rows = [item.get(name) for name in _COUNTS]
    for name, row in zip(_COUNTS, rows, strict=True):
        if not (isinstance(row, list) and len(row) == num_classes and all(map(_is_count, row))):
            raise InputError(
                f'{where}: expected {name} to be {num_classes} numbers of pixels, got '
                f'{row!r:.40}; {_REMEDY}'
            )
    counts = np.array([*rows, [frames] * num_classes], np.float64)
    if (counts[0] > np.minimum(counts[1], counts[2])).any():
        raise InputError(
            f'{where}: expected no more hits than pixels of truth and prediction, got more; '
            f'{_REMEDY}'
        )
    return (bag, start_ns), counts


def _is_count(value: object, limit: int = _MAX_COUNT) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit


@dataclass(frozen=True, eq=False)
class PairedBlocks:
    """The blocks that two results have in common.

    Attributes:
        standing: (n, 4, K) float64, as of `read_blocks`.
        candidate: likewise, of the same blocks in the same order.
        num_unmatched: blocks that only the standing result has, and only the candidate.
    """

    standing: np.ndarray
    candidate: np.ndarray
    num_unmatched: tuple[int, int]

    @classmethod
    def match(cls, standing: Blocks, candidate: Blocks) -> 'PairedBlocks':
        """Pair blocks of one recording and start."""
        common = sorted(standing.keys() & candidate.keys())
        return cls(
            np.array([standing[key] for key in common]),
            np.array([candidate[key] for key in common]),
            (len(standing) - len(common), len(candidate) - len(common)),
        )

    def __len__(self) -> int:
        return len(self.standing)

    @property
    def num_differing(self) -> int:
        """Blocks in which the two scored different numbers of frames, or of pixels."""
        is_other = self.standing[:, [1, 3]].sum(axis=2) != self.candidate[:, [1, 3]].sum(axis=2)
        return int(is_other.any(axis=1).sum())

    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        """`block_scores` of the standing result and of the candidate, over all pairs."""
        return block_scores(self.standing.sum(axis=0)), block_scores(self.candidate.sum(axis=0))

    def intervals(
        self, seed: int = 0, num_resamples: int = NUM_RESAMPLES
    ) -> list[Interval | None]:
        """Percentile intervals of the differences of `block_scores`, by the paired bootstrap.

        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: pairs of blocks
        are drawn with replacement, as many as there are; both results are scored on the same
        draw. Pixels of one block depend on one another, so that blocks are drawn, not pixels.

        Args:
            seed: of the draws.
            num_resamples: how often to draw.

        Returns:
            In the order of `block_scores`; None where there is nothing to draw from.
        """
        if len(self) < 2:
            return [None] * (self.standing.shape[-1] + 2 if len(self) else 0)
        parts = [
            block_scores(_drawn(weights, self.candidate))
            - block_scores(_drawn(weights, self.standing))
            for weights in _weights(len(self), seed, num_resamples)
        ]
        return [_interval(column) for column in np.concatenate(parts).T]


def block_scores(counts: np.ndarray) -> np.ndarray:
    """Scores of summed blocks.

    Args:
        counts: (..., 3 or more, K), hits, truth and predicted.

    Returns:
        (..., 2 + K) float64: mIoU over the classes that occur, pixel accuracy, IoU by class; NaN
        where there is nothing to score.
    """
    hits, truth, predicted = counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]
    union = truth + predicted - hits
    iou = _ratio(hits, union)
    miou = _ratio(np.nansum(iou, axis=-1), (union > 0).sum(axis=-1))
    accuracy = _ratio(hits.sum(axis=-1), truth.sum(axis=-1))
    return np.concatenate([miou[..., None], accuracy[..., None], iou], axis=-1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _weights(num_blocks: int, seed: int, num_resamples: int) -> Iterator[np.ndarray]:
    """(r, n) float64 how often each draw holds each block, some draws at a time."""
    random = np.random.default_rng(seed)
    step = max(1, _MAX_WEIGHTS // num_blocks)
    for first in range(0, num_resamples, step):
        num_draws = min(step, num_resamples - first)
        drawn = random.integers(0, num_blocks, (num_draws, num_blocks))
        drawn += np.arange(num_draws)[:, None] * num_blocks
        counts = np.bincount(drawn.ravel(), minlength=num_draws * num_blocks)
        yield counts.reshape(num_draws, num_blocks).astype(np.float64)


def _drawn(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(r, 3, K) sums of the blocks of each draw."""
    num_blocks, _, num_classes = counts.shape
    sums = weights @ counts[:, :3].reshape(num_blocks, -1)
    return sums.reshape(len(weights), 3, num_classes)


def _interval(differences: np.ndarray) -> Interval | None:
    known = differences[~np.isnan(differences)]
    if not len(known):
        return None
    rest = (100 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(known, [rest, 100 - rest])
    return Interval(float(low), float(high))
