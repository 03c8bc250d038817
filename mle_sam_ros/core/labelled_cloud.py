"""The mask brought back to the points: what each LiDAR return lies on."""

from collections.abc import Iterable
from dataclasses import dataclass

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.deskew import deskew
from mle_sam_ros.core.lens import distort
from mle_sam_ros.core.metrics import NO_CLASS
from mle_sam_ros.core.sweep import Sweep
import numba
import numpy as np

_NEAREST_Z_M = 0.1
# How far around a return others that hide it are looked for: beams are farther apart than cells.
_REACH_CELLS = 3
# Returns of one surface differ less than this from cell to cell: 0.5 m and a tenth.
_TOLERANCE_M = 0.5
_TOLERANCE_PART = 0.1


@dataclass(frozen=True, eq=False)
class LabelledCloud:
    """Returns with what the mask says of them.

    Attributes:
        points_camera: (N, 3) float32, metres, optical frame; NaN where there was no return.
        labels: (N,) uint8 class ids; 255 outside the image, behind a nearer return, or where the
            mask says nothing.
        confidence: (N,) uint8 of those labels; 0 where there is none.
        cells: (N,) int32, index of the cell of each visible return in the grid, row by row; -1
            for the others.
        grid_hw: (rows, columns) of the grid.
    """

    points_camera: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    cells: np.ndarray
    grid_hw: tuple[int, int]

    def only(self, chosen: np.ndarray) -> 'LabelledCloud':
        """A part of the returns, in their order; `chosen` is (N,) bool."""
        return LabelledCloud(
            self.points_camera[chosen],
            self.labels[chosen],
            self.confidence[chosen],
            self.cells[chosen],
            self.grid_hw,
        )


def points_in_camera(sweeps: Iterable[Sweep]) -> PointCloud:
    """All points in the camera's optical frame at its exposure, in the order of the sweeps.

    Each is moved with the pose of its own time, exactly as its raster was made. Sweeps whose place
    is unknown are left out.
    """
    clouds = [
        deskew(sweep.cloud, sweep.knots_ns, sweep.camera_from_lidar)
        for sweep in sweeps
        if len(sweep.camera_from_lidar)
    ]
    return PointCloud(
        np.concatenate([cloud.xyz for cloud in clouds] or [np.zeros((0, 3), np.float32)]),
        np.concatenate([cloud.intensity for cloud in clouds] or [np.zeros(0, np.float32)]),
    )


def label_cloud(
    points_camera: np.ndarray,
    camera: CameraModel,
    label_map: np.ndarray,
    confidence: np.ndarray,
    grid_hw: tuple[int, int],
) -> LabelledCloud:
    """Give each return the class at its pixel, if the camera sees it.

    Sight is judged on a grid over the image. A return is hidden where another one, nearer by more
    than half a metre and a tenth, lies in its cell; or where such lie within three cells both
    above and below, or both left and right of it: between the beams that fall on a car, others
    look over it or under it. On one side alone they hide nothing, as a road always comes nearer
    below, and what borders on a car may be seen.

    Args:
        points_camera: (N, 3) float32, metres, optical frame, where they were at the exposure; N
            may be 0; NaN where there is no return.
        camera: of the image.
        label_map: (H, W) uint8 class ids.
        confidence: (H, W) uint8.
        grid_hw: (rows, columns) of the grid that sight is judged on; at most (H, W).

    Returns:
        The returns in their order.
    """
    camera = camera.scaled_to(label_map.shape)
    labels = np.empty(len(points_camera), np.uint8)
    confidences = np.empty(len(points_camera), np.uint8)
    cells = np.empty(len(points_camera), np.int32)
    _label(
        points_camera,
        np.ascontiguousarray(camera.rotation, np.float64),
        np.ascontiguousarray(camera.matrix, np.float64),
        camera.lens_kind,
        camera.coefficients,
        camera.squared_radius_limit,
        label_map,
        confidence,
        np.full(grid_hw, np.inf, np.float32),
        labels,
        confidences,
        cells,
    )
    return LabelledCloud(points_camera, labels, confidences, cells, grid_hw)


