"""Golden tensors: what a bundle's engine must answer to one recorded instant."""

from collections.abc import Iterator
from dataclasses import dataclass, field
import io
from itertools import combinations
from pathlib import Path
import zipfile

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.runtime.contract import FEATURE_NAMES
import numpy as np


@dataclass(frozen=True, eq=False)
class GoldenAnswer:
    """What the exported model says with some modalities present.

    Attributes:
        present: the modalities, in the manifest's order.
        label_map: (H, W) uint8.
        confidence: (H, W) uint8.
        router_weights: (levels, M) float32.
    """

    present: tuple[str, ...]
    label_map: np.ndarray
    confidence: np.ndarray
    router_weights: np.ndarray


@dataclass(frozen=True, eq=False)
class Golden:
    """One recorded instant, and what the exported model says of it.

    Attributes:
        rasters: modality to (H, W, 3).
        answers: for every subset of the modalities.
        features: modality to what its encoder says, (1, C, h, w) float32 by level; empty where
            the bundle was written without.
    """

    rasters: dict[str, np.ndarray]
    answers: tuple[GoldenAnswer, ...]
    features: dict[str, list[np.ndarray]] = field(default_factory=dict)


def subsets(modalities: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every non-empty subset in the given order, the largest first."""
    for size in range(len(modalities), 0, -1):
        yield from combinations(modalities, size)


def read_golden(path: Path, manifest: Manifest) -> Golden:
    """Read a bundle's `golden.npz`.

    Raises:
        InputError: for a file that is no npz archive, or lacks an array of the right shape and
            dtype.
    """
    height, width = manifest.input_hw
    names = manifest.modality_names
    router_shape = (manifest.router.levels, len(names))
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f'{path}: expected an npz archive, got {str(error)!r}; copy the bundle again'
        ) from None

    def take(key: str, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> np.ndarray:
        array = arrays.get(key)
        if array is None or array.shape != shape or array.dtype.name not in dtypes:
            got = 'none' if array is None else f'{array.shape} {array.dtype}'
            raise InputError(
                f'{path}: expected {key} {shape} {" or ".join(dtypes)}, got {got}; '
                'export the bundle again'
            )
        return array

    rasters = {
        name: take(f'raster_{name}', (height, width, 3), ('uint8', 'float32')) for name in names
    }
    answers = []
    for present in subsets(names):
        key = '+'.join(present)
        answers.append(
            GoldenAnswer(
                present,
                take(f'label_map/{key}', (height, width), ('uint8',)),
                take(f'confidence/{key}', (height, width), ('uint8',)),
                take(f'router_weights/{key}', router_shape, ('float32',)),
            )
        )
    features = {
        name: [arrays[f'{level}/{name}'] for level in FEATURE_NAMES]
        for name in names
        if all(f'{level}/{name}' in arrays for level in FEATURE_NAMES)
    }
    return Golden(rasters, tuple(answers), features)
