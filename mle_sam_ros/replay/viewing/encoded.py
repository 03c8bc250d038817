"""Pictures as files in memory."""

import cv2
import numpy as np

# Known since OpenCV 4.12.
_HAS_FILTER = hasattr(cv2, 'IMWRITE_PNG_FILTER')
_NO_FILTER = (cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE) if _HAS_FILTER else ()
_OPTIONS = {
    'jpeg': ('.jpg', [cv2.IMWRITE_JPEG_QUALITY, 88]),
    # Flat colours pack well as they are; looking for a filter takes four times as long.
    'png': ('.png', [cv2.IMWRITE_PNG_COMPRESSION, 2, *_NO_FILTER]),
}


def encoded(picture: np.ndarray, kind: str) -> bytes:
    """A picture as a file.

    Args:
        picture: (H, W, 3) uint8, red, green, blue.
        kind: jpeg, or png, which keeps every pixel.
    """
    suffix, options = _OPTIONS[kind]
    done, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    assert done, f'OpenCV could not encode a {kind}'
    return data.tobytes()
