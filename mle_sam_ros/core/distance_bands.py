"""Overlap of label maps by distance, where a range sensor tells it."""

from collections.abc import Sequence

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import LidarEncoding
from mle_sam_ros.core.overlap import NO_CLASS
from mle_sam_ros.core.sweep import Sweep
import numpy as np

# A LiDAR looks past what is near from where it stands. What is this much farther than the nearest
# return around it is taken to be hidden from the camera.
_REACH_PX = 5
_HIDDEN_BEHIND = np.float32(1.25)


def range_map(sweeps: Sequence[Sweep], camera: CameraModel, min_range_m: float) -> np.ndarray:
    """How far away is what the pixels show.

    Args:
        sweeps: of one or more LiDARs.
        camera: at the size of the map.
        min_range_m: nearer returns come from the vehicle itself.

    Returns:
        (H, W) float32 metres from the LiDAR, each return on the one pixel it falls on; 0 where
        none does, or where it is hidden behind something nearer.
    """
    ranges_m = lidar_raster(sweeps, camera, LidarEncoding(min_range_m, dilation_px=1))[:, :, 0]
    square = np.ones((_REACH_PX, _REACH_PX), np.uint8)
    nearest_m = cv2.erode(np.where(ranges_m > 0, ranges_m, np.float32(np.inf)), square)
    return np.where(ranges_m / _HIDDEN_BEHIND <= nearest_m, ranges_m, np.float32(0))


def overlap_by_distance(
    truth: np.ndarray,
    prediction: np.ndarray,
    ranges_m: np.ndarray,
    bounds_m: Sequence[float],
    num_classes: int,
) -> np.ndarray:
    """Pixels of each class in each band.

    Args:
        truth: (H, W) uint8 class ids, 255 where unknown: such pixels do not count.
        prediction: (H, W) uint8 class ids, 255 for no class.
        ranges_m: (H, W) float32, 0 where unknown: such pixels do not count.
        bounds_m: where each of B bands begins, rising from 0; the last has no end.
        num_classes: K.

    Returns:
        (B, 3, K) int64: right, in the truth, in the prediction.
    """
    where = np.flatnonzero((ranges_m > 0) & (truth != NO_CLASS))
    true, predicted = truth.ravel()[where], prediction.ravel()[where]
    bands = np.searchsorted(np.asarray(bounds_m), ranges_m.ravel()[where], side='right') - 1
    counts = [
        np.bincount(
            bands[chosen] * num_classes + ids[chosen], minlength=len(bounds_m) * num_classes
        )
        for ids, chosen in (
            (true, true == predicted),
            (true, slice(None)),
            (predicted, predicted != NO_CLASS),
        )
    ]
    return np.stack(counts).reshape(3, len(bounds_m), num_classes).transpose(1, 0, 2)