def organise(cloud: LabelledCloud) -> np.ndarray:
    """The nearest visible return of each cell.

    Returns:
        (rows, columns, 3) float32, metres, optical frame; NaN where there is none.
    """
    rows, columns = cloud.grid_hw
    organised = np.full((rows * columns, 3), np.nan, np.float32)
    _keep_nearest(cloud.points_camera, cloud.cells, organised)
    return organised.reshape(rows, columns, 3)


def compile_kernels() -> None:
    """Compile for maps of either kind that engines give: writable and read-only."""
    camera = CameraModel((8, 8), np.array([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]), np.zeros(5))
    for is_writable in (True, False):
        maps = np.zeros((2, 8, 8), np.uint8)
        maps.flags.writeable = is_writable
        organise(label_cloud(np.ones((1, 3), np.float32), camera, maps[0], maps[1], (8, 8)))


@numba.njit(nogil=True, cache=True)
def _label(
    points, rotation, matrix, lens_kind, coefficients, squared_radius_limit,
    label_map, confidence, depth, labels, confidences, cells,
):  # fmt: skip
    height, width = label_map.shape
    rows, columns = depth.shape
    pixels = np.empty(len(points), np.int32)
    r = rotation
    for i in range(len(points)):
        cells[i] = -1
        px, py, pz = np.float64(points[i, 0]), np.float64(points[i, 1]), np.float64(points[i, 2])
        z = r[2, 0] * px + r[2, 1] * py + r[2, 2] * pz
        if not (_NEAREST_Z_M <= z < np.inf):  # NaN fails too
            continue
        x = (r[0, 0] * px + r[0, 1] * py + r[0, 2] * pz) / z
        y = (r[1, 0] * px + r[1, 1] * py + r[1, 2] * pz) / z
        if not x * x + y * y <= squared_radius_limit:
            continue
        xd, yd = distort(lens_kind, coefficients, x, y)
        u = matrix[0, 0] * xd + matrix[0, 1] * yd + matrix[0, 2] + 0.5
        v = matrix[1, 1] * yd + matrix[1, 2] + 0.5
        if not (0 <= u < width and 0 <= v < height):
            continue
        pixels[i] = int(v) * width + int(u)
        row, column = int(v * rows / height), int(u * columns / width)
        cells[i] = row * columns + column
        depth[row, column] = min(depth[row, column], points[i, 2])
    for i in range(len(points)):
        labels[i], confidences[i] = NO_CLASS, 0
        if cells[i] < 0:
            continue
        row, column = cells[i] // columns, cells[i] % columns
        if _is_hidden(points[i, 2], row, column, depth):
            cells[i] = -1
            continue
        label = label_map[pixels[i] // width, pixels[i] % width]
        if label != NO_CLASS:
            labels[i] = label
            confidences[i] = confidence[pixels[i] // width, pixels[i] % width]


@numba.njit(nogil=True, cache=True)
def _is_hidden(z, row, column, depth):
    limit = (np.float64(z) - _TOLERANCE_M) / (1 + _TOLERANCE_PART)
    if depth[row, column] < limit:
        return True
    reach = _REACH_CELLS
    return (
        _is_any_nearer(limit, row - reach, row, column - 1, column + 2, depth)
        and _is_any_nearer(limit, row + 1, row + 1 + reach, column - 1, column + 2, depth)
    ) or (
        _is_any_nearer(limit, row, row + 1, column - reach, column, depth)
        and _is_any_nearer(limit, row, row + 1, column + 1, column + 1 + reach, depth)
    )


@numba.njit(nogil=True, cache=True)
def _is_any_nearer(limit, first_row, end_row, first_column, end_column, depth):
    rows, columns = depth.shape
    for row in range(max(first_row, 0), min(end_row, rows)):
        for column in range(max(first_column, 0), min(end_column, columns)):
            if depth[row, column] < limit:
                return True
    return False


@numba.njit(nogil=True, cache=True)
def _keep_nearest(points, cells, organised):
    for i in range(len(points)):
        cell = cells[i]
        # A comparison with NaN is false, so an empty cell takes any return.
        if cell >= 0 and not organised[cell, 2] <= points[i, 2]:
            organised[cell] = points[i]
