"""Topics and calibration of a recording, found or asked for."""

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.describe import find_topics, Topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.transforms import matrix_from_pose
import numpy as np
import pytest
from recordings import events, IMAGE, T0

CAMERA = CameraModel((6, 8), np.array([[5.0, 0, 4], [0, 5, 3], [0, 0, 1]]), np.zeros(5))
TURN = np.sqrt(0.5)
BASE_FROM_CAMERA = matrix_from_pose(np.array([1.5, 0, 1.4]), np.array([-0.5, 0.5, -0.5, 0.5]))
BASE_FROM_LIDAR = matrix_from_pose(np.array([0.8, 0, 1.9]), np.array([0, 0, TURN, TURN]))
EVENT_FROM_MOUNT = matrix_from_pose(np.array([0, 0.1, 0]), np.array([0, 0, 0, 1]))


def drive() -> dict[str, object]:
    picture = messages.image(IMAGE, 'rgb8', T0, 'camera')
    cloud = messages.point_cloud(np.zeros(2, [('x', 'f4'), ('y', 'f4'), ('z', 'f4')]), T0, 'lidar')
    poses = [('base', 'camera', BASE_FROM_CAMERA), ('base', 'lidar', BASE_FROM_LIDAR)]
    return {
        '/camera/image': picture,
        '/camera/camera_info': messages.camera_info(CAMERA, T0, 'camera'),
        '/event_camera/events': messages.event_packet(events(5), (260, 346), T0, 'event', 0),
        '/event_camera/camera_info': messages.camera_info(CAMERA, T0, 'event'),
        '/lidar/points': cloud,
        '/ground_truth/labels': messages.image(IMAGE[:, :, 0], 'mono8', T0, 'camera'),
        '/mle_sam/mask': messages.image(IMAGE[:, :, 0], 'mono8', T0, 'camera'),
        '/tf_static': messages.transforms([messages.transform(*pose, T0) for pose in poses]),
    }


@pytest.fixture
def bag_of(tmp_path):
    opened = []

    def write(content: dict[str, object], more: tuple[tuple[str, object], ...] = ()):
        with BagWriter(tmp_path / 'bag.mcap') as writer:
            for topic, message in (*content.items(), *more):
                writer.write(topic, message, T0)
        opened.append(open_bag(tmp_path / 'bag.mcap'))
        return opened[-1]

    yield write
    for bag in opened:
        bag.close()


def test_the_usual_names(bag_of):
    assert find_topics(bag_of(drive())) == Topics(
        camera='/camera/image',
        camera_info='/camera/camera_info',
        event='/event_camera/events',
        event_camera_info='/event_camera/camera_info',
        lidar='/lidar/points',
        labels='/ground_truth/labels',
        tf_static='/tf_static',
    )


def test_events_as_clouds_are_no_sweeps(bag_of):
    content = drive()
    content['/event_camera/events'] = messages.event_cloud(events(5), T0, 'event')
    topics = find_topics(bag_of(content))
    assert (topics.event, topics.lidar) == ('/event_camera/events', '/lidar/points')


def test_a_camera_alone_is_enough(bag_of):
    topics = find_topics(bag_of({'/front/image_raw': drive()['/camera/image']}))
    assert topics.camera == '/front/image_raw'
    assert {topics.camera_info, topics.event, topics.lidar, topics.labels} == {None}


def test_the_same_camera_compressed_and_not(bag_of):
    content = drive()
    packed = messages.compressed_image(b'', 'jpeg', T0, 'camera')
    topics = find_topics(bag_of({**content, '/camera/image/compressed': packed}))
    assert (topics.camera, topics.camera_info) == ('/camera/image', '/camera/camera_info')
    del content['/camera/image']
    topics = find_topics(bag_of({**content, '/camera/image/compressed': packed}))
    assert topics.camera == '/camera/image/compressed'
    assert topics.camera_info == '/camera/camera_info'


def test_what_our_own_node_published_is_no_sensor(bag_of):
    content = drive()
    content['/mle_sam/perception/points'] = content['/lidar/points']
    content['/mle_sam/perception/picture'] = content['/camera/image']
    topics = find_topics(bag_of(content))
    assert (topics.lidar, topics.camera) == ('/lidar/points', '/camera/image')


def test_no_camera_names_what_there_is(bag_of):
    content = {name: drive()[name] for name in ('/lidar/points', '/ground_truth/labels')}
    with pytest.raises(
        InputError,
        match=r'expected a camera topic of type .* or CompressedImage, got /ground_truth/labels '
        r'\(sensor_msgs/msg/Image\), /lidar/points .*; record the camera',
    ):
        find_topics(bag_of(content))


def test_two_cameras_are_a_question_that_can_be_answered(bag_of):
    content = {**drive(), '/rear/image': drive()['/camera/image']}
    bag = bag_of(content)
    with pytest.raises(
        InputError, match=r'one topic for camera, got /camera/image, /rear/image; choose one'
    ):
        find_topics(bag)
    assert find_topics(bag, {'camera': '/rear/image'}).camera == '/rear/image'


@pytest.mark.parametrize(
    ('chosen', 'message'),
    [
        ({'radar': '/x'}, r'expected streams among camera, .*, got radar'),
        ({'camera': '/no'}, r'expected /no for camera with type .*Image, got no such topic'),
        ({'lidar': '/camera/image'}, r'/camera/image for lidar .*got sensor_msgs/msg/Image'),
    ],
)
def test_wrong_choices(bag_of, chosen, message):
    with pytest.raises(InputError, match=message):
        find_topics(bag_of(drive()), chosen)


def test_calibration_of_a_complete_recording(bag_of):
    later = messages.transforms([messages.transform('camera', 'event', EVENT_FROM_MOUNT, T0)])
    bag = bag_of(drive(), (('/tf_static', later),))
    calibration = calibration_of(bag, find_topics(bag))
    assert calibration.cameras['camera'].size_hw == (6, 8)
    np.testing.assert_array_equal(calibration.cameras['event'].matrix, CAMERA.matrix)
    expected = np.linalg.inv(BASE_FROM_CAMERA) @ BASE_FROM_LIDAR
    np.testing.assert_allclose(calibration.camera_from['lidar'], expected, atol=1e-12)
    np.testing.assert_allclose(calibration.camera_from['event'], EVENT_FROM_MOUNT, atol=1e-12)
    # 10 m ahead of a LiDAR that looks left is 10 m left of the camera, and half a metre above.
    point = calibration.camera_from['lidar'] @ [10, 0, 0, 1]
    np.testing.assert_allclose(point[:3], [-10, -0.5, -0.7], atol=1e-12)


def test_what_a_recording_does_not_say_stays_missing(bag_of):
    content = drive()
    del content['/event_camera/camera_info'], content['/tf_static']
    bag = bag_of(content)
    calibration = calibration_of(bag, find_topics(bag))
    assert set(calibration.cameras) == {'camera'}
    assert calibration.camera_from == {}


def test_unusable_transforms_and_cameras_name_their_topic(bag_of):
    content = drive()
    loop = [('a', 'camera', np.eye(4)), ('camera', 'a', np.eye(4))]
    content['/tf_static'] = messages.transforms([messages.transform(*pose, T0) for pose in loop])
    bag = bag_of(content)
    with pytest.raises(InputError, match=r'bag\.mcap: /tf_static: .*expected a tree, got a loop'):
        calibration_of(bag, find_topics(bag))
    content = drive()
    content['/camera/camera_info'].k[:] = 0
    bag = bag_of(content)
    with pytest.raises(InputError, match=r'/camera/camera_info: expected a calibrated camera'):
        calibration_of(bag, find_topics(bag))
