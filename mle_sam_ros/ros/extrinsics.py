"""Extrinsics from `/tf_static`, for what the calibration file leaves open."""

from collections.abc import Iterable
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.core.transforms import TransformTree
import numpy as np


class Extrinsics:
    """Finds `camera_from_<modality>` once the frames and the transforms between them are known.

    Frames are those of the message headers. Nothing is waited for: a modality whose transform is
    missing stays absent, and the projection says so.
    """

    def __init__(self, projection: Projection, modalities: Iterable[str]) -> None:
        """Set up for these modalities: those that the calibration file does not place."""
        self._projection = projection
        self._modalities = tuple(modalities)
        self._tree = TransformTree()
        self._frames: dict[str, str] = {}
        self._known: dict[str, np.ndarray] = {}

    def hear_transforms(self, message: Any) -> None:
        """Take in a `tf2_msgs/TFMessage` of `/tf_static`.

        Raises:
            InputError: for a rotation that is none.
        """
        self._tree.update(message)
        self._look_up()

    def hear_frame(self, stream: str, frame_id: str) -> None:
        """Learn a sensor's frame from a message header."""
        if self._frames.get(stream) != frame_id:
            self._frames[stream] = frame_id
            self._look_up()

    def _look_up(self) -> None:
        # A camera that sends no images may still send its CameraInfo, in the same frame.
        camera = self._frames.get('camera') or self._frames.get('camera_info')
        if camera is None:
            return
        for modality in self._modalities:
            try:
                matrix = self._tree.lookup(camera, self._frames[modality])
            except (InputError, KeyError):
                continue  # not published yet
            if not np.array_equal(matrix, self._known.get(modality)):
                self._known[modality] = matrix
                self._projection.set_extrinsic(modality, matrix)
