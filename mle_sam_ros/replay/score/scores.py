"""Every figure of a drive, or of a fleet of them, from its tallies: the one place for it."""

from collections.abc import Mapping
import math
from typing import Any

from mle_sam_ros.core.boundary import WIDTH_OF_DIAGONAL
from mle_sam_ros.core.metrics import CalibrationError, ConfusionMatrix
from mle_sam_ros.core.overlap import iou_of, mean_iou
from mle_sam_ros.replay.score.subsets import subset_keys
from mle_sam_ros.replay.score.tallies import (
    DISTANCES_M,
    Layout,
    overlap_mapping,
    Tallies,
    Tally,
    WEIGHT_STEPS,
)
import numpy as np

_PERCENTILES = (5, 50, 95)


def scores(tallies: Tallies) -> dict[str, Any]:
    """The part of `metrics.json` that follows from what was counted, and the counts themselves.

    A figure that has nothing to stand on is None. Lists and mappings are in an order that does not
    depend on that of the drives.
    """
    layout, whole = tallies.layout, tallies.whole
    matrix = _matrix(whole)
    return {
        'classes': list(layout.classes),
        'modalities': list(layout.modalities),
        **_iou(whole.overlap, layout),
        'miou_absent_as_zero': rounded(matrix.miou('zero')) if whole.frames_scored else None,
        'pixel_accuracy': rounded(matrix.accuracy()),
        'boundary_iou': {
            'mean': rounded(mean_iou(whole.boundary)),
            'iou': _by_class(whole.boundary, layout),
            'width': WIDTH_OF_DIAGONAL,
        },
        'calibration': _calibration(whole),
        'distance_bands': _distance_bands(whole, layout),
        'temporal_consistency': _temporal_consistency(whole, layout),
        'router_weights': _router_weights(whole, layout),
        'frames_scored': whole.frames_scored,
        'frames_without_mask': tallies.frames_without_mask,
        'subsets': _subsets(whole, layout),
        'conditions': {
            name: _condition(tally, layout) for name, tally in sorted(tallies.conditions.items())
        },
        'frames': {**tallies.frames, 'rejected': _sorted(tallies.frames['rejected'])},
        'faults': _sorted(tallies.faults),
        'blocks': [
            {
                'bag': bag,
                'start_ns': start_ns,
                'frames': block.frames,
                **overlap_mapping(block.overlap),
            }
            for (bag, start_ns), block in sorted(tallies.blocks.items())
        ],
        'tallies': tallies.to_mapping(),
    }


def rounded(value: float) -> float | None:
    """Six decimals; None, JSON's null, for NaN."""
    return None if math.isnan(value) else round(float(value), 6)


def _condition(tally: Tally, layout: Layout) -> dict[str, Any]:
    return {
        'frames': tally.frames,
        'frames_scored': tally.frames_scored,
        **_iou(tally.overlap, layout),
        'boundary_iou': rounded(mean_iou(tally.boundary)),
        'calibration_error': rounded(_calibration_error(tally).value()),
        'temporal_consistency': rounded(mean_iou(tally.flow[0])),
        'router_weights': _router_weights(tally, layout),
        'subsets': _subsets(tally, layout),
    }


def _iou(overlap: np.ndarray, layout: Layout) -> dict[str, Any]:
    return {'miou': rounded(mean_iou(overlap)), 'iou': _by_class(overlap, layout)}


def _by_class(overlap: np.ndarray, layout: Layout) -> dict[str, float | None]:
    iou = iou_of(overlap).tolist()
    return {name: rounded(value) for name, value in zip(layout.classes, iou, strict=True)}


def _matrix(tally: Tally) -> ConfusionMatrix:
    matrix = ConfusionMatrix(len(tally.confusion))
    matrix.counts = tally.confusion
    return matrix


def _calibration_error(tally: Tally) -> CalibrationError:
    error = CalibrationError()
    error.counts = tally.calibration
    return error


def _calibration(tally: Tally) -> dict[str, Any]:
    error = _calibration_error(tally)
    return {
        'error': rounded(error.value()),
        'bins': [
            {
                'from': rounded(item.lower),
                'to': rounded(item.upper),
                'pixels': item.pixels,
                'confidence': rounded(item.confidence),
                'accuracy': rounded(item.accuracy),
            }
            for item in error.bins()
        ],
    }


def _distance_bands(tally: Tally, layout: Layout) -> list[dict[str, Any]]:
    ends = (*DISTANCES_M[1:], None)
    return [
        {
            'from_m': from_m,
            'to_m': to_m,
            'pixels': int(overlap[1].sum()),
            **_iou(overlap, layout),
        }
        for from_m, to_m, overlap in zip(DISTANCES_M, ends, tally.distance, strict=True)
    ]


def _temporal_consistency(tally: Tally, layout: Layout) -> dict[str, Any]:
    masks, truths = tally.flow
    return {
        'pairs': int(tally.flow_pairs[0]),
        **_iou(masks, layout),
        'pairs_of_truth': int(tally.flow_pairs[1]),
        'miou_of_truth': rounded(mean_iou(truths)),
    }


def _subsets(tally: Tally, layout: Layout) -> dict[str, Any]:
    return {
        key: {**_iou(tally.subsets[key][1], layout), 'frames_scored': tally.subsets[key][0]}
        for key in subset_keys(layout.modalities)
        if key in tally.subsets
    }


def _router_weights(tally: Tally, layout: Layout) -> dict[str, dict[str, Any]]:
    """By level and modality, over all masks; a modality weighs 0 where it is absent."""
    if not tally.frames:
        return {}
    return {
        f'level_{level}': {
            name: _weight(int(tally.weight_sums[level, index]), tally.weight_counts[level, index])
            for index, name in enumerate(layout.modalities)
        }
        for level in range(layout.levels)
    }


def _weight(millionths: int, counts: np.ndarray) -> dict[str, float | None]:
    """The mean is exact to a millionth; the rest, of a histogram, to a thousandth."""
    total, steps = int(counts.sum()), np.arange(len(counts))
    mean_step = float(counts @ steps) / total
    ranks, filled = np.cumsum(counts), np.flatnonzero(counts)
    percentiles = {
        f'p{percent}': int(np.searchsorted(ranks, max(1, math.ceil(total * percent / 100))))
        for percent in _PERCENTILES
    }
    return {
        'mean': rounded(millionths / total / 1e6),
        'std': rounded(math.sqrt(float(counts @ (steps - mean_step) ** 2) / total) / WEIGHT_STEPS),
        'min': rounded(int(filled[0]) / WEIGHT_STEPS),
        'max': rounded(int(filled[-1]) / WEIGHT_STEPS),
        **{key: rounded(step / WEIGHT_STEPS) for key, step in percentiles.items()},
    }


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
