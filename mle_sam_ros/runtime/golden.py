"""Golden tensors: what a bundle's engine must answer to one recorded instant."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
import math
from pathlib import Path
from typing import IO, NoReturn
import zipfile

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.runtime.contract import FEATURE_NAMES
import numpy as np
from numpy.lib import format as npy

_MAX_CHANNELS = 4096


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

    Only the arrays that belong to it are read, each only once it is known to have its size: the
    file may come from anywhere.

    Raises:
        InputError: for a file that is no npz archive, or lacks an array of the right shape and
            dtype.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_golden(_Arrays(archive, path), manifest)
    except InputError:
        raise
    except Exception as error:  # whatever a broken file makes the readers raise
        raise InputError(
            f'{path}: expected an npz archive, got {str(error)!r}; copy the bundle again'
        ) from None


class _Arrays:
    """Arrays of an npz archive, none of them larger than asked for."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive = archive
        self._path = path
        self._names = set(archive.namelist())

    def take(self, key: str, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> np.ndarray:
        """The array of that name, shape and one of these dtypes."""
        if f'{key}.npy' not in self._names:
            self._refuse(key, shape, dtypes, 'none')
        with self._archive.open(f'{key}.npy') as stream:
            got_shape, is_fortran, dtype = _read_header(stream)
            if got_shape != shape or dtype.name not in dtypes or is_fortran:
                self._refuse(key, shape, dtypes, f'{got_shape} {dtype}')
            num_bytes = dtype.itemsize * math.prod(shape)
            content = stream.read(num_bytes)
        if len(content) != num_bytes:
            self._refuse(key, shape, dtypes, f'{len(content)} of {num_bytes} bytes')
        return np.frombuffer(bytearray(content), dtype).reshape(shape)

    def shape(self, key: str) -> tuple[int, ...] | None:
        """The shape that the array of that name claims; None where there is none."""
        if f'{key}.npy' not in self._names:
            return None
        with self._archive.open(f'{key}.npy') as stream:
            return _read_header(stream)[0]

    def _refuse(
        self, key: str, shape: tuple[int, ...], dtypes: tuple[str, ...], got: str
    ) -> NoReturn:
        raise InputError(
            f'{self._path}: expected {key} {shape} {" or ".join(dtypes)}, got {got}; '
            'export the bundle again'
        )


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in read:
        raise ValueError(f'npy format {version}')
    return read[version](stream)


def _read_golden(arrays: _Arrays, manifest: Manifest) -> Golden:
    height, width = manifest.input_hw
    names = manifest.modality_names
    router_shape = (manifest.router.levels, len(names))
    take = arrays.take

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
    features = {}
    for name in names:
        shapes = {f'{level}/{name}': arrays.shape(f'{level}/{name}') for level in FEATURE_NAMES}
        found = {key: shape for key, shape in shapes.items() if shape is not None}
        if all(_is_feature(shape, height, width) for shape in found.values()):
            features[name] = [take(key, shape, ('float32',)) for key, shape in found.items()]
    features = {name: levels for name, levels in features.items() if levels}
    return Golden(rasters, tuple(answers), features)


def _is_feature(shape: tuple[int, ...], height: int, width: int) -> bool:
    """Whether (1, C, h, w) can be an encoder's features of an (height, width) raster."""
    return (
        len(shape) == 4
        and shape[0] == 1
        and 0 < shape[1] <= _MAX_CHANNELS
        and 0 < shape[2] <= height
        and 0 < shape[3] <= width
    )
