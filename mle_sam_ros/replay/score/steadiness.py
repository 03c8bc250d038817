"""Whether masks hold from frame to frame: temporal consistency, by optical flow."""

from mle_sam_ros.core.image_flow import ImageFlow, moved_overlap, small_grey
from mle_sam_ros.replay.frame import Frame
import numpy as np

# Masks further apart are no pair: too much moved meanwhile.
_MAX_GAP_NS = 250_000_000
# Of a faster camera not every pair is taken: the flow costs as much as all else that is scored.
_PERIOD_NS = 100_000_000


class Steadiness:
    """Lays the mask of the frame before, moved as the image moved, over the mask of each frame.

    The ground truth is laid over itself in the same way: what it loses is the flow's fault, so it
    shows how high masks could score at all.
    """

    def __init__(self, num_classes: int) -> None:
        """Start before the first frame."""
        self._num_classes = num_classes
        self._flow = ImageFlow()
        self._before: Frame | None = None
        self._latest = -1  # tenth of a second that the latest pair fell in

    def compare(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Lay the frame before over this one, which is then the one before.

        Returns:
            (2,) int64 whether there was a pair of masks, of ground truths; (2, 3, K) int64
            overlaps of before and now, of each.
        """
        pairs = np.zeros(2, np.int64)
        overlaps = np.zeros((2, 3, self._num_classes), np.int64)
        before, self._before = self._before, frame
        sources = None if before is None else self._sources(before, frame)
        if before is None or sources is None:
            return pairs, overlaps
        self._latest = frame.stamp_ns // _PERIOD_NS
        for index, (old, new) in enumerate(
            [(before.label_map, frame.label_map), (before.truth, frame.truth)]
        ):
            if old is not None and new is not None:
                pairs[index] = 1
                overlaps[index] = moved_overlap(old, new, sources, self._num_classes)
        return pairs, overlaps

    def _sources(self, before: Frame, frame: Frame) -> np.ndarray | None:
        """Where in the image before each pixel was; None where the frames are no pair."""
        gap_ns = frame.stamp_ns - before.stamp_ns
        size_hw = frame.label_map.shape
        if (
            not 0 < gap_ns <= _MAX_GAP_NS
            or frame.stamp_ns // _PERIOD_NS == self._latest
            or before.label_map.shape != size_hw
            or before.image is None
            or frame.image is None
        ):
            return None
        earlier, now = small_grey(before.image), small_grey(frame.image)
        if earlier is None or now is None or earlier.shape != now.shape:
            return None
        return self._flow.sources(earlier, now, (size_hw[0], size_hw[1]))
