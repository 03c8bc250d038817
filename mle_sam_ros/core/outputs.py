"""What consumers and people see: maps at the camera's size, colours, the overlay."""

from collections.abc import Sequence

import cv2
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.metrics import NO_CLASS
import numpy as np


def resize_label_map(label_map: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Bring a label map to another size: each pixel takes the class nearest to its centre.

    Args:
        label_map: (H, W) uint8 class ids.
        size_hw: (height, width), pixels.

    Returns:
        (height, width) uint8.
    """
    # Not INTER_NEAREST, which takes the nearest corner and so moves the map by up to a pixel.
    return _resize(label_map, size_hw, cv2.INTER_NEAREST_EXACT)


def resize_confidence(confidence: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Bring an (H, W) uint8 confidence map to (height, width), interpolating linearly."""
    return _resize(confidence, size_hw, cv2.INTER_LINEAR)


def colour_label_map(label_map: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Show classes as colours.

    Args:
        label_map: (H, W) uint8 class ids.
        palette: K colours, red, green and blue, 0 to 255.

    Returns:
        (H, W, 3) uint8; black for no class.
    """
    table = np.zeros((256, 1, 3), np.uint8)
    table[: len(palette), 0] = palette
    return cv2.applyColorMap(label_map, table)  # ten times as fast as LUT on three channels


def overlay(
    image: np.ndarray,
    label_map: np.ndarray,
    palette: Sequence[Sequence[int]],
    opacity: float = 0.5,
) -> np.ndarray:
    """Lay the colours of the classes over the camera image.

    Args:
        image: (H, W, 3) uint8, red, green, blue.
        label_map: (H, W) uint8 class ids.
        palette: K colours, red, green and blue, 0 to 255.
        opacity: of the colours, 0 to 1.

    Returns:
        (H, W, 3) uint8; the bare image where there is no class.

    Raises:
        InputError: for unequal sizes.
    """
    if image.shape[:2] != label_map.shape:
        raise InputError(
            f'overlay: expected an image of {label_map.shape} pixels, got {image.shape[:2]}; '
            'resize the label map'
        )
    colours = colour_label_map(label_map, palette)
    # In place: fresh memory costs more than the blending itself.
    cv2.addWeighted(image, 1 - opacity, colours, opacity, 0, dst=colours)
    return cv2.copyTo(image, (label_map == NO_CLASS).view(np.uint8), colours)


def _resize(values: np.ndarray, size_hw: tuple[int, int], interpolation: int) -> np.ndarray:
    height, width = size_hw
    if values.shape == (height, width):
        return values
    return cv2.resize(values, (width, height), interpolation=interpolation)
