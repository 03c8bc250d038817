"""LiDAR returns on the camera's image plane."""

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.lens import distort
from mle_sam_ros.core.manifest import LidarEncoding
import numba
import numpy as np

_NEAREST_Z_M = 0.1


def lidar_raster(
    cloud: PointCloud,
    camera_from_lidar: np.ndarray,
    camera: CameraModel,
    encoding: LidarEncoding,
) -> np.ndarray:
    """Range, intensity and height of the nearest return at each pixel.

    Dropped are returns that are not finite, nearer than `min_range_m`, behind the image plane, or
    beyond the view that the distortion model is valid for. A return fills a square of
    `dilation_px` pixels around (for an even side: from) the pixel it falls on.

    Args:
        cloud: N returns; N may be 0.
        camera_from_lidar: (4, 4) float64.
        camera: the camera at the size of the raster.
        encoding: of the manifest.

    Returns:
        (H, W, 3) float32: range in metres, intensity, height (z) in metres in the LiDAR frame;
        zeros where there is no return.
    """
    raster = np.zeros((*camera.size_hw, 3), np.float32)
    depth = np.full(camera.size_hw, np.inf, np.float64)
    _scatter_nearest(
        cloud.xyz,
        cloud.intensity,
        camera.plane_from_camera @ camera_from_lidar,
        np.ascontiguousarray(camera.matrix, np.float64),
        camera.lens_kind,
        camera.coefficients,
        camera.squared_radius_limit,
        encoding.min_range_m,
        encoding.dilation_px,
        depth,
        raster,
    )
    return raster


@numba.njit(nogil=True, cache=True)
def _scatter_nearest(
    xyz, intensity, plane_from_lidar, matrix, lens_kind, coefficients,
    squared_radius_limit, min_range_m, dilation_px, depth, raster,
):  # fmt: skip
    height, width = depth.shape
    before = (dilation_px - 1) // 2
    for i in range(len(xyz)):
        px, py, pz = np.float64(xyz[i, 0]), np.float64(xyz[i, 1]), np.float64(xyz[i, 2])
        distance = np.sqrt(px * px + py * py + pz * pz)
        if not (min_range_m <= distance < np.inf):  # NaN fails too
            continue
        t = plane_from_lidar
        z = t[2, 0] * px + t[2, 1] * py + t[2, 2] * pz + t[2, 3]
        if z < _NEAREST_Z_M:
            continue
        x = (t[0, 0] * px + t[0, 1] * py + t[0, 2] * pz + t[0, 3]) / z
        y = (t[1, 0] * px + t[1, 1] * py + t[1, 2] * pz + t[1, 3]) / z
        if x * x + y * y > squared_radius_limit:
            continue
        xd, yd = distort(lens_kind, coefficients, x, y)
        u = np.floor(matrix[0, 0] * xd + matrix[0, 1] * yd + matrix[0, 2] + 0.5)
        v = np.floor(matrix[1, 1] * yd + matrix[1, 2] + 0.5)
        if not (abs(u) < 1e6 and abs(v) < 1e6):  # too far out to be an integer pixel
            continue
        first_v, first_u = int(v) - before, int(u) - before
        for row in range(max(first_v, 0), min(first_v + dilation_px, height)):
            for column in range(max(first_u, 0), min(first_u + dilation_px, width)):
                if z < depth[row, column]:
                    depth[row, column] = z
                    raster[row, column, 0] = distance
                    raster[row, column, 1] = intensity[i]
                    raster[row, column, 2] = pz
