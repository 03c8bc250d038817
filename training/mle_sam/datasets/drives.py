"""Drives, simulated and recorded, as samples."""

from pathlib import Path
from typing import NamedTuple

from mle_sam_ros.core.errors import InputError

from mle_sam.config import NetworkConfig
from mle_sam.datasets.config import DriveData, Split
from mle_sam.datasets.network_check import check_network
from mle_sam.datasets.recordings import recorded_shards
from mle_sam.datasets.sample import Sample, SegmentationDataset
from mle_sam.datasets.shards import read_record, read_sample
from mle_sam.datasets.simulated import lacking, seed_path, simulate

ENCODINGS = {
    'camera': 'rgb',
    'event': 'event_polarity_counts',
    'lidar': 'lidar_range_intensity_height',
}


class _Place(NamedTuple):
    """Where a sample lies, and the seed that its shard can be made from."""

    shard: Path
    index: int
    seed: int | None


class Drives(SegmentationDataset):
    """One split. The labels are kept at the network's size only."""

    def __init__(self, data: DriveData, network: NetworkConfig, split: Split):
        """Find the shards, and make those of recordings that are not there yet.

        A seed is simulated when one of its samples is first wanted, or now, where only samples of
        some conditions are.

        Args:
            data: seeds and recordings.
            network: any of camera, event and lidar; it shapes the rasters.
            split: train or val.

        Raises:
            InputError: for a network that does not fit, a split or recording that is not there,
                or a shard that was made for another network.
        """
        # Seeds have the classes of the simulation, recordings whatever they were labelled with.
        check_network(network, 'a drive', ENCODINGS, network.num_classes)
        self._data, self._network = data, network
        self._ready: set[Path] = set()
        self._places: list[_Place] = []
        for seed in data.seeds(split):
            shard, num_moments = seed_path(Path(data.root), seed), data.moments_per_seed
            lacking(shard, num_moments, network)  # what does not fit is refused now
            self._places += [_Place(shard, index, seed) for index in range(num_moments)]
        for bag in data.bags(split):
            for shard in recorded_shards(Path(bag), data, network):
                num_samples = len(read_record(shard))
                self._places += [_Place(shard, index, None) for index in range(num_samples)]
        if split == 'train' and data.train_conditions is not None:
            self._places = [p for p in self._places if self._condition(p) in data.train_conditions]
        if not self._places:
            raise InputError(
                f'data: expected seeds or recordings of the split {split}, got none with a '
                'sample; correct the recipe'
            )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        place = self._places[index]
        self._make(place)
        return read_sample(place.shard, place.index, self._network)

    def _condition(self, place: _Place) -> str:
        self._make(place)
        return read_record(place.shard).conditions[place.index]

    def _make(self, place: _Place) -> None:
        """Simulate the shard of a place where it is still to be made."""
        if place.seed is not None and place.shard not in self._ready:
            moments = self._data.moments_per_seed
            simulate(place.seed, moments, self._network, place.shard)
            self._ready.add(place.shard)
