"""Images as their modalities want them: the camera's, depth, and others aligned with it."""

from typing import Any

from mle_sam_ros.core.aligned_image import check_aligned_image, decode_aligned_image
from mle_sam_ros.core.depth import check_depth_image, decode_depth_image
from mle_sam_ros.core.image import check_image, decode_image
from mle_sam_ros.core.manifest import AlignedImageEncoding, DepthHhaEncoding, Encoding
import numpy as np


def check_modality_image(message: Any, source: str, encoding: Encoding | None) -> None:
    """Reject an image that cannot be decoded for this encoding, without touching its pixels.

    Args:
        message: an Image or a CompressedImage.
        source: its topic, for error messages.
        encoding: of its modality; None for the camera of a model that does without.

    Raises:
        InputError: where it cannot.
    """
    if isinstance(encoding, DepthHhaEncoding):
        check_depth_image(message, source)
    elif isinstance(encoding, AlignedImageEncoding):
        check_aligned_image(message, source, encoding.dtype)
    else:
        check_image(message, source)


def decode_modality_image(message: Any, source: str, encoding: Encoding | None) -> np.ndarray:
    """What `Projection.raster` takes for this encoding.

    Raises:
        InputError: where the message does not hold it.
    """
    if isinstance(encoding, DepthHhaEncoding):
        return decode_depth_image(message, source)
    if isinstance(encoding, AlignedImageEncoding):
        return decode_aligned_image(message, source, encoding.dtype)
    return decode_image(message, source)
