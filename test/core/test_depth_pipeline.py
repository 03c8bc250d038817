"""Bundles for depth and other aligned images, through the whole pipeline."""

from bundles import manifest_mapping
from mle_sam_ros.bags import messages
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.depth import _encode, GROUND, HhaProjector
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.inference import Inference
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.core.pipeline import Pipeline
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.core.warm_up import warm_up
import numpy as np
import pytest

MS = 1_000_000
NOW = 1_000_000_000_000
HW = (64, 128)
CAMERA = CameraModel(HW, np.array([[60.0, 0, 63.5], [0, 60, 31.5], [0, 0, 1]]), np.zeros(5))
CAMERA_FROM_GROUND = np.array([[0.0, -1, 0, 0], [0, 0, -1, 1.5], [1, 0, 0, 0], [0, 0, 0, 1]])
MODALITIES = ('camera', 'depth', 'nir', 'aolp')
RANDOM = np.random.default_rng(3)
IMAGES = {
    'camera': (RANDOM.integers(0, 256, (*HW, 3), np.uint8), 'rgb8'),
    'depth': (RANDOM.integers(500, 30_000, HW, np.uint16), '16UC1'),
    'nir': (RANDOM.integers(0, 256, HW, np.uint8), 'mono8'),
    'aolp': (RANDOM.uniform(-1, 1, HW).astype(np.float32), '32FC1'),
}


class Engine:
    def infer(self, rasters, present):
        labels = np.zeros(HW, np.uint8)
        return Inference(labels, labels, np.full((3, len(MODALITIES)), 0.25, np.float32), {})


def pipeline_with(calibration):
    mapping = {**manifest_mapping(HW, MODALITIES), 'files': {}}
    manifest = parse_manifest(mapping, 'manifest.json')
    return Pipeline(manifest, Engine(), calibration, RigSettings(), lambda: 0)


def image(name, stamp_ns=NOW, **changes):
    pixels, encoding = IMAGES[name]
    rows = pixels.view(np.uint8).reshape(HW[0], -1)
    message = messages.image(rows, 'mono8', stamp_ns, name)
    message.encoding, message.width = encoding, HW[1]
    for field, value in changes.items():
        setattr(message, field, value)
    return message


def prediction_of(pipeline, names=MODALITIES):
    for name in reversed(names):  # the camera last
        pipeline.receive(name, image(name), NOW + MS)
    return pipeline.run(pipeline.poll(NOW + 40 * MS))


def test_every_aligned_image_becomes_its_raster():
    pipeline = pipeline_with(Calibration({'camera': CAMERA}, {GROUND: CAMERA_FROM_GROUND}))
    prediction = prediction_of(pipeline)
    assert prediction.faults == {}
    assert prediction.present == set(MODALITIES)
    depth_m = IMAGES['depth'][0] * np.float32(1e-3)
    expected = {
        'camera': IMAGES['camera'][0],
        'depth': HhaProjector(CAMERA, CAMERA_FROM_GROUND).image(depth_m),
        'nir': np.repeat(IMAGES['nir'][0][:, :, None], 3, 2),
        'aolp': np.repeat(IMAGES['aolp'][0][:, :, None], 3, 2),
    }
    for name, raster in expected.items():
        np.testing.assert_array_equal(prediction.rasters[name], raster)
        assert prediction.rasters[name].dtype == raster.dtype


@pytest.mark.parametrize(
    ('calibration', 'message'),
    [
        (Calibration(), 'depth: expected the intrinsics of camera'),
        (Calibration({'camera': CAMERA}), r'ground: expected .* camera_from\.ground'),
        (
            Calibration({'camera': CAMERA.scaled_to((32, 64))}, {GROUND: CAMERA_FROM_GROUND}),
            'depth',
        ),
    ],
)
def test_depth_without_a_ground_is_absent_and_says_so(calibration, message):
    prediction = prediction_of(pipeline_with(calibration))
    assert prediction.present == set(MODALITIES) - {'depth'}
    with pytest.raises(InputError, match=message):
        raise InputError(prediction.faults['depth'])


def test_finished_hha_needs_no_calibration():
    pipeline = pipeline_with(Calibration())
    pixels = RANDOM.integers(0, 256, (*HW, 3), np.uint8)
    pipeline.receive('depth', messages.image(pixels, 'bgr8', NOW, 'camera'), NOW + MS)
    prediction = prediction_of(pipeline, ('camera',))
    np.testing.assert_array_equal(prediction.rasters['depth'], pixels[:, :, ::-1])


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('depth', {'encoding': 'mono8'}),
        ('depth', {'width': 1 << 31}),
        ('nir', {'encoding': '32FC1'}),
        ('aolp', {'encoding': 'mono8'}),
        ('aolp', {'height': 1 << 31, 'step': 1 << 31}),
    ],
)
def test_another_encoding_or_size_is_refused_on_arrival(name, changes):
    pipeline = pipeline_with(Calibration())
    with pytest.raises(InputError, match=f'{name}: expected'):
        pipeline.receive(name, image(name, **changes), NOW + MS)
    assert prediction_of(pipeline, ('camera',)).present == {'camera'}


def test_the_kernel_of_depth_is_compiled_beforehand():
    manifest = parse_manifest({**manifest_mapping(HW, ('depth',)), 'files': {}}, 'manifest.json')
    warm_up(manifest)
    num_compiled = len(_encode.signatures)
    pipeline = pipeline_with(Calibration({'camera': CAMERA}, {GROUND: CAMERA_FROM_GROUND}))
    assert 'depth' in prediction_of(pipeline).present
    assert len(_encode.signatures) == num_compiled
