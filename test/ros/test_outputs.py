"""What consumers get: the contract of Nav2's segmentation layer, painted points."""

from array import array
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')

from bundles import CLASSES
from live_node import LiveNode
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.labelled_cloud import label_cloud
from mle_sam_ros.core.point_fields import read_points
from mle_sam_ros.ros.environment import free_domain_id, share_path
from mle_sam_ros.ros.message_types import message_class
from mle_sam_ros.ros.outputs import organised_message, points_message
import numpy as np
from rclpy.qos import (
    DurabilityPolicy,
    qos_profile_sensor_data,
    QoSProfile,
    ReliabilityPolicy,
)
from ros_bench import Bench, CAMERA, CAMERA_FROM_LIDAR, POINTS, stamp_ns_of, wait_until, write_rig
from std_msgs.msg import Header
import yaml

NODE = '/mle_sam/perception'
CLOUD = 'sensor_msgs/msg/PointCloud2'
IMAGE = 'sensor_msgs/msg/Image'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'
RANDOM = np.random.default_rng(8)


def labelled(num_points=50):
    points = (RANDOM.normal(size=(num_points, 3)) * [5, 2, 3] + [0, 0, 8]).astype(np.float32)
    points[3] = np.nan
    label_map = RANDOM.integers(0, 3, CAMERA.size_hw, np.uint8)
    confidence = RANDOM.integers(1, 256, CAMERA.size_hw, np.uint8)
    return label_cloud(points, CAMERA, label_map, confidence, (12, 24))


def test_painted_points_are_read_by_name():
    cloud, palette = labelled(), [(255, 0, 0), (0, 128, 0), (1, 2, 3)]
    intensity = RANDOM.random(50, np.float32)
    message = points_message(cloud, intensity, palette, Header(frame_id='camera'))
    assert isinstance(message.data, array)
    assert (message.height, message.width, message.point_step) == (1, 50, 24)
    assert not message.is_dense
    points = read_points(message, ('x', 'y', 'z', 'rgb', 'label', 'confidence'), 'points')
    np.testing.assert_array_equal(points['x'], cloud.points_camera[:, 0])
    np.testing.assert_array_equal(points['label'], cloud.labels)
    np.testing.assert_array_equal(points['confidence'], cloud.confidence)
    np.testing.assert_array_equal(points['intensity'], intensity)
    assert {0, 1, 2, 255} == set(cloud.labels.tolist())
    # As RViz reads it: the bits of a float32, blue in the lowest byte.
    bits = points['rgb'].copy().view(np.uint32)
    for label, value in zip(cloud.labels, bits.tolist(), strict=True):
        expected = (96, 96, 96) if label == 255 else palette[label]
        assert (value >> 16, value >> 8 & 255, value & 255) == expected


def test_an_organised_cloud_has_a_point_per_pixel():
    points = RANDOM.normal(size=(4, 6, 3)).astype(np.float32)
    points[1, 2] = np.nan
    message = organised_message(points, Header())
    assert (message.height, message.width, message.row_step) == (4, 6, 72)
    decoded = np.frombuffer(message.data, np.float32).reshape(4, 6, 3)
    np.testing.assert_array_equal(decoded, points)


@pytest.fixture
def domain_id():
    return free_domain_id()


