from types import SimpleNamespace

import messages
from messages import FLOAT32, UINT8, UINT16, UINT32
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.inference import Inference
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.core.pipeline import Pipeline
from mle_sam_ros.core.settings import RigSettings
import numpy as np
import pytest
from test_manifest import MANIFEST

MS = 1_000_000
START = 1_000_000 * MS
INFO = messages.camera_info()
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


class RecordingEngine:
    """Answers class 0 everywhere and remembers what it was asked."""

    def __init__(self):
        self.requests = []

    def infer(self, rasters, present):
        self.requests.append((dict(rasters), present))
        label_map = np.zeros((64, 128), np.uint8)
        return Inference(label_map, label_map + 200, np.zeros((3, 3), np.float32), {'encode': 1.0})


@pytest.fixture
def engine():
    return RecordingEngine()


@pytest.fixture
def pipeline(engine):
    camera = CameraModel.from_camera_info(INFO, 'camera_info')
    calibration = Calibration(
        {'camera': camera, 'event': camera},
        {'lidar': CAMERA_FROM_LIDAR, 'event': np.eye(4)},
    )
    ticks = iter(range(0, 10**12, MS))
    manifest = parse_manifest(MANIFEST, 'manifest.json')
    return Pipeline(manifest, engine, calibration, RigSettings(), lambda: next(ticks))


def image(stamp_ns, **changes):
    message = messages.image(np.full((320, 640, 3), 90, np.uint8), stamp_ns=stamp_ns)
    vars(message).update(changes)
    return message


def sweep(stamp_ns):
    columns = {'x': (FLOAT32, 0, [10]), 'y': (FLOAT32, 4, [1]), 'z': (FLOAT32, 8, [0])}
    return messages.cloud(columns, stamp_ns)


def events(stamp_ns):
    """One positive event exactly at the stamp."""
    columns = {
        'x': (UINT16, 0, [320]),
        'y': (UINT16, 2, [160]),
        't': (UINT32, 4, [0]),
        'p': (UINT8, 8, [1]),
    }
    return messages.cloud(columns, stamp_ns)


def test_a_complete_instant(pipeline, engine):
    pipeline.receive('event', events(START - 10 * MS), START - 8 * MS)
    pipeline.receive('lidar', sweep(START - 90 * MS), START - 5 * MS)
    pipeline.receive('camera', image(START), START + 3 * MS)
    assert pipeline.poll(START + 3 * MS) is None  # the events do not cover the instant yet
    pipeline.receive('event', events(START), START + 4 * MS)
    prediction = pipeline.run(pipeline.poll(START + 4 * MS))

    rasters, present = engine.requests[0]
    assert present == prediction.present == {'camera', 'event', 'lidar'}
    assert rasters['camera'].shape == (64, 128, 3)
    assert rasters['event'][:, :, 0].sum() == 2
    assert rasters['lidar'][:, :, 0].max() == pytest.approx(np.sqrt(101))
    assert prediction.stamp_ns == START
    assert prediction.frame_id == 'camera_optical_frame'
    assert prediction.label_map.shape == prediction.confidence.shape == (320, 640)
    assert prediction.ages_ns == {'camera': 0, 'event': 0, 'lidar': 40 * MS}
    assert set(prediction.timings_ms) >= {'decode', 'project', 'infer', 'infer/encode', 'resize'}
    assert not prediction.faults
    assert pipeline.account.emitted == 1


def test_of_several_complete_sets_the_newest_is_run(pipeline):
    for i in range(4):
        pipeline.receive('camera', image(START + i * 50 * MS), START + i * 50 * MS)
    sensor_set = pipeline.poll(START + 150 * MS)
    assert sensor_set.stamp_ns == START + 150 * MS
    assert pipeline.poll(START + 150 * MS) is None
    account = pipeline.account
    assert (account.received, account.emitted, account.superseded) == (4, 1, 3)
    assert account.balanced


def test_unreadable_frames_are_rejected_with_a_reason(pipeline):
    with pytest.raises(InputError, match=r"camera: expected encoding .* got 'yuv'"):
        pipeline.receive('camera', image(START, encoding='yuv'), START)
    with pytest.raises(InputError, match='camera: expected 614400 bytes'):
        pipeline.receive('camera', image(START, data=b''), START)
    assert pipeline.account.rejected == {'unreadable': 2}
    assert pipeline.account.balanced


def test_unreadable_cloud_costs_the_lidar_not_the_mask(pipeline):
    broken = sweep(START - 90 * MS)
    broken.point_step = 8
    with pytest.raises(InputError, match='lidar: expected point_step >= 12'):
        pipeline.receive('lidar', broken, START)
    pipeline.receive('camera', image(START), START)
    assert pipeline.run(pipeline.poll(START + 30 * MS)).present == {'camera'}


