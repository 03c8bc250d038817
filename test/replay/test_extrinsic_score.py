from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.events import Events
from mle_sam_ros.replay.extrinsics.edges import depth_edges, edge_nearness, event_edges
from mle_sam_ros.replay.extrinsics.event_distance import event_points
from mle_sam_ros.replay.extrinsics.score import (
    EdgeMatch,
    ExtrinsicScore,
    score_extrinsic,
    Shift,
    shifts,
    ShiftScore,
)
import numpy as np
import pytest

CAMERA = CameraModel(
    (160, 320), np.array([[160.0, 0, 159.5], [0, 160, 79.5], [0, 0, 1]]), np.zeros(5)
)
# Optical axes (x right, y down, z forward) from the LiDAR's (x forward, y left, z up).
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, 0.0], [0, 0, 0, 1.0]])
WALL_M, POST_M = 30.0, 8.0


def posts(seed):
    """(K, 2) left and right ends of posts before the wall, metres to the left, at random."""
    random = np.random.default_rng(seed)
    left = np.linspace(-6.5, 5.5, 6) + random.uniform(-0.7, 0.7, 6)
    return np.stack([left, left + random.uniform(0.3, 0.8, 6)], axis=1)


def is_post(y_left, z_up, ends):
    within = (y_left[..., None] >= ends[:, 0]) & (y_left[..., None] < ends[:, 1])
    return within.any(axis=-1) & (np.abs(z_up) < 1.5)


def swept(ends):
    """What a LiDAR of 32 rows at the origin measures."""
    azimuth, elevation = np.meshgrid(
        np.deg2rad(np.arange(-60, 60, 0.2)), np.deg2rad(np.linspace(-15, 15, 32))
    )
    direction = np.stack(
        [np.ones_like(azimuth), np.tan(azimuth), np.tan(elevation) / np.cos(azimuth)], axis=-1
    )
    near = direction * POST_M
    hit = is_post(near[..., 1], near[..., 2], ends)
    points = np.where(hit[..., None], near, direction * WALL_M).reshape(-1, 3)
    order = np.random.default_rng(0).permutation(len(points))  # drivers promise no order
    return PointCloud(points[order].astype(np.float32), np.zeros(len(points), np.float32))


def photographed(ends):
    """What the camera sees: bright posts before a dull wall."""
    rays = CAMERA.rays()
    lidar_from_camera = np.linalg.inv(CAMERA_FROM_LIDAR)
    # The camera stands in the plane of the LiDAR, so depth is the distance to the posts' plane.
    near = rays * POST_M @ lidar_from_camera[:3, :3].T + lidar_from_camera[:3, 3]
    hit = is_post(near[..., 1], near[..., 2], ends)
    noise = np.random.default_rng(1).integers(0, 12, (*CAMERA.size_hw, 3))
    return (np.where(hit[..., None], 190, 60) + noise).astype(np.uint8), hit


def match(seed):
    ends = posts(seed)
    cloud = swept(ends)
    image, _ = photographed(ends)
    nearness = edge_nearness(image, CAMERA)
    return EdgeMatch(nearness, *depth_edges(cloud), cloud.xyz.astype(np.float64))


@pytest.fixture(scope='module')
def matches():
    return [match(seed) for seed in range(6)]


def test_depth_edges_stand_before_something_farther():
    points, weights = depth_edges(swept(posts(0)))
    np.testing.assert_allclose(points[:, 0], POST_M, rtol=1e-6)
    assert weights.min() > 0.7
    columns = np.unique(points[:, 1].round(2))
    for end in posts(0).ravel():
        assert np.abs(columns - end).min() < 0.05


def test_the_true_extrinsic_beats_every_shift_of_a_degree_or_more(matches):
    score = score_extrinsic(matches, CAMERA, CAMERA_FROM_LIDAR, has_distance=True)
    assert score.num_moments == 6
    assert score.better == []
    assert score.verdict == 'fits'
    for item in score.shifted:
        if item.shift.axis in ('yaw', 'pitch', 'roll') and abs(item.shift.amount) >= 1:
            assert item.gain < 0, item.shift


