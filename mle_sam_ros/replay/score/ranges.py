"""How far away is what a frame's pixels show, as its LiDAR or its depth image tells."""

from functools import lru_cache

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.distance_bands import range_map, ranged_pixels, RangedPixels
from mle_sam_ros.core.manifest import LidarEncoding, Manifest
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.score.tallies import DISTANCES_M
import numpy as np


def ranges_of(frame: Frame, manifest: Manifest) -> RangedPixels | None:
    """The pixels of the frame's label maps that a range is known of, at the network's size.

    Args:
        frame: with the sweeps or the depth image that it was made from.
        manifest: of the bundle.

    Returns:
        None of a frame without any range.
    """
    if frame.camera is not None and frame.sweeps:
        camera = _scaled(frame.camera, manifest.input_hw)
        ranges_m = range_map(frame.sweeps, camera, _min_range_m(manifest))
    elif frame.depth_m is not None:
        height, width = manifest.input_hw
        # Each pixel takes the depth at its middle: a mean over an outline is nowhere.
        exact = cv2.INTER_NEAREST_EXACT
        ranges_m = np.nan_to_num(cv2.resize(frame.depth_m, (width, height), interpolation=exact))
    else:
        return None
    height, width = frame.label_map.shape
    return ranged_pixels(ranges_m, DISTANCES_M, (height, width))


@lru_cache(maxsize=1)
def _scaled(camera: CameraModel, size_hw: tuple[int, int]) -> CameraModel:
    """The same camera for all frames of a drive, as its limits take milliseconds to compute."""
    return camera.scaled_to(size_hw)


def _min_range_m(manifest: Manifest) -> float:
    encodings = [modality.encoding for modality in manifest.modalities]
    return min(
        (item.min_range_m for item in encodings if isinstance(item, LidarEncoding)), default=0.0
    )
