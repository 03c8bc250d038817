"""How far away is what a frame's pixels show, as its LiDAR tells."""

from collections.abc import Sequence

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
        """(h, w) float32 metres, 0 where unknown; None of a frame without a LiDAR sweep."""
        if frame.camera is None or not frame.sweeps:
            return None
        if self._scaled is None or self._camera is not frame.camera:
            self._camera, self._scaled = frame.camera, frame.camera.scaled_to(self._size_hw)
            self._latest = None
        if self._latest is None or not _are_alike(self._latest[0], frame.sweeps):
            ranges_m = range_map(frame.sweeps, self._scaled, self._min_range_m)
            self._latest = frame.sweeps, ranges_m
        return self._latest[1]


def _are_alike(first: Sequence[Sweep], second: Sequence[Sweep]) -> bool:
    return len(first) == len(second) and all(
        one.cloud is other.cloud and np.array_equal(one.camera_from_lidar, other.camera_from_lidar)
        for one, other in zip(first, second, strict=True)
    )