@pytest.mark.parametrize(
    'shift', [Shift('yaw', 1.0), Shift('yaw', -2.0), Shift('x', 0.2)], ids=str
)
def test_a_wrong_extrinsic_is_told_with_its_direction(matches, shift):
    score = score_extrinsic(matches, CAMERA, shift.matrix() @ CAMERA_FROM_LIDAR, True)
    best = score.better[0]
    undone = {
        str(Shift(shift.axis, -shift.amount)),
        str(Shift('yaw', -1.5)),
        str(Shift('yaw', 1.5)),
    }
    assert str(best.shift) in undone
    assert best.gain > 3 * best.error
    assert score.verdict == 'wrong'


@pytest.mark.parametrize(
    ('given', 'gain', 'error', 'verdict'),
    [
        (0.8, 0.0, 0.01, 'fits'),
        (0.8, 0.07, 0.03, 'fits'),  # chance
        (0.8, 0.07, 0.01, 'unclear'),  # glare does as much
        (0.8, 0.09, 0.01, 'wrong'),
        (0.1, 0.0, 0.01, 'unclear'),  # edges hardly meet
        (0.05, 0.1, 0.01, 'unclear'),  # nor do they elsewhere
        (0.05, 0.2, 0.01, 'wrong'),
        (-0.1, 0.5, 0.01, 'wrong'),
    ],
)
def test_the_verdict_leaves_room_for_chance_and_glare(given, gain, error, verdict):
    shifted = ShiftScore(Shift('pitch', -0.5), gain, error, 1.0)
    assert ExtrinsicScore(given, 24, (shifted,)).verdict == verdict


def test_errors_about_several_axes_are_found_one_after_another(matches):
    wrong = Shift('yaw', 1.0).matrix() @ Shift('roll', -3.0).matrix() @ CAMERA_FROM_LIDAR
    score = score_extrinsic(matches, CAMERA, wrong, has_distance=True)
    right = score_extrinsic(matches, CAMERA, CAMERA_FROM_LIDAR, has_distance=True)
    assert right.correction == ()
    assert right.corrected == right.given
    assert len(score.correction) > 1
    assert score.corrected > score.given + 0.6 * (right.given - score.given)


def test_events_are_compared_at_the_distance_that_the_lidar_measured():
    """With 30 cm between the cameras, infinite distance would look like two degrees of yaw."""
    camera_from_event = np.eye(4)
    camera_from_event[0, 3] = 0.3
    event_from_lidar = np.linalg.inv(camera_from_event) @ CAMERA_FROM_LIDAR
    matches = []
    for seed in range(6):
        ends = posts(seed)
        image, _ = photographed(ends)
        nearness = edge_nearness(image, CAMERA)
        points = event_points(CAMERA, swept(ends), event_from_lidar)
        # Events where the posts' rims are for the event camera.
        rays = CAMERA.rays() * POST_M
        lidar_from_event = np.linalg.inv(event_from_lidar)
        near = rays @ lidar_from_event[:3, :3].T + lidar_from_event[:3, 3]
        hit = is_post(near[..., 1], near[..., 2], ends)
        rows, columns = np.nonzero(hit[:, 1:] != hit[:, :-1])
        events = Events(
            columns.astype(np.uint16), rows.astype(np.uint16),
            np.zeros(len(rows), np.int64), np.ones(len(rows), np.uint8),
        )  # fmt: skip
        matches.append(EdgeMatch(nearness, *event_edges(events, points), points.reshape(-1, 3)))
    score = score_extrinsic(matches, CAMERA, camera_from_event, has_distance=False)
    assert score.better == []
    turned = Shift('yaw', 1.5).matrix() @ camera_from_event
    best = score_extrinsic(matches, CAMERA, turned, has_distance=False).better[0]
    assert str(best.shift) == 'yaw -1.50 deg'


def test_unknown_distances_are_practically_infinite():
    points = event_points(CAMERA)
    assert points[:, :, 2].min() >= 1e4
    assert event_points(CAMERA, swept(posts(0)), None)[0, 0, 2] >= 1e4


def test_too_few_edges_give_no_score(matches):
    nothing = EdgeMatch(matches[0].nearness, np.zeros((0, 3)), np.zeros(0), np.ones((100, 3)))
    assert score_extrinsic([nothing], CAMERA, np.eye(4), has_distance=True) is None
    assert score_extrinsic([], CAMERA, np.eye(4), has_distance=True) is None


def test_shifts_are_rigid_and_undone_by_their_opposites():
    assert len(shifts(has_distance=False)) == 36
    for shift in shifts(has_distance=True):
        opposite = Shift(shift.axis, -shift.amount)
        np.testing.assert_allclose(shift.matrix() @ opposite.matrix(), np.eye(4), atol=1e-12)
