"""How far away is what a frame's pixels show, as its LiDAR or its depth image tells."""

import cv2
from mle_sam_ros.core.distance_bands import range_map, ranged_pixels, RangedPixels
from mle_sam_ros.core.manifest import LidarEncoding, Manifest
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.score.tallies import DISTANCES_M
import numpy as np


class Ranges:
    """Finds the pixels of known range; a sweep serves several frames of a faster camera."""

    def __init__(self, manifest: Manifest) -> None:
        """Set up."""
        encodings = [modality.encoding for modality in manifest.modalities]
        self._min_range_m = min(
            (item.min_range_m for item in encodings if isinstance(item, LidarEncoding)),
            default=0.0,
        )
        self._size_hw = manifest.input_hw
        self._latest: tuple[Frame, RangedPixels] | None = None

    def of(self, frame: Frame) -> RangedPixels | None:
        """The pixels of the frame's label maps; None of a frame without any range."""
        if frame.camera is not None and frame.sweeps:
            if self._latest is None or not _are_alike(self._latest[0], frame):
                camera = frame.camera.scaled_to(self._size_hw)
                ranges_m = range_map(frame.sweeps, camera, self._min_range_m)
                self._latest = frame, _ranged(ranges_m, frame)
            return self._latest[1]
        if frame.depth_m is not None:
            height, width = self._size_hw
            # Each pixel takes the depth at its middle: a mean over an outline is nowhere.
            exact = cv2.INTER_NEAREST_EXACT
            depth_m = cv2.resize(frame.depth_m, (width, height), interpolation=exact)
            return _ranged(np.nan_to_num(depth_m), frame)
        return None


def _ranged(ranges_m: np.ndarray, frame: Frame) -> RangedPixels:
    return ranged_pixels(ranges_m, DISTANCES_M, _size_hw(frame))


def _size_hw(frame: Frame) -> tuple[int, int]:
    return frame.label_map.shape[0], frame.label_map.shape[1]


def _are_alike(first: Frame, second: Frame) -> bool:
    return (
        first.camera is second.camera
        and _size_hw(first) == _size_hw(second)
        and len(first.sweeps) == len(second.sweeps)
        and all(
            one.cloud is other.cloud
            and np.array_equal(one.camera_from_lidar, other.camera_from_lidar)
            for one, other in zip(first.sweeps, second.sweeps, strict=True)
        )
    )
