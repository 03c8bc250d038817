from dataclasses import replace

import cv2
from hypothesis import given
from hypothesis import strategies as st
import messages
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.lens import distort, fold_of, undistort
import numpy as np
import pytest

COEFFICIENTS = np.array([-0.2, 0.05, 0.001, -0.0015, -0.004])


def camera(distortion=COEFFICIENTS, size_hw=(320, 640), focal_px=320.0):
    height, width = size_hw
    matrix = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    return CameraModel(size_hw, matrix, distortion)


LENSES = {
    'plumb_bob': COEFFICIENTS,
    'rational_polynomial': np.array([0.3, -0.1, 0.001, -5e-4, 0.002, 0.5, -0.05, 0.001]),
    'equidistant': np.array([-0.02, 0.005, -0.003, 0.0004]),
}


def camera_with(lens):
    return replace(camera(), distortion=LENSES[lens], distortion_model=lens)


def opencv_pixels(model, points):
    arguments = np.zeros(3), np.zeros(3), model.matrix, model.distortion
    if model.distortion_model == 'equidistant':
        return cv2.fisheye.projectPoints(points[:, None], *arguments)[0][:, 0]
    return cv2.projectPoints(points, *arguments)[0][:, 0]


@given(st.sampled_from(list(LENSES)), st.integers(0, 2**32 - 1))
def test_project_agrees_with_opencv(lens, seed):
    points = np.random.default_rng(seed).uniform([-8, -4, 5], [8, 4, 50], (20, 3))
    model = camera_with(lens)
    np.testing.assert_allclose(model.project(points), opencv_pixels(model, points), atol=1e-9)


@pytest.mark.parametrize('lens', LENSES)
def test_rays_pass_through_their_pixels(lens):
    model = camera_with(lens)
    u, v = np.meshgrid(np.arange(640), np.arange(320))
    rays = model.rays()
    has_ray = np.isfinite(rays[:, :, 0])
    assert has_ray[30:-30, 60:-60].all()
    pixels = model.project(rays.reshape(-1, 3)).reshape(320, 640, 2)
    np.testing.assert_allclose(pixels[has_ray], np.stack([u, v], axis=-1)[has_ray], atol=1e-6)


def test_a_fisheye_sees_no_ray_from_behind():
    model = CameraModel(
        (400, 400), np.array([[100.0, 0, 199.5], [0, 100, 199.5], [0, 0, 1]]), np.zeros(4),
        'equidistant',
    )  # fmt: skip
    angle = np.hypot(*(np.indices((400, 400)) - 199.5)) / 100
    np.testing.assert_array_equal(np.isfinite(model.rays()[:, :, 0]), angle < np.pi / 2)
    assert model.squared_radius_limit == np.inf


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


@given(
    st.sampled_from(list(LENSES)),
    st.lists(st.floats(-0.5, 0.5), min_size=8, max_size=8),
    st.floats(0, 2 * np.pi),
)
def test_no_radius_within_the_limit_is_past_the_fold(lens, values, direction):
    size = len(LENSES[lens])
    fold = fold_of(list(LENSES).index(lens), np.pad(np.array(values[:size]), (0, 8 - size)))
    distortion = np.array(values[:size])
    if lens != 'equidistant':
        distortion[2:4] = 0  # the radial part alone decides
    model = replace(camera(), distortion=distortion, distortion_model=lens)
    radius = np.linspace(0, np.sqrt(min(fold, 1e4)) * (1 - 1e-6), 200)
    points = np.stack([radius * np.cos(direction), radius * np.sin(direction), np.ones(200)], 1)
    pixels = (model.project(points) - model.matrix[:2, 2]) / 320
    assert (np.diff(np.hypot(*pixels.T)) > -1e-9).all()


@pytest.mark.parametrize('lens', LENSES)
def test_every_point_within_the_limit_comes_back(lens):
    model = camera_with(lens)
    radius = 0.99 * np.sqrt(model.squared_radius_limit) * np.linspace(0, 1, 50)
    angle = np.linspace(0, 6, 50)
    ideal = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    distorted = np.array([distort(model.lens_kind, model.coefficients, x, y) for x, y in ideal])
    again = undistort(model.lens_kind, model.coefficients, np.inf, distorted)
    np.testing.assert_allclose(again, ideal, atol=1e-5)


def test_reads_camera_info():
    model = CameraModel.from_camera_info(messages.camera_info(), 'camera/camera_info')
    assert model.size_hw == (320, 640)
    assert model.matrix[0, 0] == 320


@pytest.mark.parametrize(
    ('model', 'd', 'expected_model', 'expected'),
    [
        ('plumb_bob', (), 'plumb_bob', np.zeros(5)),
        ('', (0.0,) * 4, 'plumb_bob', np.zeros(5)),
        ('plumb_bob', (0.1, 0.2, 0.3, 0.4), 'plumb_bob', [0.1, 0.2, 0.3, 0.4, 0]),
        ('plumb_bob', (0.1, 0, 0, 0, 0, 0, 0, 0), 'plumb_bob', [0.1, 0, 0, 0, 0]),
        ('rational_polynomial', (0.1,) * 8 + (0,) * 6, 'rational_polynomial', [0.1] * 8),
        ('equidistant', (0.0,) * 4, 'equidistant', np.zeros(4)),
    ],
)
def test_reads_distortion(model, d, expected_model, expected):
    info = messages.camera_info(distortion=d, model=model)
    read = CameraModel.from_camera_info(info, 'camera/camera_info')
    assert read.distortion_model == expected_model
    np.testing.assert_array_equal(read.distortion, expected)


