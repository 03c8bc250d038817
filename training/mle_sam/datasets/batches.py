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
        self, shards: list[Shard], modalities: tuple[str, ...], stage: StageConfig, seed: int
    ):
        self._moments = list(moments_of(shards))
        self._modalities = modalities
        self._stage = stage
        self._seed = seed

    def at(self, step: int) -> Batch:
        """The batch of one step."""
        rng = np.random.default_rng((self._seed, 1, step))
        chosen = [(self._moments[i], bool(rng.integers(2))) for i in self._indices(step)]
        rasters = {
            name: [_flipped(shard.rasters[name][i], flip) for (shard, i), flip in chosen]
            for name in self._modalities
        }
        if 'camera' in rasters:
            rasters['camera'] = [self._jittered(image, rng) for image in rasters['camera']]
        labels = np.stack([_flipped(shard.labels[i], flip) for (shard, i), flip in chosen])
        present = random_presence(len(chosen), len(rasters), self._stage.keep_all, rng)
        return Batch(
            {n: torch.from_numpy(np.stack(r).astype(np.float32)) for n, r in rasters.items()},
            torch.from_numpy(labels.astype(np.int64)),
            torch.from_numpy(present),
        )

    def _indices(self, step: int) -> list[int]:
        count, batch = len(self._moments), self._stage.batch
        positions = range(step * batch, (step + 1) * batch)
        orders = {
            epoch: np.random.default_rng((self._seed, 0, epoch)).permutation(count)
            for epoch in {position // count for position in positions}
        }
        return [int(orders[position // count][position % count]) for position in positions]

    def _jittered(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        contrast, brightness = 1 + self._stage.jitter * rng.uniform(-1, 1, 2)
        tint = 1 + 0.2 * self._stage.jitter * rng.uniform(-1, 1, 3)
        gain = (contrast * tint).astype(np.float32)
        centre = np.float32(image.mean())
        return np.clip((image - centre) * gain + centre * np.float32(brightness), 0, 255)


def random_presence(
    batch: int, num_modalities: int, keep_all: float, rng: np.random.Generator
) -> np.ndarray:
    """Modality dropout: all modalities with probability `keep_all`, else any non-empty subset.

    Returns:
        (batch, num_modalities) bool.
    """
    subsets = rng.integers(1, 2**num_modalities, batch)
    subsets[rng.random(batch) < keep_all] = 2**num_modalities - 1
    return (subsets[:, None] >> np.arange(num_modalities)) & 1 == 1


def _flipped(array: np.ndarray, flip: bool) -> np.ndarray:
    return array[:, ::-1] if flip else array
