"""Shards: samples on disk, a few files for many of them.

    <shard>/<modality>.npy   (N, H, W, 3); zeros where a sample lacks the modality
    <shard>/labels.npy       (N, H, W) uint8
    <shard>/moments.json     all that is no pixels: see `ShardRecord`

The arrays are uncompressed and mapped, so that one sample is read without the others.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
import fcntl
import json
import os
from pathlib import Path
import shutil

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Encoding
from mle_sam_ros.core.record import from_mapping, to_mapping
import numpy as np

from mle_sam.config import NetworkConfig
from mle_sam.datasets.sample import Sample

_RECORD_NAME = 'moments.json'


@dataclass(frozen=True)
class ShardRecord:
    """What `moments.json` says of N samples. Shards of release 0.1 have the first two only.

    Attributes:
        conditions: N names.
        failures: N names, `none` where nothing failed.
        sources: N descriptions.
        present: modality to N truth values; of one that is not named here all are true.
        encodings: modality to how its rasters were made.
    """

    conditions: tuple[str, ...]
    failures: tuple[str, ...]
    sources: tuple[str, ...] = ()
    present: dict[str, tuple[bool, ...]] = field(default_factory=dict)
    encodings: dict[str, Encoding] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.conditions)


def write_shard(path: Path, samples: Sequence[Sample], network: NetworkConfig) -> None:
    """Write a shard, which appears whole or not at all; or give one more modalities.

    The caller holds its `shard_lock`.

    Args:
        path: of the shard. Where it is there already, the samples must be its own, with the
            modalities that it lacks.
        samples: at least one.
        network: its modalities are written.

    Raises:
        InputError: for a shard whose labels are not those of the samples.
    """
    partial = path.with_name(f'partial_{path.name}')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in network.modality_names:
        np.save(partial / f'{name}.npy', _stored(_stack(samples, name, network.input_hw)))
    labels = np.stack([sample.labels for sample in samples])
    np.save(partial / 'labels.npy', labels)
    record = _record_of(samples, network)
    if path.exists():
        record = _joined(path, record, labels)
    (partial / _RECORD_NAME).write_text(json.dumps(to_mapping(record)))
    if not path.exists():
        os.replace(partial, path)
        return
    for name in (*(f'{name}.npy' for name in network.modality_names), _RECORD_NAME):
        os.replace(partial / name, path / name)
    shutil.rmtree(partial)


def read_sample(path: Path, index: int, network: NetworkConfig) -> Sample:
    """One sample of a shard, with those of the network's modalities that it has.

    Raises:
        InputError: for a damaged file, or a label that is none of the network's classes.
    """
    record = read_record(path)
    rasters = {
        name: _restored(_array(path, name)[index])
        for name in network.modality_names
        if name not in record.present or record.present[name][index]
    }
    labels = np.array(_array(path, 'labels')[index])
    wrong = labels[(labels >= network.num_classes) & (labels != 255)]
    if wrong.size:
        raise InputError(
            f'{path}: expected labels below {network.num_classes}, or 255, got {wrong[0]}; '
            'use the classes that the shard was made with'
        )
    source = record.sources[index] if record.sources else f'{path.name}, moment {index}'
    return Sample(rasters, labels, record.conditions[index], record.failures[index], source)


def read_record(path: Path) -> ShardRecord:
    """What a shard says of its samples.

    Raises:
        InputError: for a record that is missing or damaged.
    """
    file = path / _RECORD_NAME
    try:
        mapping = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise _damage(file, error) from None
    return from_mapping(ShardRecord, mapping, str(file))


def missing_modalities(path: Path, network: NetworkConfig) -> tuple[str, ...]:
    """The network's modalities that a shard lacks: all of them where there is no shard.

    Raises:
        InputError: for a shard that was made for another input size or with other encodings, is
            damaged, or lacks a modality and does not say how the others were made.
    """
    if not path.exists():
        return network.modality_names
    record = read_record(path)
    missing = tuple(name for name in network.modality_names if not _has(path, record, name))
    if missing and not record.encodings:
        raise InputError(
            f'{path}: expected {missing[0]}, got a shard of release 0.1 without it; remove the '
            'shard to have it made again'
        )
    for spec in network.modalities:
        made_with = record.encodings.get(spec.name, spec.encoding)
        if made_with != spec.encoding:
            raise InputError(
                f'{path}: expected {spec.name} made with {spec.encoding}, got {made_with}; '
                'use another data.root, or remove the shard to have it made again'
            )
    shape = (len(record), *network.input_hw)
    for name, expected in [('labels', shape), *((n, (*shape, 3)) for n in network.modality_names)]:
        if name not in missing and (got := _array(path, name).shape) != expected:
            raise InputError(
                f'{path / name}.npy: expected an array {expected}, got {got}; use a data.root of '
                'its own for every input size'
            )
    return missing


@contextmanager
def shard_lock(path: Path) -> Iterator[None]:
    """Keep the making of a shard to one process; others wait. A process that dies lets go."""
    locks = path.parent / '.locks'
    locks.mkdir(parents=True, exist_ok=True)
    with open(locks / path.name, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stack(samples: Sequence[Sample], name: str, input_hw: tuple[int, int]) -> np.ndarray:
    """(N, H, W, 3), in the dtype of the rasters that are there."""
    rasters = [sample.rasters.get(name) for sample in samples]
    dtype = next((raster.dtype for raster in rasters if raster is not None), np.dtype(np.uint8))
    blank = np.zeros((*input_hw, 3), dtype)
    return np.stack([blank if raster is None else raster for raster in rasters])


def _stored(rasters: np.ndarray) -> np.ndarray:
    """Floats as float16 where they fit: half the disk, and a metre at 50 m is kept to 3 cm."""
    fits = rasters.dtype == np.float32 and np.abs(rasters).max() <= np.finfo(np.float16).max
    return rasters.astype(np.float16) if fits else rasters


def _restored(raster: np.ndarray) -> np.ndarray:
    return raster.astype(np.float32 if raster.dtype == np.float16 else raster.dtype)


def _record_of(samples: Sequence[Sample], network: NetworkConfig) -> ShardRecord:
    return ShardRecord(
        tuple(sample.condition for sample in samples),
        tuple(sample.failure for sample in samples),
        tuple(sample.source for sample in samples),
        {
            name: tuple(name in sample.rasters for sample in samples)
            for name in network.modality_names
        },
        {spec.name: spec.encoding for spec in network.modalities},
    )


def _joined(path: Path, more: ShardRecord, labels: np.ndarray) -> ShardRecord:
    """The record of a shard with the modalities of the same samples, made later."""
    if not np.array_equal(_array(path, 'labels'), labels):
        raise InputError(
            f'{path}: expected the labels that the same moments have now, got others; another '
            'release made the shard, remove it to have it made again'
        )
    record = read_record(path)
    return replace(
        record,
        present={**record.present, **more.present},
        encodings={**record.encodings, **more.encodings},
    )


def _has(path: Path, record: ShardRecord, name: str) -> bool:
    return name in record.encodings if record.encodings else (path / f'{name}.npy').exists()


def _array(path: Path, name: str) -> np.ndarray:
    file = path / f'{name}.npy'
    try:
        return np.load(file, mmap_mode='r')
    except (OSError, ValueError, EOFError) as error:
        raise _damage(file, error) from None


def _damage(file: Path, error: Exception) -> InputError:
    reason = ' '.join(str(error).split()) or type(error).__name__
    return InputError(
        f'{file}: expected a part of a shard, got {reason}; remove the shard to have it made again'
    )
