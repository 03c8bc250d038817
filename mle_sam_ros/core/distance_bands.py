"""Overlap of label maps by distance, where a range sensor tells it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import LidarEncoding
from mle_sam_ros.core.overlap import NO_CLASS
from mle_sam_ros.core.sweep import Sweep
import numba
import numpy as np

# A LiDAR looks past what is near from where it stands. What is this much farther than the nearest
# return around it is taken to be hidden from the camera.
_REACH_PX = 5
_HIDDEN_BEHIND = np.float32(1.25)


@dataclass(frozen=True, eq=False)
class RangedPixels:
    """Pixels of label maps whose distance is known.

    Attributes:
        indices: (N,) int64, counted row by row.
        bands: (N,) int64 of their distance, 0 for the nearest.
    """

    indices: np.ndarray
    bands: np.ndarray


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
    raster = lidar_raster(sweeps, camera, LidarEncoding(min_range_m, dilation_px=1))
    ranges_m = _or_infinite(raster)
    square = np.ones((_REACH_PX, _REACH_PX), np.uint8)
    _clear_hidden(ranges_m, cv2.erode(ranges_m, square))
    return ranges_m


def ranged_pixels(
    ranges_m: np.ndarray, bounds_m: Sequence[float], size_hw: tuple[int, int]
) -> RangedPixels:
    """Find the pixels of label maps that a range is known of.

    Args:
        ranges_m: (h, w) float32, 0 where unknown.
        bounds_m: where each of the bands begins, rising from 0; the last has no end.
        size_hw: of the label maps; each range goes to the pixel in which its middle lies.
    """
    starts = _nearest(size_hw[0], ranges_m.shape[0]) * size_hw[1]
    columns = _nearest(size_hw[1], ranges_m.shape[1])
    pixels = np.empty((2, np.count_nonzero(ranges_m)), np.int64)
    _find(ranges_m, np.array(bounds_m, np.float32), starts, columns, *pixels)
    return RangedPixels(*pixels)


def overlap_by_distance(
    truth: np.ndarray,
    prediction: np.ndarray,
    pixels: RangedPixels,
    num_bands: int,
    num_classes: int,
) -> np.ndarray:
    """Pixels of each class in each band.

    Args:
        truth: (H, W) uint8 class ids, 255 where unknown: such pixels do not count.
        prediction: (H, W) uint8 class ids, 255 for no class.
        pixels: those that count.
        num_bands: B.
        num_classes: K.

    Returns:
        (B, 3, K) int64: right, in the truth, in the prediction.
    """
    counts = np.zeros((num_bands, 3, 256), np.int64)
    _count(truth.ravel(), prediction.ravel(), pixels.indices, pixels.bands, counts)
    return counts[:, :, :num_classes]


def _nearest(length: int, num_parts: int) -> np.ndarray:
    """(num_parts,) int64: what `resize_label_map` takes for each part of a line of pixels."""
    line = np.arange(length, dtype=np.float32)[:, np.newaxis]
    chosen = cv2.resize(line, (1, num_parts), interpolation=cv2.INTER_NEAREST_EXACT)
    return chosen[:, 0].astype(np.int64)


@numba.njit(nogil=True, cache=True)
def _or_infinite(raster):
    ranges_m = np.empty(raster.shape[:2], np.float32)
    for row in range(raster.shape[0]):
        for column in range(raster.shape[1]):
            range_m = raster[row, column, 0]
            ranges_m[row, column] = range_m if range_m > 0 else np.float32(np.inf)
    return ranges_m


@numba.njit(nogil=True, cache=True)
def _clear_hidden(ranges_m, nearest_m):
    for row in range(ranges_m.shape[0]):
        for column in range(ranges_m.shape[1]):
            range_m = ranges_m[row, column]
            is_seen = range_m < np.inf and range_m / _HIDDEN_BEHIND <= nearest_m[row, column]
            ranges_m[row, column] = range_m if is_seen else np.float32(0)


@numba.njit(nogil=True, cache=True)
def _find(ranges_m, bounds_m, starts, columns, indices, bands):
    count = 0
    for row in range(ranges_m.shape[0]):
        for column in range(ranges_m.shape[1]):
            range_m = ranges_m[row, column]
            if range_m > 0:
                band = len(bounds_m) - 1
                while range_m < bounds_m[band]:
                    band -= 1
                indices[count], bands[count] = starts[row] + columns[column], band
                count += 1


@numba.njit(nogil=True, cache=True)
def _count(truth, prediction, indices, bands, counts):
    for i in range(len(indices)):
        true, predicted = truth[indices[i]], prediction[indices[i]]
        if true != NO_CLASS:
            counts[bands[i], 0, true] += true == predicted
            counts[bands[i], 1, true] += 1
            counts[bands[i], 2, predicted] += 1
