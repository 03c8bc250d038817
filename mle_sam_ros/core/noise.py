"""Noise on one modality's raster, as strong as the paper's (MLE-SAM, Table VIII).

The paper's is made on a scale of 0 to 255, before normalisation, and clipped to it. Rasters that
are 8-bit images are on that scale already. Others (metres, event counts, angles) are put on it as
if they were stored as such an image: in each channel 0 is the smallest value of the sample, and
255 the largest. So noise depends on the sample alone, never on a network's normalisation, and a
channel that says nothing stays silent.
"""

from collections.abc import Callable

from mle_sam_ros.core.manifest import AlignedImageEncoding, DepthHhaEncoding, Encoding, RgbEncoding
import numpy as np

WHITE = 255.0

# By kind, from a generator and a shape to noise in grey levels.
NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    'gaussian': lambda rng, shape: 50.0 * rng.standard_normal(shape),
    'uniform': lambda rng, shape: rng.uniform(-100.0, 100.0, shape),
}


def noise_generator(seed: int, index: int, modality: str, kind: str) -> np.random.Generator:
    """The source of one sample's noise: the same for every network and every machine."""
    words = int.from_bytes(f'{modality}/{kind}'.encode(), 'big')
    return np.random.default_rng((seed, index, words))


def add_noise(
    raster: np.ndarray, encoding: Encoding, kind: str, rng: np.random.Generator
) -> np.ndarray:
    """Add noise, and clip to the scale.

    Args:
        raster: (H, W, 3) uint8 or float32, in the units of its encoding.
        encoding: says whether these are grey levels.
        kind: a key of `NOISES`.
        rng: from `noise_generator`.

    Returns:
        (H, W, 3) float32, in the same units.
    """
    levels = NOISES[kind](rng, raster.shape)
    low, high = np.zeros(3), np.full(3, WHITE)
    if not has_grey_levels(encoding):
        low, high = raster.min((0, 1)).astype(float), raster.max((0, 1)).astype(float)
    noisy = raster + levels * ((high - low) / WHITE)
    return np.clip(noisy, low, high).astype(np.float32)


def has_grey_levels(encoding: Encoding) -> bool:
    """Whether a raster of this encoding is an image of 0 to 255."""
    if isinstance(encoding, AlignedImageEncoding):
        return encoding.dtype == 'uint8'
    return isinstance(encoding, RgbEncoding | DepthHhaEncoding)
