"""Simulated moments as rasters on disk, made by the code that makes them on the vehicle."""

from collections.abc import Iterator
from dataclasses import dataclass
import json
from multiprocessing import get_context
import os
from pathlib import Path
import shutil

import cv2
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import EventEncoding
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.simulation.moments import Moment, moments
import numpy as np
from tqdm import tqdm

from mle_sam.config import NetworkConfig

# Halves the disk; a metre at 50 m is kept to 3 cm.
_STORED_AS = {'camera': np.uint8, 'event': np.uint8, 'lidar': np.float16}


@dataclass(frozen=True)
class Shard:
    """The moments of one seed.

    Attributes:
        rasters: modality to (N, H, W, 3), mapped from disk.
        labels: (N, H, W) uint8, mapped from disk.
        conditions: N names.
        failures: N names, `none` where nothing failed.
    """

    rasters: dict[str, np.ndarray]
    labels: np.ndarray
    conditions: list[str]
    failures: list[str]


def prepare(
    network: NetworkConfig, seeds: range, count: int, directory: Path, num_processes: int
) -> None:
    """Simulate the seeds that are not on disk yet, one shard per seed.

    Args:
        network: its input size and encodings shape the rasters.
        seeds: one town each.
        count: moments per seed.
        directory: of the shards; a shard appears whole or not at all.
        num_processes: that simulate in parallel.
    """
    missing = [seed for seed in seeds if not _shard_path(directory, seed).exists()]
    tasks = [(network, seed, count, directory) for seed in missing]
    directory.mkdir(parents=True, exist_ok=True)
    with get_context('spawn').Pool(num_processes) as pool:
        progress = tqdm(total=len(seeds) * count, initial=(len(seeds) - len(missing)) * count)
        progress.set_description('simulating')
        with progress:
            for _ in pool.imap_unordered(_write_shard, tasks):
                progress.update(count)


def read_shards(directory: Path, seeds: range, modalities: tuple[str, ...]) -> list[Shard]:
    """Map the shards of some seeds into memory.

    Raises:
        InputError: if one is missing.
    """
    missing = [seed for seed in seeds if not _shard_path(directory, seed).exists()]
    if missing:
        raise InputError(
            f'{directory}: expected the shards of seeds {seeds.start} to {seeds.stop - 1}, '
            f'got none of {len(missing)} of them; run mle-sam-training prepare'
        )
    return [_read_shard(_shard_path(directory, seed), modalities) for seed in seeds]


def make_rasters(moment: Moment, network: NetworkConfig) -> dict[str, np.ndarray]:
    """The rasters of a moment, made by the one path that the vehicle's pipeline takes too."""
    projection = Projection(network, moment.calibration)
    data = {'camera': moment.image, 'lidar': moment.cloud}
    for spec in network.modalities:
        if isinstance(spec.encoding, EventEncoding):
            after_ns = moment.stamp_ns - spec.encoding.window_ns
            data[spec.name] = moment.events.window(after_ns, moment.stamp_ns)
    return {name: projection.raster(name, data[name]) for name in network.modality_names}


def _write_shard(task: tuple[NetworkConfig, int, int, Path]) -> None:
    network, seed, count, directory = task
    cv2.setNumThreads(1)
    taken = list(moments(seed, count))
    rasters = [make_rasters(moment, network) for moment in taken]
    partial = directory / f'partial_{seed:05d}_{os.getpid()}'
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in network.modality_names:
        stack = np.stack([raster[name] for raster in rasters])
        np.save(partial / f'{name}.npy', stack.astype(_STORED_AS[name]))
    labels = [_network_labels(moment.label_map, network.input_hw) for moment in taken]
    np.save(partial / 'labels.npy', np.stack(labels))
    kinds = {
        'conditions': [moment.condition for moment in taken],
        'failures': [moment.failure for moment in taken],
    }
    (partial / 'moments.json').write_text(json.dumps(kinds))
    os.replace(partial, _shard_path(directory, seed))


def _network_labels(label_map: np.ndarray, input_hw: tuple[int, int]) -> np.ndarray:
    return cv2.resize(label_map, input_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _read_shard(path: Path, modalities: tuple[str, ...]) -> Shard:
    kinds = json.loads((path / 'moments.json').read_text())
    rasters = {name: np.load(path / f'{name}.npy', mmap_mode='r') for name in modalities}
    labels = np.load(path / 'labels.npy', mmap_mode='r')
    return Shard(rasters, labels, kinds['conditions'], kinds['failures'])


def _shard_path(directory: Path, seed: int) -> Path:
    return directory / f'seed_{seed:05d}'


def seed_range(first_last: tuple[int, int]) -> range:
    """Seeds from first to last, both included."""
    return range(first_last[0], first_last[1] + 1)


def moments_of(shards: list[Shard]) -> Iterator[tuple[Shard, int]]:
    """Every moment as (shard, index within it)."""
    return ((shard, index) for shard in shards for index in range(len(shard.labels)))
