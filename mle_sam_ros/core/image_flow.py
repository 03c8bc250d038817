"""Where each pixel of a camera image was in the image before."""

import cv2
from mle_sam_ros.core.overlap import NO_CLASS
import numba
import numpy as np

# A quarter of a 640 pixel image: pixels are followed to fractions of one, and the outlines of the
# flow are no finer in larger images.
_MAX_WIDTH = 160
_MIN_SIDE = 16


class ImageFlow:
    """Dense optical flow between images of a camera: OpenCV's DIS (Kroeger et al., 2016)."""

    def __init__(self) -> None:
        # With spatial propagation, as it comes: OpenCV then shares the work out in a way that does
        # not depend on the number of processors.
        self._estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._estimator.setFinestScale(1)  # half the size, of images that are small already

    def sources(self, before: np.ndarray, now: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
        """Where in the image before the pixels of this one were.

        Args:
            before: (h, w) uint8, as `small_grey` gives it.
            now: likewise, of the same size.
            size_hw: (height, width) of the whole image, below 32,768.

        Returns:
            (h, w, 2) int16 row and column in the whole image; -1 where it was outside the image,
            or where the flow there does not lead back (Sundaram et al., ECCV 2010, equation 5,
            with lengths in halves of a pixel): what was hidden has no place before.
        """
        backward = self._flow(now, before)
        forward = self._flow(before, now)
        found = np.empty((*now.shape, 2), np.int16)
        _trace(backward, forward, np.array(size_hw), found)
        return found

    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self._estimator.calc(first, second, None)  # type: ignore[call-overload]


def small_grey(image: np.ndarray) -> np.ndarray | None:
    """What the flow is computed on: at most 160 pixels wide, (h, w) uint8; None if too small.

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


def moved_overlap(
    before: np.ndarray, now: np.ndarray, sources: np.ndarray, num_classes: int
) -> np.ndarray:
    """Overlap of a label map with the one before, moved as the image moved.

    Args:
        before: (H, W) uint8 class ids, 255 where unknown.
        now: likewise.
        sources: (h, w, 2) of `ImageFlow.sources` for (H, W).
        num_classes: K.

    Returns:
        (3, K) int64 pixels of the smaller image that both maps know: equal, before, now.
    """
    counts = np.zeros((3, 256), np.int64)
    _count_moved(before, now, sources, counts)
    return counts[:, :num_classes]


@numba.njit(nogil=True, cache=True)
def _trace(backward, forward, size_hw, found):
    height, width = found.shape[:2]
    row_scale, column_scale = size_hw[0] / height, size_hw[1] / width
    for row in range(height):
        for column in range(width):
            x, y = backward[row, column, 0], backward[row, column, 1]
            u, v = int(np.floor(column + x + 0.5)), int(np.floor(row + y + 0.5))
            found[row, column, 0] = found[row, column, 1] = -1
            if not (0 <= u < width and 0 <= v < height):
                continue
            back_x, back_y = forward[v, u, 0], forward[v, u, 1]
            missed = (x + back_x) ** 2 + (y + back_y) ** 2
            if missed < 0.01 * (x * x + y * y + back_x * back_x + back_y * back_y) + 0.125:
                found[row, column, 0] = int((row + y + 0.5) * row_scale)
                found[row, column, 1] = int((column + x + 0.5) * column_scale)


@numba.njit(nogil=True, cache=True)
def _count_moved(before, now, sources, counts):
    height, width = sources.shape[:2]
    # The pixels of the large maps at the middles of those of the small ones.
    rows = ((np.arange(height) + 0.5) * now.shape[0] / height).astype(np.int64)
    columns = ((np.arange(width) + 0.5) * now.shape[1] / width).astype(np.int64)
    for row in range(height):
        for column in range(width):
            v, u = sources[row, column, 0], sources[row, column, 1]
            if v >= 0:
                old, new = before[v, u], now[rows[row], columns[column]]
                if old != NO_CLASS and new != NO_CLASS:
                    counts[0, old] += old == new
                    counts[1, old] += 1
                    counts[2, new] += 1
