"""Depth images and HHA, against a slow reference and scenes whose answer is known."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mle_sam_ros.core.aligned_image import decode_aligned_image
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.depth import check_depth_image, decode_depth_image, HhaProjector
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest

HW = (24, 32)
CAMERA = CameraModel(HW, np.array([[20.0, 0, 15.5], [0, 20, 11.5], [0, 0, 1]]), np.zeros(5))
LENS = CameraModel(
    HW,
    np.array([[20.0, 0, 15.5], [0, 20, 11.5], [0, 0, 1]]),
    np.array([-0.1, 0.02, 0.001, -0.001, 0]),
)
# A level camera 1.5 m above the ground: ground x forward, y left, z up.
CAMERA_FROM_GROUND = np.array([[0.0, -1, 0, 0], [0, 0, -1, 1.5], [1, 0, 0, 0], [0, 0, 0, 1]])


def hha_image(depth_m, camera, camera_from_ground):
    return HhaProjector(camera, camera_from_ground).image(depth_m)


def tilted(degrees):
    """The level camera, nose down."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    down = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    return down @ CAMERA_FROM_GROUND


def reference(depth_m, camera, camera_from_ground):
    """HHA pixel by pixel, in float64."""
    rays = camera.rays()
    points = rays / rays[:, :, 2:] * depth_m[:, :, None]
    ground_from_camera = np.linalg.inv(camera_from_ground)
    gravity = -ground_from_camera[2, :3]
    hha = np.zeros((*depth_m.shape, 3))
    for row, column in np.ndindex(*depth_m.shape):
        point = points[row, column]
        if not point[2] > 0:
            continue
        height_m = (ground_from_camera @ [*point, 1])[2]
        hha[row, column, :2] = 310 / point[2], 100 * height_m
        if 2 <= row < depth_m.shape[0] - 2 and 2 <= column < depth_m.shape[1] - 2:
            across = points[row, column + 2] - points[row, column - 2]
            down = points[row + 2, column] - points[row - 2, column]
            normal = np.cross(across, down)
            if normal @ point < 0:
                normal = -normal
            length = np.linalg.norm(normal)
            if length > 0:
                cosine = np.clip(normal @ gravity / length, -1, 1)
                hha[row, column, 2] = 38 + np.degrees(np.arccos(cosine))
    return np.clip(hha, 0, 255)


DEPTHS = arrays.arrays(
    np.float32,
    HW,
    elements=st.one_of(st.floats(0.5, 80, width=32), st.just(float('nan'))),
    fill=st.just(10.0),
)


@given(DEPTHS, st.sampled_from([CAMERA, LENS]), st.floats(-20, 20))
def test_agrees_with_the_reference(depth_m, camera, degrees):
    got = hha_image(depth_m, camera, tilted(degrees)).astype(int)
    expected = reference(depth_m.astype(np.float64), camera, tilted(degrees))
    # Rounding of float32, in the angle through a cross product.
    np.testing.assert_allclose(got, expected, atol=0.6)


def plane(camera, camera_from_ground, height_m):
    """Depth of a level plane, NaN where it is not seen."""
    rays = camera.rays() / camera.rays()[:, :, 2:]
    ground_from_camera = np.linalg.inv(camera_from_ground)
    slope = rays @ ground_from_camera[2, :3]
    with np.errstate(divide='ignore'):
        depth_m = (height_m - ground_from_camera[2, 3]) / slope
    depth_m[(depth_m <= 0) | (depth_m > 200)] = np.nan
    return depth_m.astype(np.float32)


@pytest.mark.parametrize('degrees', [0, 12])
def test_ground_wall_and_ceiling(degrees):
    camera_from_ground = tilted(degrees)
    ground = plane(CAMERA, camera_from_ground, 0)
    hha = hha_image(ground, CAMERA, camera_from_ground)
    inside = np.zeros(HW, bool)
    inside[16:-2, 2:-2] = True
    assert set(hha[inside, 1]) == {0}
    assert set(hha[inside, 2]) <= {37, 38, 39}
    ceiling = hha_image(plane(CAMERA, camera_from_ground, 4), CAMERA, camera_from_ground)
    assert set(ceiling[2:5, 2:-2, 2].ravel()) <= {217, 218, 219}
    assert set(ceiling[2:5, 2:-2, 1].ravel()) == {255}
    wall = hha_image(np.full(HW, 10, np.float32), CAMERA, CAMERA_FROM_GROUND)
    assert set(wall[:, :, 0].ravel()) == {31}
    assert set(wall[2:-2, 2:-2, 2].ravel()) == {128}


