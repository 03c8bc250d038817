"""Random changes of training samples: geometric ones alike for all, photometric for the camera."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
from mle_sam_ros.core.errors import InputError
import numpy as np

IGNORE = 255
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class AugmentationConfig:
    """How training samples vary. The paper names the changes; the figures are public code's.

    Attributes:
        flip: probability of mirroring left and right.
        scale: smallest and largest enlargement before a crop of the input's size.
        jitter: probability that brightness, contrast and saturation of the camera vary.
        jitter_range: each of the three is multiplied by 1 - range to 1 + range.
        blur: probability of a 3 x 3 Gaussian blur of the camera.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.5, 2.0)
    jitter: float = 0.2
    jitter_range: float = 0.5
    blur: float = 0.2

    def __post_init__(self) -> None:
        shares = (self.flip, self.jitter, self.jitter_range, self.blur)
        if min(shares) < 0 or max(shares) > 1:
            raise InputError(
                'augmentation: expected flip, jitter, jitter_range and blur from 0 to 1, got '
                f'{shares}; correct the recipe'
            )
        if not 0 < self.scale[0] <= self.scale[1]:
            raise InputError(
                f'augmentation.scale: expected smallest, largest, both positive, got {self.scale};'
                ' correct the recipe'
            )

    @property
    def num_variants(self) -> int | None:
        """How many different images a sample can become; None for no bound."""
        if self.scale != (1.0, 1.0) or self.jitter > 0:
            return None
        return 2 ** sum(0 < probability < 1 for probability in (self.flip, self.blur))


def augment(
    rasters: Mapping[str, np.ndarray],
    labels: np.ndarray,
    config: AugmentationConfig,
    smooth: frozenset[str],
    rng: np.random.Generator,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Change one sample.

    Args:
        rasters: modality to (H, W, 3).
        labels: (H, W) uint8.
        config: what varies, and how far.
        smooth: modalities that are interpolated; the others, sparse ones, keep their values.
        rng: drawn from equally often whatever the modalities are.

    Returns:
        Float32 rasters and uint8 labels of the sizes given; beyond the sample 0 and 255.
    """
    matrix = _random_affine(labels.shape, config, rng)
    changed = {}
    for name, raster in rasters.items():
        interpolation = cv2.INTER_LINEAR if name in smooth else cv2.INTER_NEAREST
        changed[name] = _warp(raster.astype(np.float32), matrix, interpolation, 0)
    jitter = rng.random() < config.jitter
    gains = 1 + config.jitter_range * rng.uniform(-1, 1, 3)
    blur = rng.random() < config.blur
    if 'camera' in changed:
        image = _jittered(changed['camera'], *gains) if jitter else changed['camera']
        changed['camera'] = cv2.GaussianBlur(image, (3, 3), 0) if blur else image
    return changed, _warp(labels, matrix, cv2.INTER_NEAREST, IGNORE)


def _random_affine(
    size_hw: tuple[int, ...], config: AugmentationConfig, rng: np.random.Generator
) -> np.ndarray:
    """Where each pixel of the result comes from: (2, 3), of pixel centres (x, y)."""
    is_flipped = rng.random() < config.flip
    scale = rng.uniform(*config.scale)
    size_wh = np.array(size_hw[::-1])
    surplus = size_wh * (scale - 1)
    offset = rng.uniform(np.minimum(surplus, 0), np.maximum(surplus, 0))
    matrix = np.array([[1, 0], [0, 1]]) / scale
    shift = (offset + 0.5) / scale - 0.5
    if is_flipped:
        matrix[0, 0] = -matrix[0, 0]
        shift[0] = size_wh[0] - 1 - shift[0]
    return np.column_stack([matrix, shift])


def _warp(array: np.ndarray, matrix: np.ndarray, interpolation: int, fill: int) -> np.ndarray:
    return cv2.warpAffine(
        array,
        matrix,
        array.shape[1::-1],
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderValue=(fill,) * 4,
    )


def _jittered(
    image: np.ndarray, brightness: float, contrast: float, saturation: float
) -> np.ndarray:
    """Brightness, contrast about the mean grey, then saturation, as torchvision defines them."""
    image = np.clip(image * np.float32(brightness), 0, 255)
    mean = np.float32((image @ _LUMA).mean())
    image = np.clip(mean + (image - mean) * np.float32(contrast), 0, 255)
    grey = (image @ _LUMA)[..., None]
    return np.clip(grey + (image - grey) * np.float32(saturation), 0, 255)
