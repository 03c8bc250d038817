"""Whether masks hold from frame to frame: temporal consistency, by optical flow."""

from mle_sam_ros.core.image_flow import ImageFlow, moved_overlap, small_grey
from mle_sam_ros.replay.frame import Frame
import numpy as np

# Masks further apart are no pair: too much moved meanwhile.
_MAX_GAP_NS = 250_000_000


class Steadiness:
    """Lays the mask of the frame before, moved as the image moved, over the mask of each frame.

    The ground truth is laid over itself in the same way: what it loses is the flow's fault, so it
    shows how high masks could score at all.
    """

    def __init__(self, num_classes: int) -> None:
        """Start before the first frame."""
        self._num_classes = num_classes
        self._flow = ImageFlow()
        self._before: tuple[Frame, np.ndarray] | None = None

    def compare(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Lay the frame before over this one, which is then the one before.

        Returns:
            (2,) int64 whether there was a pair of masks, of ground truths; (2, 3, K) int64
            overlaps of before and now, of each.
        """
        pairs = np.zeros(2, np.int64)
        overlaps = np.zeros((2, 3, self._num_classes), np.int64)
        grey = None if frame.image is None else small_grey(frame.image)
        before, self._before = self._before, None if grey is None else (frame, grey)
        if before is None or grey is None or not self._follows(before, frame, grey):
            return pairs, overlaps
        earlier, earlier_grey = before
        sources = self._flow.sources(earlier_grey, grey)
        for index, (old, new) in enumerate(
            [(earlier.label_map, frame.label_map), (earlier.truth, frame.truth)]
        ):
            if old is not None and new is not None and old.shape == new.shape:
                pairs[index] = 1
                overlaps[index] = moved_overlap(old, new, sources, self._num_classes)
        return pairs, overlaps

    def _follows(self, before: tuple[Frame, np.ndarray], frame: Frame, grey: np.ndarray) -> bool:
        earlier, earlier_grey = before
        gap_ns = frame.stamp_ns - earlier.stamp_ns
        return 0 < gap_ns <= _MAX_GAP_NS and earlier_grey.shape == grey.shape
