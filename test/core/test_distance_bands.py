"""Near and far pixels are told apart by where LiDAR returns fall."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.distance_bands import overlap_by_distance, range_map, ranged_pixels
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import LidarEncoding
from mle_sam_ros.core.outputs import resize_label_map
from mle_sam_ros.core.sweep import whole
import numpy as np

BOUNDS_M = (0, 10, 20)
SHAPE = (4, 5)
IDS = npst.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 255]))
RANGES = npst.arrays(np.float32, SHAPE, elements=st.sampled_from([0, 3, 9.99, 10, 15, 20, 400]))
CAMERA = CameraModel((20, 40), np.array([[20.0, 0, 20], [0, 20, 10], [0, 0, 1]]), np.zeros(5))


def slow_overlap(truth, prediction, ranges_m):
    counts = np.zeros((3, 3, 3), int)
    for true, predicted, range_m in zip(
        truth.ravel(), prediction.ravel(), ranges_m.ravel(), strict=True
    ):
        if range_m > 0 and true != 255:
            band = sum(range_m >= bound for bound in BOUNDS_M) - 1
            counts[band, 0, true] += true == predicted
            counts[band, 1, true] += 1
            if predicted != 255:
                counts[band, 2, predicted] += 1
    return counts


@given(IDS, IDS, RANGES)
def test_the_overlap_is_that_of_the_definition(truth, prediction, ranges_m):
    pixels = ranged_pixels(ranges_m, BOUNDS_M, SHAPE)
    overlap = overlap_by_distance(truth, prediction, pixels, 3, 3)
    np.testing.assert_array_equal(overlap, slow_overlap(truth, prediction, ranges_m))


@given(st.tuples(st.integers(1, 30), st.integers(1, 30)), RANGES)
def test_a_range_is_that_of_the_pixel_at_its_middle(size_hw, ranges_m):
    labels = np.random.default_rng(0).integers(0, 255, size_hw, np.uint8)
    pixels = ranged_pixels(ranges_m, BOUNDS_M, size_hw)
    small = resize_label_map(labels, SHAPE)
    np.testing.assert_array_equal(labels.ravel()[pixels.indices], small[ranges_m > 0])


def slow_seen(ranges_m):
    """A return is hidden behind one that is nearer by a quarter and within two pixels."""
    seen = np.zeros_like(ranges_m)
    for row, column in np.argwhere(ranges_m):
        near = ranges_m[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        if ranges_m[row, column] / np.float32(1.25) <= near[near > 0].min():
            seen[row, column] = ranges_m[row, column]
    return seen


def test_what_is_hidden_is_left_out():
    random = np.random.default_rng(1)
    xyz = random.uniform((-10, -5, 4), (10, 5, 12), (300, 3)).astype(np.float32)
    sweeps = [whole('lidar', PointCloud(xyz, np.ones(300, np.float32)), np.eye(4))]
    all_m = lidar_raster(sweeps, CAMERA, LidarEncoding(1.0, dilation_px=1))[:, :, 0]
    ranges_m = range_map(sweeps, CAMERA, min_range_m=1.0)
    assert 0 < np.count_nonzero(ranges_m) < np.count_nonzero(all_m)
    np.testing.assert_array_equal(ranges_m, slow_seen(all_m))


def cloud(points):
    xyz = np.array(points, np.float32)
    return PointCloud(xyz, np.ones(len(xyz), np.float32))


def test_a_return_stands_on_one_pixel():
    sweep = whole('lidar', cloud([[0, 0, 8], [4, 1.6, 16], [0, 0, -5], [0, 0, 0.5]]), np.eye(4))
    ranges_m = range_map([sweep], CAMERA, min_range_m=1.0)
    assert ranges_m.dtype == np.float32
    assert {(v, u): float(ranges_m[v, u]) for v, u in np.argwhere(ranges_m).tolist()} == {
        (10, 20): 8.0,
        (12, 25): float(np.linalg.norm([4, 1.6, 16]).astype(np.float32)),
    }


def test_what_is_seen_past_something_near_is_left_out():
    near, behind, beside = [0, 0, 8], [1.6, 0, 32], [16, 0, 32]
    sweep = whole('lidar', cloud([near, behind, beside]), np.eye(4))
    ranges_m = range_map([sweep], CAMERA, min_range_m=1.0)
    assert np.argwhere(ranges_m).tolist() == [[10, 20], [10, 30]]


def test_a_slope_stays_whole():
    rows = [[0, y, 20 / y * 2] for y in (2, 1.9, 1.8, 1.7)]
    ranges_m = range_map([whole('lidar', cloud(rows), np.eye(4))], CAMERA, min_range_m=1.0)
    assert np.count_nonzero(ranges_m) == len({round(20 * y / z) for _, y, z in rows})