def test_a_region_of_interest_binned_sees_what_the_whole_camera_sees():
    lens = {'distortion': tuple(COEFFICIENTS)}
    whole = CameraModel.from_camera_info(messages.camera_info(**lens), 'info')
    info = messages.camera_info(**lens, roi=(40, 20, 401, 202), binning=(4, 2))
    part = CameraModel.from_camera_info(info, 'info')
    assert part.size_hw == (101, 100)
    points = np.array([[0.5, 0.2, 4.0], [-1, -0.5, 6]])
    # Its pixel (0, 0) holds columns 40 to 43 and rows 20 and 21: edges count, not centres.
    expected = (whole.project(points) + 0.5 - [40, 20]) / [4, 2] - 0.5
    np.testing.assert_allclose(part.project(points), expected)


def test_a_rectified_image_is_projected_by_p_and_r():
    turn = cv2.Rodrigues(np.array([0.02, -0.01, 0.03]))[0]
    info = messages.camera_info(distortion=tuple(COEFFICIENTS), rotation=turn.ravel())
    model = CameraModel.from_camera_info(info, 'info', rectified=True)
    points = np.array([[0.5, 0.2, 4.0], [-1, -0.5, 6]])
    homogeneous = points @ turn.T @ np.reshape(info.p, (3, 4))[:, :3].T
    np.testing.assert_allclose(model.project(points), homogeneous[:, :2] / homogeneous[:, 2:])
    pixels = model.project(model.rays().reshape(-1, 3)).reshape(320, 640, 2)
    np.testing.assert_allclose(pixels[7, 9], [9, 7], atol=1e-9)
    second = messages.camera_info(second_camera=-32.0)
    with pytest.raises(InputError, match='second camera of a stereo pair'):
        CameraModel.from_camera_info(second, 'info', rectified=True)


@pytest.mark.parametrize('lens', LENSES)
def test_says_as_camera_info_what_it_read(lens):
    model = camera_with(lens)
    info = messages.camera_info()
    vars(info).update(model.camera_info_fields())
    assert CameraModel.from_camera_info(info, 'info').agrees_with(model)


def test_images_of_another_size_are_refused():
    camera().check_image_size((320, 640), 'lidar')
    with pytest.raises(InputError, match=r'lidar: expected images of 640 x 320 .* got 320 x 240'):
        camera().check_image_size((240, 320), 'lidar')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'focal_px': 0.0}, r'expected a calibrated camera .* got K\[0\] = 0'),
        ({'distortion': (0.1,) * 5, 'model': 'kannala'}, "plumb_bob .* got 'kannala' with 5"),
        ({'distortion': (0.1,) * 5, 'model': 'equidistant'}, "got 'equidistant' with 5"),
        ({'distortion': (0.1, 0.2)}, 'with 2; recalibrate'),
        ({'distortion': (np.nan,) * 5}, 'camera_info: camera: expected finite intrinsics'),
        ({'roi': (600, 0, 100, 10)}, r'within 640 x 320 .* got 100 x 10 at \(600, 0\)'),
        ({'roi': (0, 0, 10, 1), 'binning': (2, 2)}, 'got 10 x 1 .* binned 2 x 2'),
        ({'size_hw': (2**31, 2**31)}, 'expected a size of 1 to 67108864 pixels'),
        ({'size_hw': (0, 640)}, 'expected a positive image size, got 640 x 0'),
    ],
)
def test_refuses_camera_info(arguments, message):
    with pytest.raises(InputError, match=message):
        CameraModel.from_camera_info(messages.camera_info(**arguments), 'camera/camera_info')


@given(
    st.lists(st.floats(), min_size=5, max_size=5),
    st.lists(st.floats(), max_size=8),
    st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant', '']),
    st.lists(st.integers(0, 20), min_size=6, max_size=6),
    st.booleans(),
)
def test_any_camera_info_is_a_camera_or_an_error(values, d, model, window, rectified):
    info = messages.camera_info(
        size_hw=(8, 10), distortion=d, model=model, roi=window[:4], binning=window[4:]
    )
    fx, skew, cx, fy, cy = values
    info.k = [fx, skew, cx, 0, fy, cy, 0, 0, 1]
    info.p = [fx, skew, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0]
    try:
        read = CameraModel.from_camera_info(info, 'info', rectified)
    except InputError:
        return
    with np.errstate(all='ignore'):
        assert read.squared_radius_limit >= 0
        assert read.rays().shape == (*read.size_hw, 3)
        assert read.project(np.ones((2, 3))).shape == (2, 2)
