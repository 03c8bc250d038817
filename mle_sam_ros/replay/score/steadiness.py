"""Whether masks hold from frame to frame: temporal consistency, by optical flow."""

from mle_sam_ros.core.image_flow import ImageFlow, moved_overlap, small_grey
from mle_sam_ros.replay.frame import Frame
import numpy as np

# Masks further apart are no pair: too much moved meanwhile.
_MAX_GAP_NS = 250_000_000


class Steadiness:
    """Lays the mask of the frame before, moved as the image moved, over the mask of a frame.

    The ground truth is laid over itself in the same way: what it loses is the flow's fault, so it
    shows how high masks could score at all.
    """

    def __init__(self, num_classes: int) -> None:
        """Set up for so many classes."""
        self._num_classes = num_classes
        self._flow = ImageFlow()

    def compare(self, before: Frame, now: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Lay the frame before over this one.

        Returns:
            (2,) int64 whether there was a pair of masks, of ground truths; (2, 3, K) int64
            overlaps of before and now, of each.
        """
        pairs = np.zeros(2, np.int64)
        overlaps = np.zeros((2, 3, self._num_classes), np.int64)
        sources = self._sources(before, now)
        if sources is None:
            return pairs, overlaps
        for index, (old, new) in enumerate(
            [(before.label_map, now.label_map), (before.truth, now.truth)]
        ):
            if old is not None and new is not None:
                pairs[index] = 1
                overlaps[index] = moved_overlap(old, new, sources, self._num_classes)
        return pairs, overlaps

    def _sources(self, before: Frame, now: Frame) -> np.ndarray | None:
        """Where in the image before each pixel was; None where the frames are no pair."""
        size_hw = now.label_map.shape
        if (
            not 0 < now.stamp_ns - before.stamp_ns <= _MAX_GAP_NS
            or before.label_map.shape != size_hw
            or before.image is None
            or now.image is None
        ):
            return None
        earlier, later = small_grey(before.image), small_grey(now.image)
        if earlier is None or later is None or earlier.shape != later.shape:
            return None
        return self._flow.sources(earlier, later, (size_hw[0], size_hw[1]))