def test_without_depth_all_is_zero():
    assert not hha_image(np.full(HW, np.nan, np.float32), CAMERA, CAMERA_FROM_GROUND).any()
    hole = np.full(HW, 10, np.float32)
    hole[10, 10] = np.nan
    hha = hha_image(hole, CAMERA, CAMERA_FROM_GROUND)
    assert not hha[10, 10].any()
    assert hha[10, 12, 2] == 0  # its slope reaches over the hole
    assert hha[10, 12, 0] == 31


def test_another_size_is_refused():
    with pytest.raises(InputError, match='depth'):
        hha_image(np.ones((5, 7), np.float32), CAMERA, CAMERA_FROM_GROUND)


# Messages


class Message:
    def __init__(self, pixels, encoding, padding=0, is_bigendian=0):
        rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
        rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
        self.height, self.width = pixels.shape[:2]
        self.encoding, self.step = encoding, rows.shape[1]
        self.is_bigendian, self.data = is_bigendian, rows.tobytes()


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize(
    ('encoding', 'values'),
    [
        ('16UC1', np.array([[0, 1500], [65535, 1]], '<u2')),
        ('mono16', np.array([[0, 1500], [65535, 1]], '<u2')),
        ('32FC1', np.array([[0, 1.5], [65.535, 0.001]], '<f4')),
        ('32FC1', np.array([[-1, 1.5], [65.535, 0.001]], '<f4')),
        ('32FC1', np.array([[np.inf, 1.5], [65.535, 0.001]], '<f4')),
    ],
)
def test_depth_is_metres_whatever_its_encoding(encoding, values, padding):
    for message in (
        Message(values, encoding, padding),
        Message(values.astype(values.dtype.newbyteorder('>')), encoding, padding, 1),
    ):
        depth_m = decode_depth_image(message, 'depth')
        assert depth_m.dtype == np.float32
        np.testing.assert_allclose(depth_m, [[np.nan, 1.5], [65.535, 0.001]], rtol=1e-6)


@pytest.mark.parametrize(('encoding', 'order'), [('rgb8', [0, 1, 2]), ('bgr8', [2, 1, 0])])
def test_finished_hha_is_taken_as_it_is(encoding, order):
    pixels = np.random.default_rng(1).integers(0, 256, (*HW, 3), np.uint8)
    decoded = decode_depth_image(Message(pixels, encoding), 'depth')
    np.testing.assert_array_equal(decoded, pixels[:, :, order])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'encoding': 'mono8'}, r"depth/image: expected depth as 16UC1, .* HHA .* got 'mono8'"),
        ({'encoding': '64FC1'}, "got '64FC1'"),
        ({'data': bytes(7)}, 'expected 8 bytes of data .* got 7'),
        ({'step': 3}, 'step >= 4'),
        ({'width': 1 << 31}, 'step >= '),
        ({'height': 0}, 'positive size'),
        ({'height': 1 << 31}, 'bytes of data'),
    ],
)
def test_what_is_no_depth_is_refused(change, message):
    depth = Message(np.ones((2, 2), '<u2'), '16UC1')
    vars(depth).update(change)
    with pytest.raises(InputError, match=message):
        check_depth_image(depth, 'depth/image')


@pytest.mark.parametrize('channels', [1, 3])
def test_aligned_images_keep_their_floats(channels):
    values = np.random.default_rng(2).normal(size=(*HW, channels)).astype('<f4')
    decoded = decode_aligned_image(Message(values, f'32FC{channels}', 5), 'aolp', 'float32')
    assert (decoded.shape, decoded.dtype) == ((*HW, 3), np.float32)
    np.testing.assert_array_equal(decoded, np.broadcast_to(values, decoded.shape))


def test_aligned_images_of_one_channel_are_repeated():
    grey = np.arange(HW[0] * HW[1], dtype=np.uint8).reshape(HW)
    decoded = decode_aligned_image(Message(grey, 'mono8'), 'nir', 'uint8')
    np.testing.assert_array_equal(decoded, np.repeat(grey[:, :, None], 3, 2))


def test_integers_are_no_floats():
    with pytest.raises(InputError, match=r"aolp/image: expected encoding 32FC1 or 32FC3, got 'mo"):
        decode_aligned_image(Message(np.ones(HW, np.uint8), 'mono8'), 'aolp/image', 'float32')
