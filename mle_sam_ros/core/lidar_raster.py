"""LiDAR returns on the camera's image plane."""

from collections.abc import Sequence

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.deskew import knots_of, row_at, segment_of
from mle_sam_ros.core.lens import distort
from mle_sam_ros.core.manifest import LidarEncoding
from mle_sam_ros.core.sweep import Sweep
import numba
import numpy as np

_NEAREST_Z_M = 0.1
_BLOCK = 256


def lidar_raster(
    sweeps: Sequence[Sweep], camera: CameraModel, encoding: LidarEncoding
) -> np.ndarray:
    """Range, intensity and height of the nearest return at each pixel.

    Each return is seen from where it stood at the exposure; what it tells is what its LiDAR
    measured. Dropped are points that are no return, nearer than `min_range_m`, behind the image
    plane, or beyond the view that the distortion model is valid for. A return fills a square of
    `dilation_px` pixels around (for an even side: from) the pixel it falls on; of two that are
    equally near the first one stays.

    Args:
        sweeps: of one or more LiDARs, each with its place, of N returns each; N may be 0.
        camera: the camera at the size of the raster.
        encoding: of the manifest.

    Returns:
        (H, W, 3) float32: range in metres, intensity, height (z) in metres in the LiDAR's frame;
        zeros where there is no return.
    """
    raster = np.zeros((*camera.size_hw, 3), np.float32)
    depth = np.zeros(camera.size_hw, np.float32)  # 0, which no return has, stands for none
    matrix = np.ascontiguousarray(camera.matrix, np.float64)
    for sweep in sweeps:
        plane_from_lidar = camera.plane_from_camera @ sweep.camera_from_lidar
        _scatter_nearest(
            sweep.cloud.xyz,
            sweep.cloud.intensity,
            *knots_of(sweep.cloud, sweep.knots_ns, plane_from_lidar),
            matrix,
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
    xyz, intensity, times_ns, knots_ns, segments, matrix, lens_kind, coefficients,
    squared_radius_limit, min_range_m, dilation_px, depth, raster,
):  # fmt: skip
    height, width = depth.shape
    # In blocks, so that the memory of the pixels of many returns is fetched at the same time.
    pixels = np.empty((_BLOCK, 2), np.int64)
    depths = np.empty(_BLOCK, np.float32)
    values = np.empty((_BLOCK, 3), np.float32)
    k = num_held = 0
    for i in range(len(xyz)):
        px, py, pz = np.float64(xyz[i, 0]), np.float64(xyz[i, 1]), np.float64(xyz[i, 2])
        k, elapsed_ns = segment_of(i, times_ns, knots_ns, k)
        z = row_at(segments, k, elapsed_ns, 2, px, py, pz)
        if not z >= _NEAREST_Z_M:  # NaN fails too
            continue
        x = row_at(segments, k, elapsed_ns, 0, px, py, pz)
        y = row_at(segments, k, elapsed_ns, 1, px, py, pz)
        if not x * x + y * y <= squared_radius_limit * z * z:
            continue
        distance = np.sqrt(px * px + py * py + pz * pz)
        if not (min_range_m <= distance < np.inf) or distance == 0:
            continue
        xd, yd = distort(lens_kind, coefficients, x / z, y / z)
        u = np.floor(matrix[0, 0] * xd + matrix[0, 1] * yd + matrix[0, 2] + 0.5)
        v = np.floor(matrix[1, 1] * yd + matrix[1, 2] + 0.5)
        if not (
            -dilation_px < u < width + dilation_px and -dilation_px < v < height + dilation_px
        ):
            continue
        pixels[num_held, 0], pixels[num_held, 1] = int(u), int(v)
        depths[num_held] = z
        values[num_held, 0], values[num_held, 1], values[num_held, 2] = distance, intensity[i], pz
        num_held += 1
        if num_held == _BLOCK:
            _keep_nearest(pixels, depths, values, dilation_px, depth, raster)
            num_held = 0
    _keep_nearest(pixels[:num_held], depths, values, dilation_px, depth, raster)


@numba.njit(nogil=True, cache=True)
def _keep_nearest(pixels, depths, values, dilation_px, depth, raster):
    height, width = depth.shape
    before = (dilation_px - 1) // 2
    for i in range(len(pixels)):
        first_u, first_v = pixels[i, 0] - before, pixels[i, 1] - before
        for row in range(max(first_v, 0), min(first_v + dilation_px, height)):
            for column in range(max(first_u, 0), min(first_u + dilation_px, width)):
                if depth[row, column] == 0 or depths[i] < depth[row, column]:
                    depth[row, column] = depths[i]
                    raster[row, column, 0] = values[i, 0]
                    raster[row, column, 1] = values[i, 1]
                    raster[row, column, 2] = values[i, 2]
