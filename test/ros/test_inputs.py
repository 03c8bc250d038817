"""What the node subscribes to, and that it hears it: every kind of input over real DDS."""

import time

import pytest

pytest.importorskip('rclpy')

from bundles import manifest_mapping, write_tiny_bundle
import cv2
from live_node import in_its_thread, LiveNode, LiveNodes
from mle_sam_ros.bags import messages
from mle_sam_ros.core.calibration import Calibration, calibration_mapping
from mle_sam_ros.core.depth import GROUND
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.ros.environment import free_domain_id
from mle_sam_ros.ros.inputs import input_specs
from mle_sam_ros.ros.parameters import NodeParameters
import numpy as np
from rclpy.qos import ReliabilityPolicy
from ros_bench import (
    Bench,
    CALIBRATION,
    CAMERA,
    camera_message,
    lidar_message,
    MS,
    PATIENCE_S,
    PIXELS,
    present_by_stamp,
    stamp_ns_of,
    STEADY_CAMERA,
    wait_until,
    write_rig,
)
import yaml

ALL = ('camera', 'event', 'lidar', 'depth', 'nir')


def specs_of(modalities=ALL, **values):
    manifest = parse_manifest({**manifest_mapping(modalities=modalities), 'files': {}}, 'm')
    return {
        spec.stream: spec for spec in input_specs(manifest, NodeParameters(bundle='b', **values))
    }


def test_topics_follow_the_bundle_and_the_parameters():
    plain = specs_of()
    assert {stream: spec.topic for stream, spec in plain.items() if stream != 'tf_static'} == {
        'camera_info': 'camera/camera_info',
        'camera': 'camera/image',
        'event': 'events',
        'event_camera_info': 'events/camera_info',
        'lidar': 'lidar/points',
        'depth': 'depth/image',
        'nir': 'nir/image',
    }
    assert plain['event'].depth >= 1000
    assert set(specs_of(('camera',))) - {'tf_static'} == {'camera', 'camera_info'}
    compressed = specs_of(camera_message='compressed')['camera']
    assert compressed.topic == 'camera/image/compressed'
    assert compressed.type == 'sensor_msgs/msg/CompressedImage'
    lidars = specs_of(num_lidars=3)
    assert [lidars[s].topic for s in ('lidar', 'lidar_2', 'lidar_3')] == [
        'lidar/points',
        'lidar_2/points',
        'lidar_3/points',
    ]
    assert specs_of(motion='odometry')['odometry'].type == 'nav_msgs/msg/Odometry'
    assert specs_of(motion='twist')['twist'].type == 'geometry_msgs/msg/TwistStamped'


@pytest.mark.parametrize(
    'values',
    [{'motion': 'tf', 'fixed_frame': 'odom'}, {'moving_extrinsics': True}],
)
def test_what_is_not_installed_is_named_when_configuring(values, monkeypatch):
    from mle_sam_ros.ros import inputs

    known = inputs.message_class

    def without_tf2(name):
        if name.startswith('tf2_msgs'):
            raise InputError('tf2_msgs/msg/TFMessage: expected an installed message type')
        return known(name)

    monkeypatch.setattr(inputs, 'message_class', without_tf2)
    assert 'tf_static' not in specs_of()
    with pytest.raises(InputError, match='tf2_msgs'):
        specs_of(**values)


def test_motion_by_tf_needs_its_frame():
    with pytest.raises(InputError, match='parameter fixed_frame: expected the frame'):
        NodeParameters(bundle='b', motion='tf').check()


# Over DDS


@pytest.fixture(scope='module')
def rig(tmp_path_factory):
    return write_rig(tmp_path_factory.mktemp('rig'))


def present_sets(bench):
    """Which modalities took part, mask by mask."""
    return list(present_by_stamp(bench.received['router_weights']).values())


def send_until(condition, send):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        send()
        time.sleep(0.12)


@pytest.mark.ros
def test_subscriptions_are_best_effort_unless_overridden(rig):
    prefix = 'qos_overrides./mle_sam/'
    overrides = {
        f'{prefix}camera/image.subscription.reliability': 'reliable',
        f'{prefix}camera/image.subscription.depth': 2,
        f'{prefix}perception/mask.publisher.depth': 9,
        f'{prefix}perception/mask.publisher.reliability': 'best_effort',
    }
    plain = {name: rig[name] for name in ('bundle', 'calibration_file')}
    with LiveNode(free_domain_id(), **plain, **overrides) as node:
        qos = {stream: source.subscription.qos_profile for stream, source in node._inputs.items()}
        mask = next(p for p in node.publishers if p.topic_name.endswith('/mask'))
        assert qos['camera'].reliability == ReliabilityPolicy.RELIABLE
        assert qos['camera'].depth == 2
        assert (mask.qos_profile.depth, mask.qos_profile.reliability) == (
            9,
            ReliabilityPolicy.BEST_EFFORT,
        )
        for stream in ('lidar', 'event', 'camera_info', 'event_camera_info'):
            assert qos[stream].reliability == ReliabilityPolicy.BEST_EFFORT
        assert qos['event'].depth >= 1000


