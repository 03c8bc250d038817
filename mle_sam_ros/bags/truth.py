"""The ground truth of a drive, looked up while it is replayed."""

from mle_sam_ros.bags.class_mapping import ClassMapping
from mle_sam_ros.bags.label_files import LabelFiles
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.bags.track import Track
from mle_sam_ros.core.image import decode_label_image
import numpy as np

# A mask without a camera frame stands where one was due, on a beat that a camera which never spoke
# has not set. The nearest label map serves then, up to half the period of a slow camera.
_NEAREST_NS = 50_000_000
# Names of files often have microseconds or milliseconds; no camera takes two frames in one.
_NAMED_NS = 500_000


class Truth:
    """Label maps of a recording or of a folder, or nothing where there are none.

    Attributes:
        mapping: what the ids mean to the model; None where they are its own.
    """

    def __init__(
        self,
        reader: BagReader,
        topic: str | None,
        files: LabelFiles | None = None,
        mapping: ClassMapping | None = None,
    ) -> None:
        """Start before the first frame.

        Args:
            reader: of the recording, which may serve others meanwhile.
            topic: `sensor_msgs/Image`, mono8 class ids; None for a drive without ground truth.
            files: label maps to use instead of the topic's.
            mapping: what the ids mean to the model; None where they are its own.
        """
        self._topic = topic
        self._files = files
        self.mapping = mapping
        self._track = Track(reader, topic) if topic and files is None else None

    def at(self, stamp_ns: int, has_camera: bool) -> np.ndarray | None:
        """The label map of a camera frame's stamp; without a camera frame, the nearest one.

        Returns:
            (H, W) uint8 in the model's ids, 255 where unknown; None where there is none.

        Raises:
            InputError: for a message or file that is no label map, or has ids that it should not.
        """
        found = self._find(stamp_ns, has_camera)
        if found is None or self.mapping is None:
            return None if found is None else found[0]
        return self.mapping.apply(*found)

    def count_unused(self) -> int:
        """Label maps that met no mask; the last question to ask."""
        if self._files is not None:
            return len(self._files) - self._files.num_used
        return self._track.count() - self._track.num_used if self._track else 0

    def _find(self, stamp_ns: int, has_camera: bool) -> tuple[np.ndarray, str] | None:
        """A label map in the ids that it came with, and where it came from."""
        if self._files is not None:
            found = self._files.at(stamp_ns, _NAMED_NS if has_camera else _NEAREST_NS)
            return None if found is None else (found[0], str(found[1]))
        if self._track is None or self._topic is None:
            return None
        item = self._track.at(stamp_ns, 0 if has_camera else _NEAREST_NS)
        if item is None:
            return None
        return decode_label_image(item.message, self._topic), self._topic
