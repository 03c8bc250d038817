"""`sensor_msgs/CompressedImage`: JPEG and PNG as image_transport and drivers write them."""

from typing import Any

import cv2
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image_size import MAX_PIXELS
import numpy as np

_PNG_START = b'\x89PNG\r\n\x1a\n'
_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_START_OF_SCAN = 0xDA
# Every SOF marker; C4, C8 and CC between them mean something else.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_MOSAICS = tuple(
    f'bayer_{name}{bits}' for name in 'rggb bggr gbrg grbg'.split() for bits in (8, 16)
)
_COLOURS = ('rgb8', 'rgba8', 'rgb16', 'rgba16', 'bgr8', 'bgra8', 'bgr16', 'bgra16')


def check_compressed_image(message: Any, source: str) -> None:
    """Reject an image that is no JPEG or PNG, too large, or cut short; its pixels stay packed.

    Raises:
        InputError: says which.
    """
    data = bytes(message.data)
    try:
        height, width = _png_size(data) if data.startswith(_PNG_START) else _jpeg_size(data)
    except (ValueError, IndexError):
        raise InputError(
            f'{source}: expected a whole JPEG or PNG, got {len(data)} bytes of format '
            f'{message.format!r} that start with {data[:4].hex(" ") or "nothing"}; fix the '
            'driver, or raise the limits of the middleware that cut it'
        ) from None
    if not (0 < height * width <= MAX_PIXELS):
        raise InputError(
            f'{source}: expected a size of 1 to {MAX_PIXELS} pixels, got {width} x {height}; '
            'fix the driver'
        )


def decode_compressed_image(message: Any, source: str) -> tuple[np.ndarray, str]:
    """Unpack an image that `check_compressed_image` let pass.

    Returns:
        (H, W, 1 or 3 or 4) uint8 or uint16, and the encoding that these pixels have.

    Raises:
        InputError: for data that cannot be unpacked.
    """
    # OpenCV raises for some damage and returns None for the rest.
    try:
        pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f'{source}: expected a JPEG or PNG that can be unpacked, got {len(message.data)} '
            f'damaged bytes of format {message.format!r}; fix the driver'
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    return pixels, _encoding(message.format, pixels)


def _encoding(image_format: str, pixels: np.ndarray) -> str:
    """What the pixels mean, from a format such as `rgb8; jpeg compressed bgr8`, `png`, or none."""
    original, _, packed = image_format.partition(';')
    bits = 8 * pixels.itemsize
    if pixels.shape[2] == 1:
        # A PNG keeps the mosaic; in a JPEG, image_transport has made it grey.
        is_mosaic = original in _MOSAICS and original.endswith(str(bits)) and 'png' in packed
        return original if is_mosaic else f'mono{bits}'
    # Old publishers packed the channels as they came, which the format does not say outright.
    is_red_first = bool(packed) and original in _COLOURS and 'compressed bgr' not in packed
    alpha = 'a' if pixels.shape[2] == 4 else ''
    return f'{"rgb" if is_red_first else "bgr"}{alpha}{bits}'


def _png_size(data: bytes) -> tuple[int, int]:
    # IHDR must come first, and IEND last: what a cut-off file lacks.
    if data[12:16] != b'IHDR' or b'IEND' not in data[-1024:]:
        raise ValueError
    return int.from_bytes(data[20:24], 'big'), int.from_bytes(data[16:20], 'big')


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Height and width of the frame header, with an end of image behind the start of the scan."""
    if not data.startswith(_JPEG_START):
        raise ValueError
    size_hw = None
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ValueError
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes
            position += 1
            continue
        if marker in _START_OF_FRAME:
            size_hw = _two_bytes(data, position + 5), _two_bytes(data, position + 7)
        if marker == _START_OF_SCAN:
            break
        position += 2 if marker in _WITHOUT_LENGTH else 2 + _two_bytes(data, position + 2)
    if size_hw is None or data.rfind(_JPEG_END) < position:
        raise ValueError
    return size_hw


def _two_bytes(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise IndexError
    return int.from_bytes(data[position : position + 2], 'big')
