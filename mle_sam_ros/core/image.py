"""Images: `sensor_msgs/Image` and `sensor_msgs/CompressedImage` to arrays."""

from functools import cache
from typing import Any, NamedTuple

import cv2
from mle_sam_ros.core.compressed_image import check_compressed_image, decode_compressed_image
from mle_sam_ros.core.errors import InputError
import numpy as np


class _Layout(NamedTuple):
    """How an encoding lies in memory, and OpenCV's conversion to red, green, blue."""

    sample_type: str
    samples_per_pixel: int
    conversion: int | None
    block_hw: tuple[int, int] = (1, 1)  # pixels that share their samples: the size's divisor
    rows_per_block: int = 1


# As cv_bridge converts to rgb8. What OpenCV calls BayerBG starts with red, green: it counts from
# the second row and column. 8UC3 and 8UC4, which cv_bridge leaves open, are blue first as in RViz.
_LAYOUTS: dict[str, _Layout] = {
    'rgb8': _Layout('u1', 3, None),
    'bgr8': _Layout('u1', 3, cv2.COLOR_BGR2RGB),
    'rgba8': _Layout('u1', 4, cv2.COLOR_RGBA2RGB),
    'bgra8': _Layout('u1', 4, cv2.COLOR_BGRA2RGB),
    'mono8': _Layout('u1', 1, cv2.COLOR_GRAY2RGB),
    'rgb16': _Layout('u2', 3, None),
    'bgr16': _Layout('u2', 3, cv2.COLOR_BGR2RGB),
    'rgba16': _Layout('u2', 4, cv2.COLOR_RGBA2RGB),
    'bgra16': _Layout('u2', 4, cv2.COLOR_BGRA2RGB),
    'mono16': _Layout('u2', 1, cv2.COLOR_GRAY2RGB),
    '8UC1': _Layout('u1', 1, cv2.COLOR_GRAY2RGB),
    '8UC3': _Layout('u1', 3, cv2.COLOR_BGR2RGB),
    '8UC4': _Layout('u1', 4, cv2.COLOR_BGRA2RGB),
    '16UC1': _Layout('u2', 1, cv2.COLOR_GRAY2RGB),
    'bayer_rggb8': _Layout('u1', 1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': _Layout('u1', 1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': _Layout('u1', 1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': _Layout('u1', 1, cv2.COLOR_BayerGB2RGB),
    'bayer_rggb16': _Layout('u2', 1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr16': _Layout('u2', 1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg16': _Layout('u2', 1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg16': _Layout('u2', 1, cv2.COLOR_BayerGB2RGB),
    'yuv422': _Layout('u1', 2, cv2.COLOR_YUV2RGB_UYVY, (1, 2)),
    'uyvy': _Layout('u1', 2, cv2.COLOR_YUV2RGB_UYVY, (1, 2)),
    'yuv422_yuy2': _Layout('u1', 2, cv2.COLOR_YUV2RGB_YUY2, (1, 2)),
    'yuyv': _Layout('u1', 2, cv2.COLOR_YUV2RGB_YUY2, (1, 2)),
    'nv12': _Layout('u1', 1, cv2.COLOR_YUV2RGB_NV12, (2, 2), 3),
    'nv21': _Layout('u1', 1, cv2.COLOR_YUV2RGB_NV21, (2, 2), 3),
}


def check_image(message: Any, source: str) -> None:
    """Reject an image that cannot be decoded, without touching its pixels.

    Args:
        message: an Image or a CompressedImage.
        source: its topic, for error messages.

    Raises:
        InputError: for an unknown encoding, an impossible size or step, or a wrong length of the
            data; of a compressed image, for a header that declares too large an image, or an end
            that is missing.
    """
    if _is_compressed(message):
        check_compressed_image(message, source)
        return
    layout = _LAYOUTS.get(message.encoding)
    if layout is None:
        if _bridge() is None:
            raise InputError(
                f'{source}: expected encoding {", ".join(_LAYOUTS)}, got {message.encoding!r}; '
                'convert it in the driver or with image_proc, or install cv_bridge'
            )
        return
    row_bytes = message.width * layout.samples_per_pixel * np.dtype(layout.sample_type).itemsize
    if message.height < 1 or message.width < 1 or message.step < row_bytes:
        raise InputError(
            f'{source}: expected a positive size and step >= {row_bytes}, got {message.width} x '
            f'{message.height} with step {message.step}; fix the driver'
        )
    block_height, block_width = layout.block_hw
    if message.height % block_height or message.width % block_width:
        raise InputError(
            f'{source}: expected whole blocks of {block_width} x {block_height} pixels in '
            f'{message.encoding}, got {message.width} x {message.height}; fix the driver'
        )
    num_rows = message.height // block_height * layout.rows_per_block
    if len(message.data) != num_rows * message.step:
        raise InputError(
            f'{source}: expected {num_rows * message.step} bytes of data (height x step), '
            f'got {len(message.data)}; fix the driver'
        )


def decode_image(message: Any, source: str) -> np.ndarray:
    """Red, green and blue of an image.

    Of 16 bits the upper ones count: 65535 becomes 255, as in cv_bridge.

    Args:
        message: an Image or a CompressedImage.
        source: its topic, for error messages.

    Returns:
        (H, W, 3) uint8; a view of the message where the layout allows it, so treat as read-only.

    Raises:
        InputError: as `check_image`; and for a compressed image that proves to be damaged.
    """
    check_image(message, source)
    if _is_compressed(message):
        return _decode_compressed(message, source)
    layout = _LAYOUTS.get(message.encoding)
    return _decode_by_bridge(message, source) if layout is None else _decode(message, layout)


def decode_label_image(message: Any, source: str) -> np.ndarray:
    """(H, W) uint8 class ids of a mono8 `sensor_msgs/Image`.

    Raises:
        InputError: as `check_image`, and for another encoding.
    """
    if _is_compressed(message) or message.encoding not in ('mono8', '8UC1'):
        got = message.format if _is_compressed(message) else message.encoding
        raise InputError(
            f'{source}: expected encoding mono8 with class ids, got {got!r}; record the label map'
        )
    check_image(message, source)
    return _samples(message, _LAYOUTS['mono8'])[:, :, 0]


def _is_compressed(message: Any) -> bool:
    return not hasattr(message, 'encoding')


def _decode(message: Any, layout: _Layout) -> np.ndarray:
    return _to_rgb8(_samples(message, layout), layout.conversion)


def _decode_compressed(message: Any, source: str) -> np.ndarray:
    pixels, encoding = decode_compressed_image(message, source)
    return _to_rgb8(pixels, _LAYOUTS[encoding].conversion)


def _to_rgb8(pixels: np.ndarray, conversion: int | None) -> np.ndarray:
    if conversion == cv2.COLOR_GRAY2RGB and pixels.dtype != np.uint8:
        pixels = _to_8_bits(pixels)  # the same, at a third of the work
    rgb = pixels if conversion is None else cv2.cvtColor(pixels, conversion)
    return rgb if rgb.dtype == np.uint8 else _to_8_bits(rgb)


def _to_8_bits(pixels: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(pixels, alpha=255 / 65535)


def _samples(message: Any, layout: _Layout) -> np.ndarray:
    """(rows, W, samples per pixel) view of the message; native byte order."""
    order = '>' if message.is_bigendian else '<'
    sample = np.dtype(order + layout.sample_type)
    rows = np.frombuffer(message.data, np.uint8).reshape(-1, message.step)
    width, samples = message.width, layout.samples_per_pixel
    used = rows[:, : width * samples * sample.itemsize].view(sample)
    native = used.astype(layout.sample_type, copy=False)
    return native.reshape(len(rows), width, samples)


@cache
def _bridge() -> Any:
    """A CvBridge, where there is one: builds for another numpy cannot be imported."""
    try:
        from cv_bridge import CvBridge  # type: ignore[import-not-found]
    except Exception:
        return None
    return CvBridge()


def _decode_by_bridge(message: Any, source: str) -> np.ndarray:
    # CvBridgeError and whatever its extension raises for lengths that do not fit.
    try:
        return np.asarray(_bridge().imgmsg_to_cv2(message, 'rgb8'))
    except Exception as error:
        raise InputError(
            f'{source}: expected an image that cv_bridge converts to rgb8, got '
            f'{message.encoding!r} ({" ".join(str(error).split())}); convert it in the driver'
        ) from None
