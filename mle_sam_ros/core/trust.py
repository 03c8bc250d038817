"""What the fusion trusted, as the words that diagnostics carry: for people and for replays."""

from collections.abc import Mapping, Sequence

import cv2
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.pipeline import Prediction
import numpy as np

Statuses = dict[str, dict[str, str]]


def trust_statuses(prediction: Prediction, modalities: Sequence[str]) -> Statuses:
    """Status name to its keys and values.

    Args:
        prediction: of one instant.
        modalities: of the manifest, in its order.

    Returns:
        `level_<i>`: modality to router weight; `sensors`: `<modality>/present`, and for those
        present `/age_ms` and `/coverage`, the part of the raster's pixels that hold data;
        `timings`: milliseconds by stage.
    """
    levels = {
        f'level_{index}': {
            modality: f'{weight:.6f}' for modality, weight in zip(modalities, row, strict=True)
        }
        for index, row in enumerate(prediction.router_weights.tolist())
    }
    sensors = {}
    for modality in modalities:
        is_present = modality in prediction.present
        sensors[f'{modality}/present'] = str(is_present)
        if is_present:
            sensors[f'{modality}/age_ms'] = f'{prediction.ages_ns[modality] / 1e6:.3f}'
            sensors[f'{modality}/coverage'] = f'{_coverage(prediction.rasters[modality]):.4f}'
    timings = {stage: f'{value:.3f}' for stage, value in prediction.timings_ms.items()}
    return {**levels, 'sensors': sensors, 'timings': timings}


def _coverage(raster: np.ndarray) -> float:
    """The part of the pixels that are not all zero."""
    zeros = (0,) * raster.shape[2]
    is_empty = cv2.inRange(raster, zeros, zeros)  # ten times as fast as any(axis=2)
    return (is_empty.size - cv2.countNonZero(is_empty)) / is_empty.size


def router_weights_of(statuses: Mapping[str, Mapping[str, str]]) -> np.ndarray:
    """(levels, M) float32 router weights of `trust_statuses`.

    Raises:
        InputError: where there is no level, or a weight is no number.
    """
    rows = [
        list(values.values()) for name, values in statuses.items() if name.startswith('level_')
    ]
    try:
        weights = np.array(rows, np.float32)
    except ValueError:
        weights = np.empty(0, np.float32)
    if weights.ndim != 2:
        raise InputError(
            f'router weights: expected numbers for level_0 and on, got {dict(statuses)}; '
            'record ~/router_weights of the perception node'
        )
    return weights


def present_of(statuses: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """The modalities that took part, of `trust_statuses`."""
    suffix = '/present'
    return frozenset(
        key.removesuffix(suffix)
        for key, value in statuses.get('sensors', {}).items()
        if key.endswith(suffix) and value == 'True'
    )
