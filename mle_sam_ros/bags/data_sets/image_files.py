"""Files of the image data sets: looked for before they are read, refused where they are wrong."""

from collections.abc import Iterable
from pathlib import Path

import cv2
from mle_sam_ros.core.errors import InputError
import numpy as np

IGNORE = 255


def check_files(paths: Iterable[Path]) -> None:
    """Look for every file.

    Raises:
        InputError: names the first that is missing, and how many more are.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        others = f' and {len(missing) - 1} more' if len(missing) > 1 else ''
        raise InputError(
            f'{missing[0]}: expected a file, got none{others}; '
            'complete the data set, or correct its path'
        )


def read_image(path: Path, dtypes: tuple[str, ...] = ('uint8',)) -> np.ndarray:
    """Read a picture.

    Args:
        path: a PNG, or anything else that OpenCV reads.
        dtypes: that the file may hold: uint8, uint16.

    Returns:
        (H, W, 3): red, green, blue; a single channel three times; alpha is dropped.

    Raises:
        InputError: for a file that is no such picture.
    """
    pixels = _decode(path, dtypes)
    if pixels.shape[2] < 3:
        return np.repeat(pixels[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, 2::-1])


def read_labels(path: Path, num_classes: int, first: int = 0) -> np.ndarray:
    """Read the class ids that the red channel, or the only one, of an 8-bit PNG holds.

    Args:
        path: of the PNG.
        num_classes: K.
        first: what the file says for class 0; what is below is void, and so is 255.

    Returns:
        (H, W) uint8: 0 to K - 1, and 255 where void.

    Raises:
        InputError: for a file that is no such picture, or holds another value.
    """
    values = np.ascontiguousarray(read_image(path)[:, :, 0])
    is_void = (values < first) | (values == IGNORE)
    wrong = values[~is_void & (values >= first + num_classes)]
    if wrong.size:
        raise InputError(
            f'{path}: expected labels from {first} to {first + num_classes - 1}, or 255, '
            f'got {wrong.size} other pixels, the first {wrong[0]}; use the files of the data set'
        )
    return np.where(is_void, np.uint8(IGNORE), values - np.uint8(first))


def _decode(path: Path, dtypes: tuple[str, ...]) -> np.ndarray:
    """The pixels of a file as stored, (H, W, channels), channels from blue on."""
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(
            f'{path}: expected a picture, got {error.strerror}; complete the data set'
        ) from None
    pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if pixels is None or pixels.dtype.name not in dtypes:
        got = 'something else' if pixels is None else pixels.dtype.name
        raise InputError(
            f'{path}: expected a picture of {" or ".join(dtypes)}, got {got}; download it again'
        )
    return pixels if pixels.ndim == 3 else pixels[:, :, None]
