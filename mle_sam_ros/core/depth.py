"""Depth images, and the three channels a network sees of them: HHA.

HHA (Gupta et al., ECCV 2014) is horizontal disparity, height above the ground, and the angle
between the surface and gravity. Published data sets ship it as finished images, made by programs
that differ in detail; that what is computed here equals any of them was never checked.
"""

from typing import Any

from mle_sam_ros.core.aligned_image import check_samples, read_samples
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image import check_image, decode_image
import numba
import numpy as np

# The frame whose z points up and is 0 on the ground, as the calibration file names it.
GROUND = 'ground'

# Encoding to numpy type, and metres of a unit (REP 118).
_DEPTHS = {'16UC1': ('u2', 1e-3), 'mono16': ('u2', 1e-3), '32FC1': ('f4', 1.0)}
_ENCODED = ('rgb8', 'bgr8')
# Of the published programs: a disparity of 31000 per centimetre, centimetres of height, degrees
# of angle, so that level ground is at 38, an upright wall at 128, a ceiling at 218.
_DISPARITY_PER_INVERSE_METRE = 310.0
_HEIGHT_PER_METRE = 100.0
_ANGLE_OF_GROUND = 38.0
# Half the side of the patch whose slope is the surface's.
_REACH_PX = 2


def check_depth_image(message: Any, source: str) -> None:
    """Reject an image that is neither depth nor finished HHA, without touching its pixels.

    Raises:
        InputError: for another encoding, or a size that the data contradict.
    """
    encoding = getattr(message, 'encoding', None)
    if encoding in _DEPTHS:
        check_samples(message, source, np.dtype(_DEPTHS[encoding][0]).itemsize)
    elif encoding is None or encoding in _ENCODED:
        check_image(message, source)
    else:
        raise InputError(
            f'{source}: expected depth as {", ".join(_DEPTHS)}, or HHA as {", ".join(_ENCODED)}, '
            f'got {encoding!r}; convert it in the driver'
        )


def decode_depth_image(message: Any, source: str) -> np.ndarray:
    """Depth, or HHA that somebody else made.

    Args:
        message: an Image, registered to the camera; of HHA a CompressedImage, too.
        source: its topic, for error messages.

    Returns:
        (H, W) float32, metres along the optical axis, NaN where unknown; or (H, W, 3) uint8 HHA.

    Raises:
        InputError: as `check_depth_image`.
    """
    check_depth_image(message, source)
    encoding = getattr(message, 'encoding', None)
    if encoding not in _DEPTHS:
        return decode_image(message, source)
    sample_type, metres = _DEPTHS[encoding]
    depth_m = read_samples(message, sample_type, 1)[:, :, 0] * np.float32(metres)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    return depth_m


class HhaProjector:
    """Depth images of one camera to HHA."""

    def __init__(self, camera: CameraModel, camera_from_ground: np.ndarray) -> None:
        """Set up.

        Args:
            camera: that the depth images are registered to, at their size.
            camera_from_ground: (4, 4), from a frame whose z points up and is 0 on the ground.
        """
        self._camera = camera
        self._rays = camera.rays().astype(np.float32)
        self._ground_from_camera = np.linalg.inv(camera_from_ground).astype(np.float32)

    def image(self, depth_m: np.ndarray) -> np.ndarray:
        """HHA of a depth image.

        Args:
            depth_m: (H, W) float32, metres along the optical axis, NaN where unknown.

        Returns:
            (H, W, 3) uint8: 310 / depth; 100 times the height, metres; 38 plus the degrees from
            gravity to the surface's normal on the far side. Rounded, saturated, and 0 in whatever
            channel is unknown: all three without depth, the last one where the slope is.

        Raises:
            InputError: for a depth image of another size than the camera's.
        """
        self._camera.check_image_size((depth_m.shape[0], depth_m.shape[1]), 'depth')
        hha = np.zeros((*depth_m.shape, 3), np.uint8)
        _encode(np.ascontiguousarray(depth_m), self._rays, self._ground_from_camera, hha)
        return hha


@numba.njit(nogil=True, cache=True)
def _encode(depth_m, rays, ground_from_camera, hha):
    height, width = depth_m.shape
    up_x, up_y, up_z = ground_from_camera[2, 0], ground_from_camera[2, 1], ground_from_camera[2, 2]
    up_t = ground_from_camera[2, 3]
    for row in range(height):
        for column in range(width):
            x, y, z = _point(depth_m, rays, row, column)
            if not (z > 0 and x == x and y == y):  # no depth, or no ray
                continue
            above = up_x * x + up_y * y + up_z * z + up_t
            hha[row, column, 0] = _byte(_DISPARITY_PER_INVERSE_METRE / z)
            hha[row, column, 1] = _byte(_HEIGHT_PER_METRE * above)
            if (
                row < _REACH_PX
                or row >= height - _REACH_PX
                or column < _REACH_PX
                or column >= width - _REACH_PX
            ):
                continue
            left_x, left_y, left_z = _point(depth_m, rays, row, column - _REACH_PX)
            right_x, right_y, right_z = _point(depth_m, rays, row, column + _REACH_PX)
            upper_x, upper_y, upper_z = _point(depth_m, rays, row - _REACH_PX, column)
            lower_x, lower_y, lower_z = _point(depth_m, rays, row + _REACH_PX, column)
            across_x, across_y, across_z = right_x - left_x, right_y - left_y, right_z - left_z
            down_x, down_y, down_z = lower_x - upper_x, lower_y - upper_y, lower_z - upper_z
            normal_x = across_y * down_z - across_z * down_y
            normal_y = across_z * down_x - across_x * down_z
            normal_z = across_x * down_y - across_y * down_x
            length = np.sqrt(normal_x**2 + normal_y**2 + normal_z**2)
            if not length > 0:
                continue
            cosine = -(normal_x * up_x + normal_y * up_y + normal_z * up_z) / length
            if normal_x * x + normal_y * y + normal_z * z < 0:
                cosine = -cosine
            degrees = np.degrees(np.arccos(min(max(cosine, np.float32(-1)), np.float32(1))))
            hha[row, column, 2] = _byte(_ANGLE_OF_GROUND + degrees)


@numba.njit(nogil=True, cache=True)
def _point(depth_m, rays, row, column):
    z = depth_m[row, column]
    return rays[row, column, 0] * z, rays[row, column, 1] * z, z


@numba.njit(nogil=True, cache=True)
def _byte(value):
    return np.uint8(min(max(np.rint(value), 0), 255))
