"""Files of the image data sets that only training reads, and label maps at the network's size."""

from pathlib import Path

import cv2
from mle_sam_ros.core.errors import InputError
import numpy as np


def resize_labels(labels: np.ndarray, input_hw: tuple[int, int]) -> np.ndarray:
    """(height, width) uint8: of each pixel of the input, the class under its centre."""
    return cv2.resize(labels, input_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def read_array(path: Path) -> np.ndarray:
    """Read one value per pixel from a `.npy` file.

    Returns:
        (H, W) float32.

    Raises:
        InputError: for a file that holds no two-dimensional array of finite floats.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f'{path}: expected an array in NumPy format, got {error}; download it again'
        ) from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != 'f':
        got = f'{np.shape(array)} {getattr(array, "dtype", "archive")}'
        raise InputError(
            f'{path}: expected an array (H, W) of floats, got {got}; download it again'
        )
    if not np.isfinite(array).all():
        raise InputError(f'{path}: expected finite values, got NaN or infinity; download it again')
    return array.astype(np.float32)


def check_size(array: np.ndarray, expected_hw: tuple[int, ...], path: Path) -> None:
    """Compare the height and width of what a file held with those of the sample.

    Raises:
        InputError: where they differ.
    """
    if array.shape[:2] != expected_hw:
        raise InputError(
            f'{path}: expected height and width {expected_hw} as the labels have, '
            f'got {array.shape[:2]}; download it again'
        )
