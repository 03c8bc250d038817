"""Messages made from arrays: the decoders of core get the arrays back."""

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.bags import messages
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.transforms import matrix_from_message
import numpy as np
import pytest
from recordings import assert_same_events, events, IMAGE, T0


@pytest.mark.parametrize('count', [0, 1, 500])
def test_events_as_packet_and_as_cloud(count):
    packet = messages.event_packet(events(count), (260, 346), T0, 'event', 0)
    assert_same_events(EventDecoder().decode(packet, 'packet'), events(count))
    fine = events(count, step_ns=7)
    cloud = messages.event_cloud(fine, T0, 'event')
    assert_same_events(EventDecoder().decode(cloud, 'cloud'), fine)


def test_event_cloud_refuses_events_before_its_stamp():
    with pytest.raises(InputError, match=r'expected events within 4\.29 s after the stamp'):
        messages.event_cloud(events(3), T0 + 10**12, 'event')


def test_sweep_round_trip():
    points = np.zeros(5, [('x', 'f4'), ('y', 'f4'), ('z', 'f4'), ('intensity', 'f4'), ('t', 'u4')])
    points['x'], points['t'] = np.arange(5) + 1, np.arange(5) * 1000
    cloud = decode_cloud(messages.point_cloud(points, T0, 'lidar'), 'lidar')
    np.testing.assert_array_equal(cloud.xyz[:, 0], np.arange(5) + 1)
    np.testing.assert_array_equal(cloud.time_ns, T0 + np.arange(5) * 1000)


def test_camera_info_round_trip():
    camera = CameraModel(
        (320, 640), np.array([[300.0, 0, 320], [0, 301, 160], [0, 0, 1]]), np.full(5, 0.01)
    )
    read = CameraModel.from_camera_info(messages.camera_info(camera, T0, 'camera'), 'info')
    assert read.size_hw == camera.size_hw
    np.testing.assert_array_equal(read.matrix, camera.matrix)
    np.testing.assert_array_equal(read.distortion, camera.distortion)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_quaternion_gives_back_the_rotation(components):
    length = np.linalg.norm(components)
    x, y, z, w = np.array(components) / length if length > 0.1 else np.array([1.0, 0, 0, 0])
    parent_from_child = np.eye(4)
    parent_from_child[:3, :3] = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), w * w - x * x + y * y - z * z, 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), w * w - x * x - y * y + z * z],
    ]
    parent_from_child[:3, 3] = [1, 2, 3]
    message = messages.transform('a', 'b', parent_from_child, T0)
    np.testing.assert_allclose(
        matrix_from_message(message.transform), parent_from_child, atol=1e-12
    )


def test_image_refuses_another_layout():
    with pytest.raises(InputError, match=r"got \(6, 8, 3\) uint8 as 'mono8'"):
        messages.image(IMAGE, 'mono8', T0, 'camera')
