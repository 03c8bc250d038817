"""Training batches: which moments, how they are changed, and which sensors they keep."""

from typing import NamedTuple

import numpy as np
import torch

from mle_sam.datasets.simulated import moments_of, Shard
from mle_sam.recipe import StageConfig


class Batch(NamedTuple):
    """What a training step sees. B moments, M modalities.

    Attributes:
        rasters: modality to (B, H, W, 3) float32, in the units of its encoding.
        labels: (B, H, W) int64, 255 = no class.
        present: (B, M) bool, at least one per row.
    """

    rasters: dict[str, torch.Tensor]
    labels: torch.Tensor
    present: torch.Tensor


class Batches:
    """Batches as a pure function of seed and step: a resumed run sees what an unbroken one does.

    Moments come in a new random order every epoch; flips, jitter and modality dropout are drawn
    anew every step.
    """

    def __init__(
        self,
        shards: list[Shard],
        modalities: tuple[str, ...],
        stage: StageConfig,
        seed: int,
        share: tuple[int, int] = (0, 1),
    ):
        """Draw from shards.

        Args:
            shards: training moments.
            modalities: in the network's order.
            stage: its batch size, modality dropout and jitter.
            seed: of order and changes.
            share: (worker, workers): a worker gets every workers-th item of each batch.
        """
        self._moments = list(moments_of(shards))
        self._modalities = modalities
        self._stage = stage
        self._seed = seed
        self._share = share

    def at(self, step: int) -> Batch:
        """The batch of one step."""
        batch, (worker, workers) = self._stage.batch, self._share
        positions = range(step * batch + worker, (step + 1) * batch, workers)
        items = [self._item(position) for position in positions]
        return Batch(
            {
                name: torch.from_numpy(np.stack([rasters[name] for rasters, _, _ in items]))
                for name in self._modalities
            },
            torch.from_numpy(np.stack([labels for _, labels, _ in items]).astype(np.int64)),
            torch.from_numpy(np.stack([present for _, _, present in items])),
        )

    def _item(self, position: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Rasters, labels and presence of one moment of the endless sequence of moments."""
        epoch, place = divmod(position, len(self._moments))
        shard, index = self._moments[self._order(epoch)[place]]
        rng = np.random.default_rng((self._seed, 1, position))
        flip = bool(rng.integers(2))
        rasters = {
            name: _flipped(shard.rasters[name][index], flip).astype(np.float32)
            for name in self._modalities
        }
        if 'camera' in rasters:
            rasters['camera'] = self._jittered(rasters['camera'], rng)
        present = random_presence(len(rasters), self._stage.keep_all, rng)
        return rasters, _flipped(shard.labels[index], flip), present

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self._seed, 0, epoch)).permutation(len(self._moments))

    def _jittered(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        contrast, brightness = 1 + self._stage.jitter * rng.uniform(-1, 1, 2)
        tint = 1 + 0.2 * self._stage.jitter * rng.uniform(-1, 1, 3)
        gain = (contrast * tint).astype(np.float32)
        centre = np.float32(image.mean())
        return np.clip((image - centre) * gain + centre * np.float32(brightness), 0, 255)


def random_presence(num_modalities: int, keep_all: float, rng: np.random.Generator) -> np.ndarray:
    """Modality dropout: all modalities with probability `keep_all`, else any non-empty subset.

    Returns:
        (num_modalities,) bool.
    """
    whole = 2**num_modalities - 1
    subset = whole if rng.random() < keep_all else rng.integers(1, whole + 1)
    return (int(subset) >> np.arange(num_modalities)) & 1 == 1


def _flipped(array: np.ndarray, flip: bool) -> np.ndarray:
    return array[:, ::-1] if flip else array