@pytest.mark.ros
def test_nav2s_segmentation_layer_gets_what_it_reads(tmp_path, domain_id):
    rig, heard = write_rig(tmp_path), {}
    sensor_data = qos_profile_sensor_data
    with LiveNode(domain_id, **rig), Bench(domain_id) as bench:

        def listen(name, kind, qos):
            heard[name] = []
            bench.node.create_subscription(
                message_class(kind), f'{NODE}/{name}', heard[name].append, qos
            )

        for name in ('organised/mask', 'organised/confidence'):
            listen(name, IMAGE, sensor_data)
        for name in ('organised/points', 'points'):
            listen(name, CLOUD, sensor_data)
        listen('mask', IMAGE, sensor_data)
        listen('confidence', IMAGE, QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE))
        bench.wait_for_node()
        bench.drive_until(lambda: len(common_stamps(heard)) > 3)

    # The mask and what goes with it: one byte per pixel, no padding, identical stamps and frames.
    stamps = common_stamps(heard)
    by_stamp = {name: by_stamp_of(messages) for name, messages in heard.items()}
    for stamp in stamps:
        of = {name: messages[stamp] for name, messages in by_stamp.items()}
        assert {message.header.frame_id for message in of.values()} == {'camera_optical_frame'}
        for name in ('mask', 'confidence', 'organised/mask', 'organised/confidence'):
            assert of[name].encoding == 'mono8'
            assert of[name].step == of[name].width
            assert len(of[name].data) == of[name].width * of[name].height
        for mask, confidence in (
            ('mask', 'confidence'),
            ('organised/mask', 'organised/confidence'),
        ):
            assert (of[mask].height, of[mask].width) == (
                of[confidence].height,
                of[confidence].width,
            )
        grid, mask = of['organised/points'], of['organised/mask']
        assert (grid.height, grid.width) == (mask.height, mask.width) == (64, 128)
        assert len(grid.data) == grid.height * grid.row_step == 64 * 128 * grid.point_step

    # The points are the LiDAR's in the camera's frame, and where they fall is what the mask says.
    message = by_stamp['points'][stamps[-1]]
    points = read_points(message, ('x', 'y', 'z', 'label'), 'points')
    xyz = np.stack([points[axis] for axis in 'xyz'], axis=1).astype(np.float64)
    expected = np.stack([POINTS[axis] for axis in 'xyz'], axis=1) @ CAMERA_FROM_LIDAR[:3, :3].T
    np.testing.assert_allclose(xyz, expected, atol=1e-5)
    mask = by_stamp['mask'][stamps[-1]]
    label_map = np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)
    pixels = np.floor(CAMERA.project(xyz) + 0.5).astype(int)
    seen = points['label'] != 255
    assert 10 < seen.sum() < len(points)
    u, v = pixels[seen].T
    np.testing.assert_array_equal(points['label'][seen], label_map[v, u])
    # The organised cloud holds points that were seen, each at its own pixel.
    grid = by_stamp['organised/points'][stamps[-1]]
    positions = decode_cloud(grid, 'grid').xyz.reshape(grid.height, grid.width, 3)
    rows, columns = np.nonzero(np.isfinite(positions[..., 0]))
    assert len(rows) > 10
    u, v = (CAMERA.project(positions[rows, columns]) + 0.5).T
    np.testing.assert_array_equal(np.floor(u * 128 / 96), columns)
    np.testing.assert_array_equal(np.floor(v * 64 / 48), rows)


def by_stamp_of(messages):
    return {stamp_ns_of(message): message for message in list(messages)}


def common_stamps(heard):
    return sorted(set.intersection(*(set(by_stamp_of(messages)) for messages in heard.values())))


@pytest.mark.ros
def test_label_info_is_there_for_whoever_comes_late(tmp_path, domain_id):
    try:
        kind = message_class(LABEL_INFO)
    except InputError:
        pytest.skip('vision_msgs is not installed')
    latched = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    heard = []
    with LiveNode(domain_id, **write_rig(tmp_path)), Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.node.create_subscription(kind, f'{NODE}/label_info', heard.append, latched)
        wait_until(lambda: heard)
    names = {item.class_id: item.class_name for item in heard[0].class_map}
    assert names == dict(enumerate(CLASSES))


@pytest.mark.ros
def test_costly_outputs_are_made_for_subscribers_alone(tmp_path, domain_id, monkeypatch):
    made = []

    def note(name):
        def instead(*arguments):
            made.append(name)
            raise AssertionError(name)

        return instead

    names = ('overlay', 'label_cloud', 'points_in_camera', 'trust_statuses')
    for name in names:
        monkeypatch.setattr(f'mle_sam_ros.ros.outputs.{name}', note(name))
    wanted = {'mask': IMAGE}
    monkeypatch.setattr('ros_bench.OUTPUTS', wanted)
    with LiveNode(domain_id, **write_rig(tmp_path)), Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.drive_until(lambda: len(bench.received['mask']) >= 5)
    assert made == []


def test_rviz_shows_topics_that_the_node_publishes():
    rviz = yaml.safe_load(share_path('config/perception.rviz').read_text())
    topics = {
        display['Topic']['Value']: display['Class']
        for display in rviz['Visualization Manager']['Displays']
        if 'Topic' in display
    }
    published = published_topics()
    # What is compressed stands in annotated recordings alone.
    ours = {t for t in topics if t.startswith(NODE) and not t.endswith('/compressed')}
    assert {topic.removeprefix(f'{NODE}/') for topic in ours} <= set(published)
    assert {f'{NODE}/overlay', f'{NODE}/points'} <= ours
    for topic in ours:
        shown = topics[topic].rpartition('/')[2]
        assert shown == published[topic.removeprefix(f'{NODE}/')], topic


def published_topics():
    """Name to message type of what `Outputs` advertises, without any ROS running."""
    from bundles import manifest_mapping
    from mle_sam_ros.core.manifest import parse_manifest
    from mle_sam_ros.ros.outputs import Outputs

    topics = {}

    def create_publisher(kind, name, *_, **__):
        topics[name.removeprefix('~/')] = kind.__name__
        return SimpleNamespace(publish=lambda message: None)

    clock = SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: Header().stamp))
    node = SimpleNamespace(create_publisher=create_publisher, get_clock=lambda: clock)
    manifest = parse_manifest({**manifest_mapping(), 'files': {}}, 'manifest.json')
    Outputs(node, manifest, 0.5)
    return topics
