"""From what a recipe says of its data to a data set."""

from mle_sam.config import NetworkConfig
from mle_sam.datasets.config import (
    DataConfig,
    DeliverData,
    DriveData,
    McubesData,
    MusesData,
    Split,
)
from mle_sam.datasets.deliver import Deliver
from mle_sam.datasets.mcubes import Mcubes
from mle_sam.datasets.sample import SegmentationDataset


def open_dataset(data: DataConfig, network: NetworkConfig, split: Split) -> SegmentationDataset:
    """Open one split.

    Raises:
        InputError: for a wrong root, a missing file or a split that does not exist.
    """
    if isinstance(data, DriveData):
        from pathlib import Path

        from mle_sam.datasets.shard_samples import ShardSamples
        from mle_sam.datasets.simulated import read_shards, seed_range

        seeds = seed_range(data.train_seeds if split == 'train' else data.validation_seeds)
        return ShardSamples(read_shards(Path(data.root), seeds, network.modality_names))
    if isinstance(data, DeliverData):
        return Deliver(data, network, split)
    if isinstance(data, McubesData):
        return Mcubes(data, network, split)
    raise NotImplementedError
