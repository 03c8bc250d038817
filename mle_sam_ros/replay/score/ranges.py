"""How far away is what a frame's pixels show, as its LiDAR or its depth image tells."""

from collections.abc import Sequence

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.distance_bands import range_map
from mle_sam_ros.core.manifest import LidarEncoding, Manifest
from mle_sam_ros.core.sweep import Sweep
from mle_sam_ros.replay.frame import Frame
import numpy as np


class Ranges:
    """Makes range maps at the network's size; a sweep serves several frames of a faster camera."""

    def __init__(self, manifest: Manifest) -> None:
        """Set up."""
        encodings = [modality.encoding for modality in manifest.modalities]
        self._min_range_m = min(
            (item.min_range_m for item in encodings if isinstance(item, LidarEncoding)),
            default=0.0,
        )
        self._size_hw = manifest.input_hw
        self._camera: CameraModel | None = None
        self._scaled: CameraModel | None = None
        self._latest: tuple[Sequence[Sweep], np.ndarray] | None = None

    def of(self, frame: Frame) -> np.ndarray | None:
        """(h, w) float32 metres, 0 where unknown; None of a frame without any range."""
        if frame.camera is not None and frame.sweeps:
            return self._of_sweeps(frame.camera, frame.sweeps)
        if frame.depth_m is not None:
            height, width = self._size_hw
            # Each pixel takes the depth at its middle: a mean over an outline is nowhere.
            exact = cv2.INTER_NEAREST_EXACT
            return np.nan_to_num(cv2.resize(frame.depth_m, (width, height), interpolation=exact))
        return None

    def _of_sweeps(self, camera: CameraModel, sweeps: Sequence[Sweep]) -> np.ndarray:
        if self._scaled is None or self._camera is not camera:
            self._camera, self._scaled = camera, camera.scaled_to(self._size_hw)
            self._latest = None
        if self._latest is None or not _are_alike(self._latest[0], sweeps):
            self._latest = sweeps, range_map(sweeps, self._scaled, self._min_range_m)
        return self._latest[1]


def _are_alike(first: Sequence[Sweep], second: Sequence[Sweep]) -> bool:
    return len(first) == len(second) and all(
        one.cloud is other.cloud and np.array_equal(one.camera_from_lidar, other.camera_from_lidar)
        for one, other in zip(first, second, strict=True)
    )
