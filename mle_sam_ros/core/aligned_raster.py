"""Images that already lie on the camera's image plane, at the network's size."""

import cv2
from mle_sam_ros.core.errors import InputError
import numpy as np

_INTERPOLATIONS = {'area': cv2.INTER_AREA, 'nearest': cv2.INTER_NEAREST_EXACT}


def aligned_raster(
    image: np.ndarray, input_hw: tuple[int, int], dtype: str, resize: str, source: str
) -> np.ndarray:
    """Stretch an image to the network's input.

    Args:
        image: (H, W, 3), aligned with the camera image, of any size.
        input_hw: (height, width) of the raster.
        dtype: that the image has, and the raster: uint8 or float32.
        resize: `area` or `nearest`.
        source: what the image is, for error messages.

    Returns:
        (height, width, 3) of that dtype, contiguous.

    Raises:
        InputError: for another shape or dtype, or an empty image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != dtype:
        raise InputError(
            f'{source}: expected an aligned image (H, W, 3) {dtype}, got {image.shape} '
            f'{image.dtype}; convert it where it is read'
        )
    if image.shape[:2] == tuple(input_hw):
        return np.ascontiguousarray(image)
    return cv2.resize(image, input_hw[::-1], interpolation=_INTERPOLATIONS[resize])
