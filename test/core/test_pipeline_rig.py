"""The pipeline with several LiDARs, other modalities, and a vehicle that moves."""

import copy

import messages
from messages import FLOAT32
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.inference import Inference
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.core.pipeline import Pipeline
from mle_sam_ros.core.settings import RigSettings
import numpy as np
import pytest
from test_manifest import ALIGNED, MANIFEST
from test_rig import odometry, START

MS = 1_000_000
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
TO_THE_LEFT = CAMERA_FROM_LIDAR - np.outer([1, 0, 0, 0], [0, 0, 0, 5.0])
CAMERA = CameraModel.from_camera_info(messages.camera_info(), 'camera_info')


class Silent:
    def infer(self, rasters, present):
        label_map = np.zeros((64, 128), np.uint8)
        return Inference(label_map, label_map, np.zeros((3, len(rasters)), np.float32), {})


def pipeline_of(manifest=MANIFEST, camera_from=None, **options):
    return Pipeline(
        parse_manifest(manifest, 'manifest.json'),
        Silent(),
        Calibration({'camera': CAMERA, 'event': CAMERA}, camera_from or {}),
        RigSettings(**options),
        lambda: 0,
    )


def image(time_ms, encoding='rgb8'):
    pixels = np.full((320, 640, 3) if encoding == 'rgb8' else (320, 640), 90, np.uint8)
    return messages.image(pixels, encoding, stamp_ns=START + time_ms * MS)


def sweep(time_ms, left_m=1.0, offsets_ms=None):
    """Returns 10 m ahead; with times where their offsets from the stamp are given."""
    count = 1 if offsets_ms is None else len(offsets_ms)
    columns = {
        'x': (FLOAT32, 0, [10] * count),
        'y': (FLOAT32, 4, [left_m] * count),
        'z': (FLOAT32, 8, np.arange(count)),
    }
    if offsets_ms is not None:
        columns['time'] = (FLOAT32, 12, np.array(offsets_ms) * 1e-3)
    return messages.cloud(columns, START + time_ms * MS)


def run(pipeline, time_ms):
    return pipeline.run(pipeline.poll(START + time_ms * MS))


def columns_of(raster):
    """Columns of the middle of each return."""
    return sorted(set((np.flatnonzero(raster[:, :, 0].any(axis=0)))[1::3].tolist()))


@pytest.fixture
def two_lidars():
    places = {'lidar': CAMERA_FROM_LIDAR, 'lidar_2': TO_THE_LEFT, 'event': np.eye(4)}
    return pipeline_of(camera_from=places, num_lidars=2)


def test_two_lidars_fall_on_one_raster(two_lidars):
    two_lidars.receive('lidar', sweep(-90), START)
    two_lidars.receive('lidar_2', sweep(-60), START)
    two_lidars.receive('camera', image(0), START)
    prediction = run(two_lidars, 30)
    assert columns_of(prediction.rasters['lidar']) == [25, 57]  # 6 m to the left, and 1 m
    assert [part.stream for part in prediction.sweeps] == ['lidar', 'lidar_2']
    assert prediction.ages_ns['lidar'] == 10 * MS  # of the nearer one
    assert prediction.ages_ns['lidar_2'] == 10 * MS


def test_one_of_two_lidars_is_enough(two_lidars):
    two_lidars.receive('lidar_2', sweep(-60), START)
    two_lidars.receive('camera', image(0), START)
    prediction = run(two_lidars, 30)
    assert prediction.present == {'camera', 'lidar'}
    assert columns_of(prediction.rasters['lidar']) == [25]
    assert prediction.ages_ns['lidar'] == 10 * MS


def test_a_lidar_that_is_nowhere_leaves_the_other():
    pipeline = pipeline_of(camera_from={'lidar': CAMERA_FROM_LIDAR}, num_lidars=2)
    pipeline.receive('lidar', sweep(-90), START)
    pipeline.receive('lidar_2', sweep(-60), START)
    pipeline.receive('camera', image(0), START)
    prediction = run(pipeline, 30)
    assert columns_of(prediction.rasters['lidar']) == [57]
    lack = "camera_from.lidar_2 (no transform from 'lidar_frame' to 'camera_optical_frame')"
    assert lack in prediction.faults['lidar_2']
    assert prediction.faults['lidar_2'] == pipeline.projection.missing('lidar_2')
    assert pipeline.account.balanced


def with_modalities(*items):
    mapping = copy.deepcopy(MANIFEST)
    normal = {'mean': [0, 0, 0], 'std': [1, 1, 1]}
    mapping['modalities'] += [{'name': n, 'encoding': e, **normal} for n, e in items]
    return mapping


def test_camera_depth_events_and_lidar():
    """As in DELIVER."""
    manifest = with_modalities(('depth', {'kind': 'depth_hha'}))
    places = {'lidar': CAMERA_FROM_LIDAR, 'event': np.eye(4)}
    pipeline = pipeline_of(manifest, camera_from=places)
    pipeline.receive('lidar', sweep(-90), START)
    pipeline.receive('depth', image(-10), START)
    pipeline.receive('camera', image(0), START)
    prediction = run(pipeline, 30)
    assert prediction.present == {'camera', 'depth', 'lidar'}
    assert prediction.ages_ns['depth'] == 10 * MS
    pipeline.receive('camera', image(100), START + 100 * MS)
    assert 'depth' not in run(pipeline, 130).present  # 110 ms old


