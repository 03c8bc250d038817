import cv2
from mle_sam_ros.simulation.camera import FrameCamera
from mle_sam_ros.simulation.classes import PEDESTRIAN, ROAD, ROAD_LINE, SIGN, VEHICLE
from mle_sam_ros.simulation.conditions import typical
from mle_sam_ros.simulation.drive import Drive
from mle_sam_ros.simulation.failures import Failure
from mle_sam_ros.simulation.lidar import cast_sweep, measure
import numpy as np
import pytest

STAMP_NS = 2_000_000_000


@pytest.fixture(scope='module')
def drive():
    return Drive(33, 5.0)


@pytest.fixture(scope='module')
def sweep(drive):
    """A sweep of a world and a vehicle that stand still at the stamp."""
    return cast_sweep(
        drive.rig.lidar,
        STAMP_NS,
        lambda _: drive.scene_at(STAMP_NS),
        lambda _: drive.pose('lidar', STAMP_NS),
    )


def day_cloud(drive, sweep, condition='day', failure=None):
    rng = np.random.default_rng(0)
    light = typical(condition, rng)
    return measure(drive.rig.lidar, sweep, light, failure or Failure(), rng)


def test_points_fall_on_pixels_of_their_class(drive, sweep):
    camera = FrameCamera(drive.rig.camera)
    view = camera.look(
        drive.scene_at(STAMP_NS), drive.pose('camera', STAMP_NS), drive.ego.velocity(2.0)
    )
    label_map = camera.labels(view)
    met = np.isfinite(sweep.range_m)
    points = sweep.direction[met] * sweep.range_m[met, None]
    camera_from_lidar = drive.rig.calibration().camera_from['lidar']
    points = points @ camera_from_lidar[:3, :3].T + camera_from_lidar[:3, 3]
    front = points[:, 2] > 1.0
    u, v = camera.model.project(points[front]).round().astype(int).T
    inside = (u >= 0) & (u < 640) & (v >= 0) & (v < 320)
    u, v, label = u[inside], v[inside], sweep.label[met][front][inside]
    kernel = np.ones((5, 5), np.uint8)
    is_edge = cv2.dilate(label_map, kernel) != cv2.erode(label_map, kernel)
    clear = ~is_edge[v, u]
    assert clear.sum() > 3000
    # The LiDAR stands 40 cm higher: a few points lie behind what the camera sees.
    assert (label_map[v, u] == label)[clear].mean() > 0.95


def test_sweep_turns_in_time_and_looks_forward_in_its_middle(drive, sweep):
    assert (np.diff(sweep.time_ns) >= 0).all()
    assert sweep.time_ns[0] == STAMP_NS
    assert sweep.time_ns[-1] < STAMP_NS + 100_000_000
    middle = sweep.direction[len(sweep.direction) // 2]
    assert middle[0] > 0.9


def test_narrow_sweep_is_the_front_of_the_whole_one(drive, sweep):
    front = cast_sweep(
        drive.rig.lidar,
        STAMP_NS,
        lambda _: drive.scene_at(STAMP_NS),
        lambda _: drive.pose('lidar', STAMP_NS),
        half_view_rad=1.0,
    )
    ahead = np.abs(np.arctan2(sweep.direction[:, 1], sweep.direction[:, 0])) <= 1.0
    assert np.array_equal(front.range_m, sweep.range_m[ahead])
    assert np.array_equal(front.time_ns, sweep.time_ns[ahead])


def test_intensity_tells_paint_and_signs_from_asphalt(drive, sweep):
    bright = sweep.reflectivity * np.sqrt(np.clip(sweep.facing, 0, 1))
    near = sweep.range_m < 30
    road, line, sign = (
        np.median(bright[near & (sweep.label == label)]) for label in (ROAD, ROAD_LINE, SIGN)
    )
    assert line > 2 * road
    assert sign > line
    assert set(sweep.label[near]) >= {VEHICLE, PEDESTRIAN}


def test_cloud_keeps_ranges_and_times(drive, sweep):
    cloud = day_cloud(drive, sweep)
    assert cloud.xyz.dtype == cloud.intensity.dtype == np.float32
    assert len(cloud.xyz) == len(cloud.intensity) == len(cloud.time_ns) > 20_000
    assert np.linalg.norm(cloud.xyz, axis=1).max() < 91
    assert 0 <= cloud.intensity.min() <= cloud.intensity.max() <= 255


def test_fog_shortens_the_view_and_scatters_near_by(drive, sweep):
    clear, foggy = (
        np.linalg.norm(day_cloud(drive, sweep, name).xyz, axis=1) for name in ('day', 'fog')
    )
    assert np.percentile(foggy, 99) < np.percentile(clear, 99)
    assert (foggy < 3).sum() > 5 * (clear < 3).sum()


def test_jitter_moves_points_by_about_its_angle(drive, sweep):
    still, jittered = (
        day_cloud(drive, sweep, failure=failure)
        for failure in (Failure(), Failure('lidar_jitter', 1.0))
    )
    angles = [
        np.arctan2(c.xyz[:, 2], np.hypot(c.xyz[:, 0], c.xyz[:, 1])) for c in (still, jittered)
    ]
    assert len(np.unique(angles[0].round(4))) < 0.2 * len(np.unique(angles[1].round(4)))
