import cv2
from hypothesis import given
from hypothesis import strategies as st
import messages
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest

COEFFICIENTS = np.array([-0.2, 0.05, 0.001, -0.0015, -0.004])


def camera(distortion=COEFFICIENTS, size_hw=(320, 640), focal_px=320.0):
    height, width = size_hw
    matrix = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    return CameraModel(size_hw, matrix, distortion)


@given(st.integers(0, 2**32 - 1))
def test_project_agrees_with_opencv(seed):
    points = np.random.default_rng(seed).uniform([-8, -4, 5], [8, 4, 50], (20, 3))
    model = camera()
    expected, _ = cv2.projectPoints(
        points, np.zeros(3), np.zeros(3), model.matrix, model.distortion
    )
    np.testing.assert_allclose(model.project(points), expected[:, 0], atol=1e-9)


def test_rays_pass_through_their_pixels():
    model = camera()
    u, v = np.meshgrid(np.arange(640), np.arange(320))
    pixels = model.project(model.rays().reshape(-1, 3)).reshape(320, 640, 2)
    np.testing.assert_allclose(pixels, np.stack([u, v], axis=-1), atol=1e-6)


def test_scaling_keeps_image_borders():
    model = camera(np.zeros(5))
    small = model.scaled_to((160, 160))
    point = np.array([[1.0, 0.5, 4.0]])
    (u, v), (u_small, v_small) = model.project(point)[0], small.project(point)[0]
    assert (u_small + 0.5) / 160 == pytest.approx((u + 0.5) / 640)
    assert (v_small + 0.5) / 160 == pytest.approx((v + 0.5) / 320)


def test_view_limit_stops_before_the_polynomial_folds_back():
    folding = camera(np.array([-0.3, 0, 0, 0, 0]))
    assert folding.squared_radius_limit == pytest.approx(1 / 0.9)
    radius = np.linspace(0, np.sqrt(folding.squared_radius_limit), 50)
    points = np.stack([radius, np.zeros(50), np.ones(50)], axis=1)
    assert (np.diff(folding.project(points)[:, 0]) > 0).all()


def test_reads_camera_info():
    model = CameraModel.from_camera_info(messages.camera_info(), 'camera/camera_info')
    assert model.size_hw == (320, 640)
    assert model.matrix[0, 0] == 320


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'focal_px': 0.0}, r'expected a calibrated camera .* got K\[0\] = 0'),
        ({'model': 'equidistant'}, "expected distortion_model plumb_bob .* got 'equidistant'"),
        ({'distortion': (0.1, 0.2)}, 'with 2; recalibrate'),
        ({'size_hw': (0, 640)}, 'expected a positive image size, got 640 x 0'),
    ],
)
def test_refuses_camera_info(arguments, message):
    with pytest.raises(InputError, match=message):
        CameraModel.from_camera_info(messages.camera_info(**arguments), 'camera/camera_info')
