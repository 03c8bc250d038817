"""What is counted over a drive: whole numbers, from which every figure follows.

Tallies of two drives, or of two parts of one, add up exactly and in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.overlap import overlap_of
import numpy as np

SCHEMA = 'mle_sam_ros/metrics/1'
METRICS_NAME = 'metrics.json'
# Lower bounds of the distance bands, metres; the last has no end.
DISTANCES_M = (0, 10, 20, 40, 80)
# Router weights are counted in thousandths, and summed in millionths.
WEIGHT_STEPS = 1000
_MILLIONTHS = 1_000_000
_OVERLAP = ('hits', 'truth', 'predicted')


@dataclass(frozen=True)
class Layout:
    """What the tallies of a model are counted by.

    Attributes:
        classes: names, in the order of the ids.
        modalities: names, in the manifest's order.
        levels: of the router.
    """

    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    levels: int


class Tally:
    """Counts over a set of frames. K classes, M modalities, L levels of the router.

    Attributes:
        frames: masks.
        frames_scored: masks with ground truth.
        flow_pairs: (2,) int64 pairs of following masks, and of following ground truths, that were
            laid over one another.
        confusion: (K, K + 1) int64, as `core.metrics.ConfusionMatrix`.
        calibration: (2, 256) int64, as `core.metrics.CalibrationError`.
        boundary: (3, K) int64, as `core.boundary.boundary_overlap`.
        distance: (bands, 3, K) int64 overlap of truth and mask where a range is known.
        flow: (2, 3, K) int64 overlap of what was before with what is now: masks, ground truths.
        weight_sums: (L, M) int64 millionths.
        weight_counts: (L, M, 1001) int64 masks by the weight in thousandths.
        subsets: by sensors (`camera+lidar`): masks scored, and their (3, K) overlap.
    """

    _ARRAYS = (
        'flow_pairs', 'confusion', 'calibration', 'boundary', 'distance', 'flow', 'weight_sums',
        'weight_counts',
    )  # fmt: skip

    def __init__(self, layout: Layout) -> None:
        """Start with no frame."""
        num_classes, num_modalities = len(layout.classes), len(layout.modalities)
        self.frames = 0
        self.frames_scored = 0
        self.flow_pairs = np.zeros(2, np.int64)
        self.confusion = np.zeros((num_classes, num_classes + 1), np.int64)
        self.calibration = np.zeros((2, 256), np.int64)
        self.boundary = np.zeros((3, num_classes), np.int64)
        self.distance = np.zeros((len(DISTANCES_M), 3, num_classes), np.int64)
        self.flow = np.zeros((2, 3, num_classes), np.int64)
        self.weight_sums = np.zeros((layout.levels, num_modalities), np.int64)
        self.weight_counts = np.zeros((*self.weight_sums.shape, WEIGHT_STEPS + 1), np.int64)
        self.subsets: dict[str, tuple[int, np.ndarray]] = {}

    @property
    def overlap(self) -> np.ndarray:
        """(3, K) int64 known pixels by class: right, in the truth, in the masks."""
        return overlap_of(self.confusion)

    def add(self, other: Tally) -> None:
        """Take in the counts of other frames."""
        self.frames += other.frames
        self.frames_scored += other.frames_scored
        for name in self._ARRAYS:
            np.add(getattr(self, name), getattr(other, name), out=getattr(self, name))
        for key, (num_scored, overlap) in other.subsets.items():
            self.add_subset(key, num_scored, overlap)

    def add_subset(self, key: str, num_scored: int, overlap: np.ndarray) -> None:
        """Take in masks that these sensors made."""
        before, total = self.subsets.get(key, (0, 0))
        self.subsets[key] = before + num_scored, total + overlap

    def add_weights(self, router_weights: np.ndarray) -> None:
        """Take in the (L, M) float32 weights of a mask."""
        weights = np.nan_to_num(router_weights.astype(np.float64))  # a recording may hold any
        self.weight_sums += np.rint(weights * _MILLIONTHS).astype(np.int64)
        steps = np.rint(np.clip(weights, 0, 1) * WEIGHT_STEPS).astype(np.int64)
        levels, modalities = np.indices(steps.shape)
        self.weight_counts[levels, modalities, steps] += 1

    def to_mapping(self, layout: Layout) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            'frames': self.frames,
            'frames_scored': self.frames_scored,
            'confusion': self.confusion.tolist(),
            'calibration': dict(zip(('right', 'all'), self.calibration.tolist(), strict=True)),
            'boundary': overlap_mapping(self.boundary),
            'distance_bands': [overlap_mapping(band) for band in self.distance],
            'flow': [
                {'pairs': int(pairs), **overlap_mapping(overlap)}
                for pairs, overlap in zip(self.flow_pairs, self.flow, strict=True)
            ],
            'router_weights': {
                f'level_{level}': {
                    name: {
                        'millionths': int(self.weight_sums[level, index]),
                        'by_thousandths': _sparse(self.weight_counts[level, index]),
                    }
                    for index, name in enumerate(layout.modalities)
                }
                for level in range(layout.levels)
            },
            'subsets': {
                key: {'frames_scored': num_scored, **overlap_mapping(overlap)}
                for key, (num_scored, overlap) in sorted(self.subsets.items())
            },
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], layout: Layout) -> Tally:
        """The tally that `to_mapping` gave this mapping of."""
        tally = cls(layout)
        tally.frames = int(mapping['frames'])
        tally.frames_scored = int(mapping['frames_scored'])
        tally.confusion[:] = mapping['confusion']
        tally.calibration[:] = [mapping['calibration'][key] for key in ('right', 'all')]
        tally.boundary[:] = _overlap(mapping['boundary'])
        tally.distance[:] = [_overlap(band) for band in mapping['distance_bands']]
        tally.flow_pairs[:] = [item['pairs'] for item in mapping['flow']]
        tally.flow[:] = [_overlap(item) for item in mapping['flow']]
        for level in range(layout.levels):
            for index, name in enumerate(layout.modalities):
                counted = mapping['router_weights'][f'level_{level}'][name]
                tally.weight_sums[level, index] = counted['millionths']
                for step, count in counted['by_thousandths'].items():
                    tally.weight_counts[level, index, int(step)] = count
        for key, item in mapping['subsets'].items():
            overlap = np.zeros_like(tally.boundary)
            overlap[:] = _overlap(item)
            tally.subsets[key] = int(item['frames_scored']), overlap
        return tally


@dataclass(frozen=True)
class Block:
    """A second of scored frames, on a grid of absolute time.

    Attributes:
        frames: that were scored.
        overlap: (3, K) int64: right, in the truth, in the masks.
    """

    frames: int
    overlap: np.ndarray

    def __add__(self, other: Block) -> Block:
        return Block(self.frames + other.frames, self.overlap + other.overlap)


class Tallies:
    """Everything that is counted over one drive, or over several.

    Attributes:
        layout: of the model.
        whole: over all masks.
        conditions: over the masks of each condition.
        blocks: by recording and start (ns).
        frames: the frame account, as `FrameAccount.to_mapping()`.
        faults: messages, to how often they came.
        frames_without_mask: ground-truth label maps that no mask met.
    """

    def __init__(self, layout: Layout) -> None:
        """Start with nothing."""
        self.layout = layout
        self.whole = Tally(layout)
        self.conditions: dict[str, Tally] = {}
        self.blocks: dict[tuple[str, int], Block] = {}
        self.frames: dict[str, Any] = FrameAccount().to_mapping()
        self.faults: Counter[str] = Counter()
        self.frames_without_mask = 0

    def add(self, other: Tallies) -> None:
        """Take in what was counted elsewhere.

        Raises:
            InputError: for tallies of other classes, sensors or levels.
        """
        if other.layout != self.layout:
            raise InputError(
                f'tallies: expected those of {_words(self.layout)}, got {_words(other.layout)}; '
                'add up results of one model'
            )
        self.whole.add(other.whole)
        for name, tally in other.conditions.items():
            self.conditions.setdefault(name, Tally(self.layout)).add(tally)
        for key, block in other.blocks.items():
            before = self.blocks.get(key)
            self.blocks[key] = block if before is None else before + block
        rejected = Counter(self.frames['rejected']) + Counter(other.frames['rejected'])
        counts = {key: value for key, value in other.frames.items() if key != 'rejected'}
        self.frames |= {key: self.frames.get(key, 0) + value for key, value in counts.items()}
        self.frames['rejected'] = dict(rejected)
        self.faults.update(other.faults)
        self.frames_without_mask += other.frames_without_mask

    def to_mapping(self) -> dict[str, Any]:
        """What `metrics.json` holds as `tallies`; the rest of the counts stands beside it."""
        return {
            'whole': self.whole.to_mapping(self.layout),
            'conditions': {
                name: tally.to_mapping(self.layout)
                for name, tally in sorted(self.conditions.items())
            },
        }

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any], source: str = METRICS_NAME) -> Tallies:
        """The tallies that a `metrics.json` was made from.

        Args:
            metrics: its content.
            source: where it came from, for error messages.

        Raises:
            InputError: where they are not all there.
        """
        try:
            return cls._from_metrics(metrics)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                f'{source}: expected the tallies of {SCHEMA}, got a fault in them '
                f'({type(error).__name__}: {str(error)[:80]}); replay the recording again'
            ) from None

    @classmethod
    def _from_metrics(cls, metrics: Mapping[str, Any]) -> Tallies:
        counted = metrics['tallies']
        levels = len(counted['whole']['router_weights'])
        layout = Layout(tuple(metrics['classes']), tuple(metrics['modalities']), levels)
        tallies = cls(layout)
        tallies.whole = Tally.from_mapping(counted['whole'], layout)
        for name, mapping in counted['conditions'].items():
            tallies.conditions[name] = Tally.from_mapping(mapping, layout)
        for item in metrics['blocks']:
            overlap = np.zeros((3, len(layout.classes)), np.int64)
            overlap[:] = _overlap(item)
            tallies.blocks[item['bag'], int(item['start_ns'])] = Block(
                int(item['frames']), overlap
            )
        tallies.frames = {
            key: _counts(value) if key == 'rejected' else int(value)
            for key, value in metrics['frames'].items()
        }
        tallies.faults = Counter(_counts(metrics['faults']))
        tallies.frames_without_mask = int(metrics['frames_without_mask'])
        return tallies


def overlap_mapping(overlap: np.ndarray) -> dict[str, list[int]]:
    """(3, K) counts as `hits`, `truth` and `predicted`."""
    return dict(zip(_OVERLAP, overlap.tolist(), strict=True))


def _overlap(mapping: Mapping[str, Any]) -> list[list[int]]:
    return [mapping[key] for key in _OVERLAP]


def _counts(mapping: Mapping[str, Any]) -> dict[str, int]:
    return {key: int(count) for key, count in mapping.items()}


def _sparse(counts: np.ndarray) -> dict[str, int]:
    return {str(index): int(counts[index]) for index in np.flatnonzero(counts)}


def _words(layout: Layout) -> str:
    return (
        f'{len(layout.classes)} classes ({", ".join(layout.classes[:3])}…) and '
        f'{", ".join(layout.modalities)} at {layout.levels} levels'
    )
