from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.labelled_cloud import label_cloud, organise, points_in_camera
from mle_sam_ros.core.sweep import lost, Sweep
import numpy as np
import pytest

CAMERA = CameraModel(
    (48, 96),
    np.array([[48.0, 0, 47.5], [0, 48, 23.5], [0, 0, 1]]),
    np.array([-0.1, 0.01, 0.001, -0.001, 0]),
)
FISHEYE = CameraModel(
    (48, 96),
    np.array([[40.0, 0, 47.5], [0, 40, 23.5], [0, 0, 1]]),
    np.array([0.05, -0.01, 0.0, 0.0]),
    'equidistant',
)
GRID_HW = (12, 24)


def reference(points_camera, camera, label_map, confidence, grid_hw):
    """Point by point, as one would explain it: labels, confidences and cells."""
    (height, width), (rows, columns) = label_map.shape, grid_hw
    seen, nearest = {}, np.full(grid_hw, np.inf)
    for index, point in enumerate(points_camera.astype(np.float64)):
        if not np.isfinite(point).all() or point[2] < 0.1:
            continue
        if (point[:2] / point[2]) @ (point[:2] / point[2]) > camera.squared_radius_limit:
            continue
        u, v = camera.project(point[None])[0] + 0.5
        if not (0 <= u < width and 0 <= v < height):
            continue
        row, column = int(v * rows / height), int(u * columns / width)
        seen[index] = int(v), int(u), row, column
        nearest[row, column] = min(nearest[row, column], point[2])
    labels = np.full(len(points_camera), 255, np.uint8)
    confidences = np.zeros(len(points_camera), np.uint8)
    cells = np.full(len(points_camera), -1, np.int32)
    for index, (v, u, row, column) in seen.items():
        is_nearer = nearest < (float(points_camera[index, 2]) - 0.5) / 1.1
        columns_near = slice(max(column - 1, 0), column + 2)
        above = is_nearer[max(row - 3, 0) : row, columns_near].any()
        below = is_nearer[row + 1 : row + 4, columns_near].any()
        left = is_nearer[row, max(column - 3, 0) : column].any()
        right = is_nearer[row, column + 1 : column + 4].any()
        if not (is_nearer[row, column] or (above and below) or (left and right)):
            cells[index] = row * columns + column
            if label_map[v, u] != 255:
                labels[index], confidences[index] = label_map[v, u], confidence[v, u]
    return labels, confidences, cells


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.sampled_from([CAMERA, FISHEYE]))
def test_agrees_with_the_reference(seed, num_points, camera):
    random = np.random.default_rng(seed)
    points = (random.normal(size=(num_points, 3)) * [6, 3, 8] + [0, 0, 6]).astype(np.float32)
    points[random.random(num_points) < 0.05] = np.nan
    points[random.random(num_points) < 0.02, 0] = np.inf
    label_map, confidence = random.integers(0, 256, (2, 48, 96), np.uint8)
    label_map[random.random((48, 96)) < 0.2] = 255
    cloud = label_cloud(points, camera, label_map, confidence, GRID_HW)
    expected = reference(points, camera, label_map, confidence, GRID_HW)
    np.testing.assert_array_equal(cloud.labels, expected[0])
    np.testing.assert_array_equal(cloud.confidence, expected[1])
    np.testing.assert_array_equal(cloud.cells, expected[2])

    organised = np.full((12 * 24, 3), np.nan, np.float32)
    for point, cell in zip(points, expected[2], strict=True):
        if cell >= 0 and not organised[cell, 2] <= point[2]:
            organised[cell] = point
    np.testing.assert_array_equal(organise(cloud), organised.reshape(12, 24, 3))


def labels_of(points, grid_hw=GRID_HW):
    cloud = label_cloud(
        np.array(points, np.float32).reshape(-1, 3),
        CAMERA,
        np.full((48, 96), 7, np.uint8),
        np.full((48, 96), 200, np.uint8),
        grid_hw,
    )
    return cloud.labels.tolist()


AHEAD = [0.4, 0.4, 20.0]


@pytest.mark.parametrize(
    ('others', 'is_hidden'),
    [
        ([[0.25, 0.25, 10.0]], True),  # in its cell
        ([[0, 1.0, 10.0]], False),  # on one side alone
        ([[0, 1.0, 10.0], [0.5, 1.0, 10.0]], False),
        ([[0, 1.0, 10.0], [0, -1.0, 10.0]], True),
        ([[-1.5, 0, 10.0], [1.5, 0, 10.0]], True),
        ([[0, 1.8, 18.0], [0, -1.8, 18.0]], False),  # within the tolerance
        ([[0, 4.0, 10.0], [0, -4.0, 10.0]], False),  # too far up and down
    ],
)
def test_hidden_is_what_nearer_returns_surround(others, is_hidden):
    label = 255 if is_hidden else 7
    assert labels_of([AHEAD, *others])[0] == label
    assert labels_of([*others, AHEAD])[-1] == label


def test_a_surface_does_not_hide_itself():
    # A road 1.5 m below the camera, seen at grazing angles; and a wall.
    road = [[x, 1.5, z] for z in np.arange(4, 12, 0.5) for x in (-0.5, 0, 0.5)]
    wall = [[x, 0, 10.0] for x in np.linspace(-2, 2, 9)]
    assert labels_of(wall) == [7] * len(wall)
    assert labels_of(road, (48, 96)) == [7] * len(road)


@pytest.mark.parametrize(
    'point', [[0, 0, -5], [0, 0, 0.05], [np.nan, 0, 5], [0, 0, np.inf], [50, 0, 5], [0, 0, np.nan]]
)
def test_what_the_camera_does_not_see_has_no_label(point):
    assert labels_of([point]) == [255]


def test_no_points():
    assert labels_of([]) == []
    empty = label_cloud(
        np.zeros((0, 3), np.float32), CAMERA, *np.zeros((2, 48, 96), np.uint8), GRID_HW
    )
    assert np.isnan(organise(empty)).all()


def test_points_of_several_sweeps_come_into_the_cameras_frame():
    ahead = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0.5], [1, 0, 0, 0], [0, 0, 0, 1]])[None]
    cloud = PointCloud(np.float32([[10, 1, 2], [np.nan, 0, 0]]), np.float32([3, 4]))
    unplaced = lost('lidar_2', cloud, 'no transform')
    moving = np.concatenate([ahead, ahead])
    moving[1, 2, 3] = 0.4  # the vehicle goes on by 40 cm from knot to knot
    times_ns = np.array([1_005_000_000], np.int64)
    later = PointCloud(np.float32([[20, 0, 0]]), np.float32([5]), times_ns)
    sweeps = [
        Sweep('lidar', cloud, ahead, np.zeros(1, np.int64)),
        unplaced,
        Sweep('lidar_3', later, moving, np.array([1_000_000_000, 1_010_000_000])),
    ]
    points = points_in_camera(sweeps)
    np.testing.assert_allclose(points.xyz[[0, 2]], [[-1, -1.5, 10], [0, 0.5, 20.2]], atol=1e-5)
    assert not np.isfinite(points.xyz[1]).any()
    np.testing.assert_array_equal(points.intensity, [3, 4, 5])
    assert len(points_in_camera([unplaced])) == 0