@pytest.mark.ros
def test_two_namespaces_share_a_process_an_executor_and_a_domain(rig, tmp_path):
    other = write_tiny_bundle(tmp_path / 'other', (32, 64), ('camera', 'lidar'))
    domain_id = free_domain_id()
    parameters = {'front': rig, 'rear': {**rig, 'bundle': str(other.directory)}}
    parameters = {name: {**values, **STEADY_CAMERA} for name, values in parameters.items()}
    with LiveNodes(domain_id, parameters) as nodes:
        assert {node.get_fully_qualified_name() for node in nodes.values()} == {
            '/front/perception',
            '/rear/perception',
        }
        with Bench(domain_id, '/front/perception') as front:
            with Bench(domain_id, '/rear/perception') as rear:
                front.wait_for_node()
                rear.wait_for_node(('camera', 'lidar'))
                front.drive_until(lambda: front.received['mask'])
                rear.drive_until(lambda: rear.received['mask'])
                front.drive(10)
                in_its_thread(nodes['front'], nodes['front'].trigger_deactivate)
                num_masks = len(rear.received['mask'])
                rear.drive_until(lambda: len(rear.received['mask']) > num_masks + 10)
    for bench, other, modalities in (
        (front, rear, {'camera', 'event', 'lidar'}),
        (rear, front, {'camera', 'lidar'}),
    ):
        stamps = {stamp_ns_of(m) for m in bench.received['mask']}
        assert stamps & set(bench.sent['camera'])
        assert not stamps & set(other.sent['camera'])
        assert set().union(*present_sets(bench)) <= modalities


@pytest.mark.ros
def test_compressed_images_give_masks_of_their_size(rig):
    domain_id = free_domain_id()
    with LiveNode(domain_id, **rig, camera_message='compressed'), Bench(domain_id) as bench:
        bench.wait_for_node(('compressed', 'event'))
        for image_format in ('png', 'jpeg'):
            _, data = cv2.imencode(f'.{image_format}', PIXELS)

            def send(image_format=image_format, data=bytes(data)):
                stamp_ns, frame = time.time_ns(), 'camera_optical_frame'
                bench.send(
                    'compressed',
                    messages.compressed_image(data, image_format, stamp_ns, frame),
                )

            num_masks = len(bench.received['mask'])
            send_until(lambda num=num_masks: len(bench.received['mask']) >= num + 3, send)
    assert {(m.height, m.width) for m in bench.received['mask']} == {CAMERA.size_hw}
    assert {stamp_ns_of(m) for m in bench.received['mask']} <= set(bench.sent['compressed'])


@pytest.mark.ros
def test_a_depth_bundle_takes_depth_once_the_ground_is_known(tmp_path):
    bundle = write_tiny_bundle(tmp_path / 'depth', modalities=('camera', 'depth'))
    camera_from_ground = CALIBRATION.camera_from['lidar'].copy()
    camera_from_ground[1, 3] = 1.5
    path = tmp_path / 'calibration.yaml'
    calibration = Calibration({'camera': CAMERA}, {GROUND: camera_from_ground})
    path.write_text(yaml.safe_dump(calibration_mapping(calibration)))
    parameters = {'bundle': str(bundle.directory), 'calibration_file': str(path)}
    domain_id = free_domain_id()
    with LiveNode(domain_id, **parameters), Bench(domain_id) as bench:
        bench.wait_for_node(('camera', 'depth'))

        def send():
            stamp_ns = time.time_ns()
            depth = messages.image(PIXELS[:, :, 0], 'mono8', stamp_ns, 'camera_optical_frame')
            millimetres = np.full(CAMERA.size_hw, 8000, '<u2')
            depth.encoding, depth.step = '16UC1', 2 * CAMERA.size_hw[1]
            depth.data = millimetres.view(np.uint8).ravel()
            bench.send('depth', depth)
            bench.send('camera', camera_message(stamp_ns))

        send_until(lambda: frozenset({'camera', 'depth'}) in present_sets(bench), send)


@pytest.mark.ros
def test_two_lidars_and_odometry_are_heard(rig, tmp_path):
    mapping = yaml.safe_load(open(rig['calibration_file']))
    mapping['camera_from']['lidar_2'] = mapping['camera_from']['lidar']
    mapping['camera_from']['base'] = mapping['camera_from']['lidar']
    path = tmp_path / 'two.yaml'
    path.write_text(yaml.safe_dump(mapping))
    parameters = {**rig, 'calibration_file': str(path), 'num_lidars': 2, 'motion': 'odometry'}
    domain_id = free_domain_id()
    with LiveNode(domain_id, **parameters) as node, Bench(domain_id) as bench:
        bench.wait_for_node(('camera', 'lidar', 'lidar_2', 'odometry'))

        def send():
            now_ns = time.time_ns()
            for name in ('lidar', 'lidar_2'):
                bench.send(name, lidar_message(now_ns - 60 * MS))
            bench.send('camera', camera_message(now_ns))

        send_until(lambda: frozenset({'camera', 'lidar'}) in present_sets(bench), send)
        assert {'lidar', 'lidar_2', 'odometry'} <= set(node._inputs)
        wait_until(lambda: bench.status('input lidar_2'))
