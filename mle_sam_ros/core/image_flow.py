"""Where each pixel of a camera image was in the image before."""

import cv2
from mle_sam_ros.core.overlap import NO_CLASS
import numba
import numpy as np

# Half of a 640 pixel image: outlines stay, and the flow takes half a millisecond.
_MAX_WIDTH = 320
_MIN_SIDE = 16


class ImageFlow:
    """Dense optical flow between images of a camera: OpenCV's DIS (Kroeger et al., 2016)."""

    def __init__(self) -> None:
        self._estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # Otherwise the result depends on the number of processors that share the work.
        self._estimator.setUseSpatialPropagation(False)

    def sources(self, before: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Where in the image before the pixels of this one were.

        Args:
            before: (h, w) uint8, as `small_grey` gives it.
            now: likewise, of the same size.

        Returns:
            (h, w) int32 index of the nearest pixel, row by row; -1 where it was outside the image,
            or where the flow there does not lead back (Sundaram et al., ECCV 2010, equation 5):
            what was hidden has no place before.
        """
        backward = self._estimator.calc(now, before, None)
        forward = self._estimator.calc(before, now, None)
        found = np.empty(now.shape, np.int32)
        _trace(backward, forward, found)
        return found


def small_grey(image: np.ndarray) -> np.ndarray | None:
    """What the flow is computed on: at most 320 pixels wide, (h, w) uint8; None if too small.

    Args:
        image: (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    if min(height, width) < _MIN_SIDE:
        return None
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if width <= _MAX_WIDTH:
        return grey
    small_hw = max(_MIN_SIDE, round(height * _MAX_WIDTH / width)), _MAX_WIDTH
    return cv2.resize(grey, small_hw[::-1], interpolation=cv2.INTER_AREA)


def moved(label_map: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """A label map of before as it would be now, (h, w) uint8; 255 where that is not known."""
    return np.where(sources < 0, NO_CLASS, label_map.ravel()[sources]).astype(np.uint8)


@numba.njit(nogil=True, cache=True)
def _trace(backward, forward, found):
    height, width = found.shape
    for row in range(height):
        for column in range(width):
            x, y = backward[row, column, 0], backward[row, column, 1]
            u, v = int(np.floor(column + x + 0.5)), int(np.floor(row + y + 0.5))
            found[row, column] = -1
            if not (0 <= u < width and 0 <= v < height):
                continue
            back_x, back_y = forward[v, u, 0], forward[v, u, 1]
            missed = (x + back_x) ** 2 + (y + back_y) ** 2
            if missed < 0.01 * (x * x + y * y + back_x * back_x + back_y * back_y) + 0.5:
                found[row, column] = v * width + u
