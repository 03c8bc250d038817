"""The camera image at the network's size."""

from mle_sam_ros.core.area_average import area_average
import numpy as np


def camera_raster(image: np.ndarray, input_hw: tuple[int, int]) -> np.ndarray:
    """Stretch an image to the network's input (the manifest's rule `stretch_area`).

    Args:
        image: (H, W, 3) uint8, red, green, blue.
        input_hw: (height, width) of the raster.

    Returns:
        (height, width, 3) uint8, contiguous; averaged over area where it shrinks.
    """
    if image.shape[:2] == tuple(input_hw):
        return np.ascontiguousarray(image)
    return area_average(image, input_hw)
