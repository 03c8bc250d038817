"""Data made ahead of training: every shard of a recipe, by several processes."""

from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
from tqdm import tqdm

from mle_sam.config import NetworkConfig
from mle_sam.datasets.config import DriveData, Split
from mle_sam.datasets.recordings import recorded_shards
from mle_sam.datasets.simulated import lacking, seed_path, simulate

_Task = Callable[[], object]
_SPLITS: tuple[Split, ...] = ('val', 'train')


def prepare(data: DriveData, network: NetworkConfig, num_processes: int) -> None:
    """Make the shards that are not on disk yet, validation first; what is there stays.

    It may be interrupted: a shard appears whole or not at all.

    Args:
        data: seeds and recordings.
        network: its input size and encodings shape the rasters.
        num_processes: that work in parallel.

    Raises:
        InputError: for a shard that was made for another network, or a recording that cannot be
            used.
    """
    tasks = list(_tasks(data, network))
    if not tasks:
        return
    total = sum(len(data.seeds(split)) + len(data.bags(split)) for split in _SPLITS)
    progress = tqdm(desc='preparing', unit='drive', total=total, initial=total - len(tasks))
    with get_context('spawn').Pool(num_processes, cv2.setNumThreads, (1,)) as pool, progress:
        for _ in pool.imap_unordered(_run, tasks):
            progress.update()


def _tasks(data: DriveData, network: NetworkConfig) -> Iterator[_Task]:
    for split in _SPLITS:
        for seed in data.seeds(split):
            shard, num_moments = seed_path(Path(data.root), seed), data.moments_per_seed
            if lacking(shard, num_moments, network):
                yield partial(simulate, seed, num_moments, network, shard)
        for bag in data.bags(split):
            yield partial(recorded_shards, Path(bag), data, network)


def _run(task: _Task) -> None:
    task()