def test_missing_calibration_costs_the_lidar_not_the_mask(engine):
    manifest = parse_manifest(MANIFEST, 'manifest.json')
    pipeline = Pipeline(manifest, engine, Calibration(), RigSettings(), lambda: 0)
    pipeline.receive('lidar', sweep(START - 90 * MS), START)
    pipeline.receive('camera', image(START), START)
    prediction = pipeline.run(pipeline.poll(START + 30 * MS))
    assert prediction.present == {'camera'}
    expected = 'lidar: expected a calibration, got none for intrinsics of camera and camera_from'
    assert expected in prediction.faults['lidar']

    pipeline.receive('camera_info', INFO, START + 31 * MS)
    assert "no transform from 'lidar_frame' to 'camera_optical_frame'" in (
        pipeline.projection.missing('lidar')
    )
    place = ('camera_optical_frame', 'lidar_frame', (0, 0, 0), (0.5, -0.5, 0.5, 0.5))
    pipeline.receive('tf_static', messages.transforms(place), START + 32 * MS)
    pipeline.receive('camera', image(START + 50 * MS), START + 50 * MS)
    prediction = pipeline.run(pipeline.poll(START + 80 * MS))
    assert prediction.present == {'camera', 'lidar'}


def test_a_camera_image_damaged_inside_leaves_the_other_sensors(pipeline, engine):
    message = messages.compressed_image(np.zeros((320, 640, 3), np.uint8), '.png', 'png', START)
    message.data = message.data[:60] + bytes(40) + message.data[100:]
    pipeline.receive('lidar', sweep(START - 90 * MS), START - 5 * MS)
    pipeline.receive('camera', message, START + 3 * MS)
    prediction = pipeline.run(pipeline.poll(START + 90 * MS))
    assert prediction.present == {'lidar'}
    assert 'camera: expected a JPEG or PNG that can be unpacked' in prediction.faults['camera']
    assert prediction.label_map.shape == (320, 640)


def test_images_of_another_size_than_calibrated_go_without_projection(pipeline, engine):
    small = messages.image(np.zeros((240, 320, 3), np.uint8), stamp_ns=START)
    pipeline.receive('lidar', sweep(START - 90 * MS), START - 5 * MS)
    pipeline.receive('camera', small, START + 3 * MS)
    prediction = pipeline.run(pipeline.poll(START + 90 * MS))
    assert prediction.present == {'camera'}
    assert (
        'images of 640 x 320 as the calibration says, got 320 x 240'
        in (prediction.faults['lidar'])
    )


def test_a_given_calibration_wins_over_camera_info(pipeline):
    before = pipeline.projection.camera
    pipeline.receive('camera_info', messages.camera_info(focal_px=999.0), START)
    pipeline.receive('camera_info', messages.camera_info(focal_px=0.0), START)
    assert pipeline.projection.camera is before


def test_without_camera_the_mask_has_the_camera_size(pipeline):
    for i in range(3):
        pipeline.receive('camera', image(START + i * 50 * MS), START + i * 50 * MS)
    pipeline.poll(START + 100 * MS)
    pipeline.receive('lidar', sweep(START + 300 * MS), START + 399 * MS)
    sensor_set = pipeline.poll(START + 420 * MS)
    prediction = pipeline.run(sensor_set)
    assert prediction.present == {'lidar'}
    assert prediction.image is None
    assert prediction.label_map.shape == (320, 640)
    assert prediction.frame_id == 'camera_optical_frame'
    assert (prediction.stamp_ns - START) % (50 * MS) == 0
    assert pipeline.account.without_camera > 0
    assert pipeline.account.balanced


def test_nothing_usable_is_an_error_and_counted(engine):
    manifest = parse_manifest(MANIFEST | {'modalities': MANIFEST['modalities'][1:]}, 'm.json')
    pipeline = Pipeline(manifest, engine, Calibration(), RigSettings(), lambda: 0)
    pipeline.receive('camera', image(START), START)
    sensor_set = pipeline.poll(START + 30 * MS)
    with pytest.raises(InputError, match='expected at least one that can be used'):
        pipeline.run(sensor_set)
    assert pipeline.account.rejected == {'no_usable_sensor': 1}
    assert pipeline.account.balanced


def test_engine_failure_rejects_the_frame_and_the_next_one_runs(pipeline, engine):
    works, engine.infer = engine.infer, None
    pipeline.receive('camera', image(START), START)
    with pytest.raises(TypeError):
        pipeline.run(pipeline.poll(START + 30 * MS))
    assert pipeline.account.rejected == {'engine_failed': 1}
    engine.infer = works
    pipeline.receive('camera', image(START + 50 * MS), START + 50 * MS)
    pipeline.run(pipeline.poll(START + 80 * MS))
    assert pipeline.account.emitted == 1
    assert pipeline.account.balanced


def test_event_packets_are_told_from_clouds(pipeline):
    word = (1 | 1 << 1 | 160 << 2 | 320 << 17).to_bytes(8, 'little')
    packet = SimpleNamespace(
        header=messages.header(START), height=320, width=640, seq=1, time_base=START - MS,
        encoding='libcaer', is_bigendian=False, events=word,
    )  # fmt: skip
    pipeline.receive('event', packet, START)
    pipeline.receive('camera', image(START), START)
    assert pipeline.run(pipeline.poll(START + 30 * MS)).present == {'camera', 'event'}


def test_event_packets_of_another_size_than_the_calibration_are_a_fault(pipeline):
    packet = SimpleNamespace(
        header=messages.header(START), height=720, width=1280, seq=1, time_base=START - MS,
        encoding='mono', is_bigendian=False, events=bytes(8),
    )  # fmt: skip
    with pytest.raises(InputError, match='calibrated 640 x 320 pixels, got packets of 1280 x 720'):
        pipeline.receive('event', packet, START)
    counters = pipeline.input_counters()['event']
    assert counters['packets'] == counters['rejected_packets'] == 1
