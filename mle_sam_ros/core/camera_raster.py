"""The camera image at the network's size."""

import cv2
import numpy as np


def camera_raster(image: np.ndarray, input_hw: tuple[int, int]) -> np.ndarray:
    """Stretch an image to the network's input (the manifest's rule `stretch_area`).

    Args:
        image: (H, W, 3) uint8, red, green, blue.
        input_hw: (height, width) of the raster.

    Returns:
        (height, width, 3) uint8, contiguous; averaged over area where it shrinks.
    """
    height, width = input_hw
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
