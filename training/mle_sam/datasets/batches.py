"""Training batches: which samples, how they are changed, and which modalities they keep."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
from mle_sam_ros.core.manifest import (
    AlignedImageEncoding,
    Encoding,
    EventEncoding,
    LidarEncoding,
)
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mle_sam.config import NetworkConfig
from mle_sam.datasets.augmentation import augment
from mle_sam.datasets.sample import Sample, SegmentationDataset
from mle_sam.recipe import StageConfig


class Item(NamedTuple):
    """One sample as a network sees it. M modalities.

    Attributes:
        rasters: every modality to (H, W, 3) float32, in the units of its encoding; zeros where it
            is absent.
        labels: (H, W) uint8, 255 = does not count.
        present: (M,) bool.
    """

    rasters: dict[str, np.ndarray]
    labels: np.ndarray
    present: np.ndarray


class Batch(NamedTuple):
    """What the network sees at once. B samples, M modalities.

    Attributes:
        rasters: modality to (B, H, W, 3) float32, in the units of its encoding.
        labels: (B, H, W) uint8, 255 = does not count.
        present: (B, M) bool, at least one per row.
    """

    rasters: dict[str, torch.Tensor]
    labels: torch.Tensor
    present: torch.Tensor

    def to(self, device: torch.device) -> 'Batch':
        """The same batch on a device."""
        rasters = {name: r.to(device, non_blocking=True) for name, r in self.rasters.items()}
        return Batch(rasters, self.labels.to(device), self.present.to(device))


class EndlessItems(Dataset[Item]):
    """The endless sequence of training samples, by position.

    A new random order every epoch; changes and modality dropout are drawn anew every time. All of
    it is a function of seed and position: a resumed run sees what an unbroken one does, whoever
    loads it.
    """

    def __init__(
        self, dataset: SegmentationDataset, network: NetworkConfig, stage: StageConfig, seed: int
    ):
        """Draw from a data set.

        Args:
            dataset: training samples.
            network: its modalities.
            stage: its augmentation and modality dropout.
            seed: of order and changes.
        """
        self._dataset, self._network, self._stage, self._seed = dataset, network, stage, seed
        self._order: tuple[int, np.ndarray] = (-1, np.array([]))

    def __getitem__(self, position: int) -> Item:
        epoch, place = divmod(position, len(self._dataset))
        sample = self._dataset[int(self._order_of(epoch)[place])]
        rng = np.random.default_rng((self._seed, 1, position))
        drawn = random_presence(len(self._network.modalities), self._stage.keep_all, rng)
        rasters = _kept(sample.rasters, self._network.modality_names, drawn)
        rasters, labels = augment(
            rasters, sample.labels, self._stage.augmentation, _smooth(self._network), rng
        )
        return as_item(sample._replace(rasters=rasters, labels=labels), self._network)

    def _order_of(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            rng = np.random.default_rng((self._seed, 0, epoch))
            self._order = (epoch, rng.permutation(len(self._dataset)))
        return self._order[1]


class MicroBatches(Sampler[list[int]]):
    """The positions that one worker sees: `accumulate` lists for each step.

    Step s takes the positions from s * batch on; worker w of W takes every W-th of them.
    """

    def __init__(self, stage: StageConfig, steps: range, share: tuple[int, int]):
        """List positions.

        Args:
            stage: its batch size.
            steps: those wanted.
            share: (worker, workers); their number times `accumulate` divides the batch.
        """
        self._stage, self._steps, self._share = stage, steps, share

    def __len__(self) -> int:
        return len(self._steps) * self._stage.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        batch, parts = self._stage.batch, self._stage.accumulate
        worker, workers = self._share
        size = batch // workers // parts
        for step in self._steps:
            mine = range(step * batch + worker, (step + 1) * batch, workers)
            for part in range(parts):
                yield list(mine[part * size : (part + 1) * size])


def load_batches(items: EndlessItems, positions: MicroBatches, num_loaders: int) -> DataLoader:
    """The batches of a run, in order.

    Args:
        items: the sequence of samples.
        positions: of each batch.
        num_loaders: processes that load ahead; 0 loads when a batch is asked for.
    """
    return DataLoader(
        items,
        batch_sampler=positions,
        collate_fn=collate,
        num_workers=num_loaders,
        worker_init_fn=_calm_loader,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # its own: the run's random numbers are not touched
    )


def collate(items: Sequence[Item]) -> Batch:
    """Stack items."""
    return Batch(
        {
            name: torch.from_numpy(np.stack([item.rasters[name] for item in items]))
            for name in items[0].rasters
        },
        torch.from_numpy(np.stack([item.labels for item in items])),
        torch.from_numpy(np.stack([item.present for item in items])),
    )


def as_item(sample: Sample, network: NetworkConfig) -> Item:
    """A sample with every modality of a network, zeros for those that it lacks."""
    rasters = {
        name: sample.rasters[name].astype(np.float32, copy=False)
        if name in sample.rasters
        else np.zeros((*network.input_hw, 3), np.float32)
        for name in network.modality_names
    }
    present = np.array([name in sample.rasters for name in network.modality_names])
    return Item(rasters, sample.labels, present)


def random_presence(num_modalities: int, keep_all: float, rng: np.random.Generator) -> np.ndarray:
    """Modality dropout: all modalities with probability `keep_all`, else any non-empty subset.

    Returns:
        (num_modalities,) bool.
    """
    whole = 2**num_modalities - 1
    subset = whole if rng.random() < keep_all else rng.integers(1, whole + 1)
    return (int(subset) >> np.arange(num_modalities)) & 1 == 1


def _kept(
    rasters: dict[str, np.ndarray], names: Sequence[str], drawn: np.ndarray
) -> dict[str, np.ndarray]:
    """The rasters drawn; all that the sample has where it has none of those."""
    available = {name: rasters[name] for name in names if name in rasters}
    wanted = {name for name, is_drawn in zip(names, drawn, strict=True) if is_drawn}
    return {name: r for name, r in available.items() if name in wanted} or available


def _smooth(network: NetworkConfig) -> frozenset[str]:
    """Modalities whose rasters may be interpolated; sparse ones keep the values that they have."""
    return frozenset(spec.name for spec in network.modalities if not _is_sparse(spec.encoding))


def _is_sparse(encoding: Encoding) -> bool:
    if isinstance(encoding, AlignedImageEncoding):
        return encoding.resize == 'nearest'
    return isinstance(encoding, EventEncoding | LidarEncoding)


def _calm_loader(_: int) -> None:
    """OpenCV's threads do not survive a fork, and loaders are parallel enough."""
    cv2.setNumThreads(0)
