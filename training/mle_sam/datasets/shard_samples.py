"""Simulated shards as samples."""

import numpy as np

from mle_sam.datasets.sample import Sample, SegmentationDataset
from mle_sam.datasets.simulated import moments_of, Shard


class ShardSamples(SegmentationDataset):
    """The moments of shards that `prepare` made."""

    def __init__(self, shards: list[Shard]):
        self._moments = list(moments_of(shards))

    def __len__(self) -> int:
        return len(self._moments)

    def __getitem__(self, index: int) -> Sample:
        shard, moment = self._moments[index]
        rasters = {
            name: stack[moment] if stack.dtype == np.uint8 else stack[moment].astype(np.float32)
            for name, stack in shard.rasters.items()
        }
        return Sample(
            rasters,
            np.asarray(shard.labels[moment]),
            shard.conditions[moment],
            shard.failures[moment],
            f'moment {index}',
        )