def test_camera_and_images_aligned_with_it():
    """As in MCubeS."""
    names = ('aolp', 'dolp', 'nir')
    manifest = with_modalities(*((name, ALIGNED) for name in names))
    manifest['modalities'] = [manifest['modalities'][0], *manifest['modalities'][3:]]
    pipeline = pipeline_of(manifest)
    for name in names:
        pipeline.receive(name, image(-5, 'mono8'), START)
    pipeline.receive('camera', image(0), START)
    prediction = run(pipeline, 30)
    assert prediction.present == {'camera', *names}
    assert prediction.rasters['nir'].shape == (64, 128, 3)


@pytest.mark.parametrize(
    ('stamp_ms', 'offsets_ms', 'age_ms'),
    [
        (-90, None, 40),  # stamped at its start, as most drivers do
        (-90, [0, 60], 60),  # a revolution of 60 ms, stamped at its start
        (10, [-100, -50, 0], 40),  # stamped at its end, as Velodyne's is
    ],
)
def test_a_sweep_is_as_old_as_its_middle(two_lidars, stamp_ms, offsets_ms, age_ms):
    two_lidars.receive('lidar', sweep(stamp_ms, offsets_ms=offsets_ms), START)
    two_lidars.receive('camera', image(0), START)
    age_ns = run(two_lidars, 30).ages_ns['lidar']
    assert age_ns == pytest.approx(age_ms * MS, abs=10)  # times are of single precision


@pytest.fixture
def driving():
    """With odometry of a base that stands where the camera does, looking ahead."""
    places = {'lidar': CAMERA_FROM_LIDAR, 'event': np.eye(4), 'base': CAMERA_FROM_LIDAR}
    return pipeline_of(camera_from=places, motion='odometry')


def test_points_are_where_they_are_at_the_exposure(driving):
    for time in range(-200, 1, 20):
        driving.receive('odometry', odometry(time), START + time * MS)
    driving.receive('lidar', sweep(-100, left_m=-2, offsets_ms=[0, 100]), START)
    driving.receive('camera', image(0), START)
    prediction = run(driving, 30)
    # Ten metres ahead, 100 ms ago at 20 m/s, is eight metres now.
    assert columns_of(prediction.rasters['lidar']) == [76, 80]
    (placed,) = prediction.sweeps
    assert placed.is_moved
    assert prediction.rasters['lidar'][:, :, 0].max() == pytest.approx(np.sqrt(105))  # as measured
    assert not prediction.faults
    assert driving.input_counters()['odometry'] == {'moved': 1, 'unmoved': 0}


def test_a_sweep_without_usable_times_is_moved_as_a_whole_and_it_is_said(driving):
    for time in range(-200, 1, 20):
        driving.receive('odometry', odometry(time), START + time * MS)
    driving.receive('lidar', sweep(-100, left_m=-2, offsets_ms=[0, 900]), START)
    driving.receive('camera', image(0), START)
    prediction = run(driving, 30)
    assert len(columns_of(prediction.rasters['lidar'])) == 1
    assert prediction.sweeps[0].is_moved
    assert 'expected time to span 1 us to 0.5 s' in prediction.faults['odometry']
    assert driving.input_counters()['lidar'] == {'unusable_times': 1}


def test_without_odometry_points_stay_and_it_is_said(driving):
    driving.receive('lidar', sweep(-100, left_m=-2, offsets_ms=[0, 100]), START)
    driving.receive('camera', image(0), START)
    prediction = run(driving, 30)
    assert 'lidar' in prediction.present
    assert columns_of(prediction.rasters['lidar']) == [76]
    assert 'motion: expected it' in prediction.faults['odometry']
    assert driving.input_counters()['odometry'] == {'moved': 0, 'unmoved': 1}


def test_what_arrives_after_a_set_was_due_does_not_change_it(driving):
    def drive(is_busy):
        pipeline = pipeline_of(
            camera_from={'lidar': CAMERA_FROM_LIDAR, 'base': CAMERA_FROM_LIDAR},
            motion='odometry',
        )
        for time in range(-200, 1, 20):
            pipeline.receive('odometry', odometry(time), START + time * MS)
        pipeline.receive('lidar', sweep(-100, offsets_ms=[0, 100]), START + MS)
        pipeline.receive('camera', image(5), START + 6 * MS)
        prompt = None if is_busy else pipeline.poll(START + 36 * MS)
        pipeline.receive('odometry', odometry(40, speed=30.0), START + 40 * MS)
        return pipeline.run(prompt or pipeline.poll(START + 41 * MS))

    (prompt,), (late,) = drive(False).sweeps, drive(True).sweeps
    np.testing.assert_array_equal(prompt.camera_from_lidar, late.camera_from_lidar)


def test_a_sweep_that_nothing_moves_keeps_its_raster(two_lidars):
    two_lidars.receive('lidar', sweep(-90), START)
    rasters = []
    for time in (0, 50):
        two_lidars.receive('camera', image(time), START + time * MS)
        rasters.append(run(two_lidars, time + 30).rasters['lidar'])
    assert rasters[0] is rasters[1]
