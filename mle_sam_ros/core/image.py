"""Images: `sensor_msgs/Image` to arrays."""

from typing import Any

from mle_sam_ros.core.errors import InputError
import numpy as np

# Encoding to (channels, the channels to take as red, green, blue).
_LAYOUTS: dict[str, tuple[int, list[int]]] = {
    'rgb8': (3, [0, 1, 2]),
    'bgr8': (3, [2, 1, 0]),
    'rgba8': (4, [0, 1, 2]),
    'bgra8': (4, [2, 1, 0]),
    'mono8': (1, [0, 0, 0]),
}


def check_image(message: Any, source: str) -> None:
    """Reject an image that cannot be decoded, without touching its pixels.

    Raises:
        InputError: for an unknown encoding, an impossible step, or a wrong length of the data.
    """
    if message.encoding not in _LAYOUTS:
        raise InputError(
            f'{source}: expected encoding {", ".join(_LAYOUTS)}, got {message.encoding!r}; '
            'convert it in the driver or with image_proc'
        )
    row_bytes = message.width * _LAYOUTS[message.encoding][0]
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


def decode_image(message: Any, source: str) -> np.ndarray:
    """Red, green and blue of a `sensor_msgs/Image`.

    Returns:
        (H, W, 3) uint8; a view of the message where the layout allows it, so treat as read-only.

    Raises:
        InputError: as `check_image`.
    """
    check_image(message, source)
    pixels = _pixels(message)
    order = _LAYOUTS[message.encoding][1]
    return pixels if pixels.shape[2] == 3 and order == [0, 1, 2] else pixels[:, :, order]


def decode_label_image(message: Any, source: str) -> np.ndarray:
    """(H, W) uint8 class ids of a mono8 `sensor_msgs/Image`.

    Raises:
        InputError: as `check_image`, and for another encoding.
    """
    check_image(message, source)
    if message.encoding != 'mono8':
        raise InputError(
            f'{source}: expected encoding mono8 with class ids, got {message.encoding!r}; '
            'record the label map'
        )
    return _pixels(message)[:, :, 0]


def _pixels(message: Any) -> np.ndarray:
    channels = _LAYOUTS[message.encoding][0]
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return rows[:, : message.width * channels].reshape(message.height, message.width, channels)
