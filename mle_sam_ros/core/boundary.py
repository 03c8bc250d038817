"""How well the outlines of classes are met: boundary IoU.

Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021:
intersection over union of only those pixels of a class that lie within a band inside its outline.
As in the authors' code the band is 2 % of the image's diagonal wide, the edge of the image is an
outline, and distance is that of the chess king.
"""

import cv2
from mle_sam_ros.core.overlap import count_overlap, NO_CLASS
import numpy as np

WIDTH_OF_DIAGONAL = 0.02


def boundary_width_px(size_hw: tuple[int, int]) -> int:
    """How wide the band is in an image of this size; at least a pixel."""
    return max(1, round(WIDTH_OF_DIAGONAL * float(np.hypot(*size_hw))))


def boundary_overlap(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Pixels of each class that lie in its band.

    Pixels without truth do not count, and nothing is known of the outlines in them: they are no
    neighbours of another class, neither in the truth nor in the prediction.

    Args:
        truth: (H, W) uint8 class ids, 255 where unknown.
        prediction: (H, W) uint8 class ids, 255 for no class, which has an outline, too.
        num_classes: K.

    Returns:
        (3, K) int64: in both bands, in the truth's band, in the prediction's band.
    """
    width_px = boundary_width_px((truth.shape[0], truth.shape[1]))
    known = (truth != NO_CLASS).view(np.uint8) * np.uint8(255)
    return count_overlap(
        _band_only(truth, known, width_px), _band_only(prediction, known, width_px), num_classes
    )


def _band_only(label_map: np.ndarray, known: np.ndarray, width_px: int) -> np.ndarray:
    """The label map, 255 everywhere but in the bands of pixels that are known (255, others 0).

    A pixel lies in its class's band where its surroundings hold a pixel of another one: where the
    least id there is not the greatest. This finds the bands of all classes at once.
    """
    side = 2 * width_px + 1
    square = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
    # In place throughout: fresh memory costs more than the filters. Unknown pixels become the id
    # that changes neither the least nor the greatest.
    greatest = cv2.bitwise_and(label_map, known)
    cv2.dilate(greatest, square, dst=greatest)
    unknown = cv2.bitwise_not(known)
    least = cv2.bitwise_or(label_map, unknown)
    cv2.erode(least, square, dst=least)
    out = cv2.compare(least, greatest, cv2.CMP_EQ, dst=least)
    out[:width_px] = out[-width_px:] = 0
    out[:, :width_px] = out[:, -width_px:] = 0
    cv2.bitwise_or(out, unknown, dst=out)
    return cv2.bitwise_or(out, label_map, dst=out)
