"""Images of modalities that already lie on the camera's image plane."""

from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image import check_image, decode_image
import numpy as np

# Encoding to channels; of samples that are no colours.
_FLOATS = {'32FC1': 1, '32FC3': 3}


def check_aligned_image(message: Any, source: str, dtype: str) -> None:
    """Reject an image that cannot become one of this dtype, without touching its pixels.

    Raises:
        InputError: for an encoding that has another dtype, or as `core.image.check_image`.
    """
    if dtype != 'float32':
        check_image(message, source)
        return
    encoding = getattr(message, 'encoding', None) or getattr(message, 'format', None)
    if encoding not in _FLOATS:
        raise InputError(
            f'{source}: expected encoding {" or ".join(_FLOATS)}, got {encoding!r}; publish the '
            'values that the model was trained with'
        )
    check_samples(message, source, 4 * _FLOATS[encoding])


def decode_aligned_image(message: Any, source: str, dtype: str) -> np.ndarray:
    """An aligned image as its modality's encoding wants it.

    Args:
        message: an Image; for uint8 a CompressedImage, too.
        source: its topic, for error messages.
        dtype: uint8, from any encoding that the camera may have; or float32, from 32FC1, 32FC3.

    Returns:
        (H, W, 3) of that dtype: red, green, blue, or a single channel three times.

    Raises:
        InputError: as `check_aligned_image`.
    """
    if dtype != 'float32':
        return decode_image(message, source)
    check_aligned_image(message, source, dtype)
    samples = read_samples(message, 'f4', _FLOATS[message.encoding])
    return np.repeat(samples, 3, axis=2) if samples.shape[2] == 1 else samples


def check_samples(message: Any, source: str, pixel_bytes: int) -> None:
    """Reject an image whose size, step and data contradict each other.

    Raises:
        InputError: with what was expected of which of them.
    """
    row_bytes = message.width * pixel_bytes
    if message.height < 1 or message.width < 1 or message.step < row_bytes:
        raise InputError(
            f'{source}: expected a positive size and step >= {row_bytes}, got {message.width} x '
            f'{message.height} with step {message.step}; fix the driver'
        )
    if len(message.data) != message.height * message.step:
        raise InputError(
            f'{source}: expected {message.height * message.step} bytes of data (height x step), '
            f'got {len(message.data)}; fix the driver'
        )


def read_samples(message: Any, sample_type: str, channels: int) -> np.ndarray:
    """(H, W, channels) of an image that `check_samples` let pass, in native byte order."""
    sample = np.dtype(sample_type).newbyteorder('>' if message.is_bigendian else '<')
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    used = rows[:, : message.width * channels * sample.itemsize]
    native = np.ascontiguousarray(used).view(sample).astype(sample_type, copy=False)
    return native.reshape(message.height, message.width, channels)
