"""The ground truth of a drive, looked up while it is replayed."""

from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.bags.track import Track
from mle_sam_ros.core.image import decode_label_image
import numpy as np

# A mask without a camera frame stands where one was due, on a beat that a camera which never spoke
# has not set. The nearest label map serves then, up to half the period of a slow camera.
_NEAREST_NS = 50_000_000


class Truth:
    """Label maps of a recording, or nothing where it has none."""

    def __init__(self, reader: BagReader, topic: str | None) -> None:
        """Start before the first frame.

        Args:
            reader: of the recording; it serves no one else meanwhile.
            topic: `sensor_msgs/Image`, mono8 class ids; None for a drive without ground truth.
        """
        self._topic = topic
        self._track = Track(reader, topic) if topic else None

    def at(self, stamp_ns: int, has_camera: bool) -> np.ndarray | None:
        """The label map of a camera frame's stamp; without a camera frame, the nearest one.

        Returns:
            (H, W) uint8, 255 where unknown; None where there is none.

        Raises:
            InputError: for a message that is no label map.
        """
        if self._track is None or self._topic is None:
            return None
        item = self._track.at(stamp_ns, 0 if has_camera else _NEAREST_NS)
        return None if item is None else decode_label_image(item.message, self._topic)

    def count_unused(self) -> int:
        """Label maps that met no mask; the last question to ask."""
        return self._track.count() - self._track.num_used if self._track else 0
