import copy
from dataclasses import replace

import messages
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import EMPTY
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.core.warm_up import warm_up
import numpy as np
import pytest
from test_manifest import ALIGNED, MANIFEST

CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
POINT = PointCloud(np.array([[10, 0, 0]], np.float32), np.array([5], np.float32))


def camera(focal_px=320.0):
    matrix = np.array([[focal_px, 0, 319.5], [0, focal_px, 159.5], [0, 0, 1]])
    return CameraModel((320, 640), matrix, np.zeros(5))


@pytest.fixture
def projection():
    manifest = parse_manifest(MANIFEST, 'manifest.json')
    cameras = {'camera': camera(), 'event': camera()}
    return Projection(
        manifest, Calibration(cameras, {'lidar': CAMERA_FROM_LIDAR, 'event': np.eye(4)})
    )


@pytest.fixture
def hearing():
    """A projection that knows the LiDAR's place from /tf_static."""
    manifest = parse_manifest(MANIFEST, 'manifest.json')
    projection = Projection(manifest, Calibration({'camera': camera()}))
    projection.rig.hear_frame('camera', 'camera')
    projection.rig.hear_frame('lidar', 'laser')
    projection.rig.receive('tf_static', place(0.0))
    return projection


def place(right_m):
    """CAMERA_FROM_LIDAR, moved to the right."""
    return messages.transforms(('camera', 'laser', (right_m, 0, 0), (0.5, -0.5, 0.5, 0.5)))


def test_rasters_have_the_size_and_type_of_the_encoding(projection):
    image = np.zeros((320, 640, 3), np.uint8)
    for modality, data, dtype in [
        ('camera', image, np.uint8), ('event', EMPTY, np.uint8), ('lidar', POINT, np.float32),
    ]:  # fmt: skip
        raster = projection.raster(modality, data)
        assert (raster.shape, raster.dtype) == ((64, 128, 3), dtype)


@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
def test_aligned_images_need_no_calibration(dtype):
    mapping = copy.deepcopy(MANIFEST)
    mapping['modalities'][1]['encoding'] = ALIGNED | {'dtype': dtype}
    mapping['modalities'][2] |= {'name': 'depth', 'encoding': {'kind': 'depth_hha'}}
    manifest = parse_manifest(mapping, 'manifest.json')
    projection = Projection(manifest, Calibration())
    image = np.zeros((128, 256, 3), np.uint8)
    image[1, 1] = 200  # a pixel that nearest leaves and area dilutes
    event = projection.raster('event', image.astype(dtype))
    assert (event.shape, event.dtype, event[0, 0, 0]) == ((64, 128, 3), dtype, 200)
    depth = projection.raster('depth', image)
    assert (depth.shape, depth.dtype, depth[0, 0, 0]) == ((64, 128, 3), np.uint8, 50)
    with pytest.raises(InputError, match=r'depth: expected an aligned image .* uint8'):
        projection.raster('depth', image.astype(np.float32))
    warm_up(manifest)


def test_a_new_calibration_moves_the_points(hearing):
    projection = hearing

    def column():
        return np.unravel_index(projection.raster('lidar', POINT)[:, :, 0].argmax(), (64, 128))[1]

    before = column()
    projection.rig.receive('tf_static', place(2.0))
    after = column()
    assert after > before
    projection.set_camera('camera', camera(640.0))
    assert column() > after


def test_a_sweep_is_projected_once_until_the_calibration_changes(hearing):
    projection = hearing
    first = projection.raster('lidar', POINT)
    assert projection.raster('lidar', POINT) is first
    again = replace(POINT)
    second = projection.raster('lidar', again)
    assert second is not first
    np.testing.assert_array_equal(second, first)
    for change in (
        lambda: projection.rig.receive('tf_static', place(1.0)),
        lambda: projection.set_camera('camera', camera(640.0)),
    ):
        known = projection.raster('lidar', again)
        change()
        assert projection.raster('lidar', again) is not known


@pytest.mark.parametrize(
    ('calibration', 'modality', 'lack'),
    [
        (Calibration(), 'lidar', 'intrinsics of camera and camera_from.lidar'),
        (Calibration({'camera': camera()}), 'lidar', 'camera_from.lidar'),
        (Calibration({'camera': camera()}), 'event', 'intrinsics of event and camera_from.event'),
    ],
)
def test_nothing_is_assumed(calibration, modality, lack):
    projection = Projection(parse_manifest(MANIFEST, 'manifest.json'), calibration)
    assert lack in projection.missing(modality)
    with pytest.raises(InputError, match='expected a calibration'):
        projection.raster(modality, POINT)
    assert projection.missing('camera') is None
