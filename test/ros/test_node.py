"""The node over real DDS: masks under the camera's stamp, whatever happens to the sensors."""

import pytest

pytest.importorskip('rclpy')

from fake_tensorrt import forget, install
from half_bundle import write_half_bundle
from live_node import LiveNode
from mle_sam_ros.bags import messages
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.trust import present_of, router_weights_of
from mle_sam_ros.ros.environment import free_domain_id
import numpy as np
from ros_bench import (
    Bench,
    CALIBRATION,
    CAMERA,
    camera_message,
    lidar_message,
    MS,
    POINTS,
    stamp_ns_of,
    wait_until,
    write_rig,
)

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def rig(tmp_path_factory):
    return write_rig(tmp_path_factory.mktemp('rig'))


@pytest.fixture
def domain_id():
    return free_domain_id()


def present_by_stamp(bench):
    present = {}
    for message in bench.received['router_weights']:
        statuses = statuses_of(message)
        present[stamp_ns_of(message)] = present_of(statuses)
    return present


def statuses_of(array):
    return {s.name: {pair.key: pair.value for pair in s.values} for s in array.status}


def assert_balanced(values):
    counts = {k: int(values[k]) for k in ('received', 'emitted', 'superseded', 'rejected')}
    decided = counts['emitted'] + counts['superseded'] + counts['rejected']
    assert counts['received'] == decided + int(values['waiting'])
    return counts


def test_every_output_carries_the_stamp_and_frame_of_its_image(rig, domain_id):
    with LiveNode(domain_id, **rig), Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.drive(100)
        wait_until(lambda: is_settled(bench, received=20), 10)
        frames = bench.values('frames')
        bench.drive(30)
        bench.next_diagnostics()

    counts = assert_balanced(frames)
    assert counts['received'] == 20
    assert counts['rejected'] == 0
    first_stamps = bench.sent['camera'][:20]
    for name in ('mask', 'confidence', 'overlay', 'router_weights', 'camera_info'):
        received = [m for m in bench.received[name] if stamp_ns_of(m) <= first_stamps[-1]]
        stamps = [stamp_ns_of(message) for message in received]
        assert stamps == sorted(set(stamps)), name
        assert set(stamps) <= set(first_stamps), name
        assert len(stamps) == counts['emitted'] > 0, name
        assert {m.header.frame_id for m in received} == {'camera_optical_frame'}, name
    mask, overlay = bench.received['mask'][-1], bench.received['overlay'][-1]
    assert (mask.height, mask.width, mask.encoding, mask.step) == (48, 96, 'mono8', 96)
    assert (overlay.height, overlay.width, overlay.encoding, overlay.step) == (48, 96, 'rgb8', 288)
    assert len(mask.data) == 48 * 96
    assert len(set(mask.data)) > 1
    assert list(bench.received['camera_info'][-1].k) == CAMERA.matrix.ravel().tolist()

    for array in bench.received['router_weights']:
        weights = router_weights_of(statuses_of(array))
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert {'camera', 'event', 'lidar'} in present_by_stamp(bench).values()

    assert 'Hz' in bench.status('frames').message
    assert float(bench.values('latency')['latency/p95_ms']) > 0
    assert bench.values('input camera')['received'] == str(len(bench.sent['camera']))
    assert bench.values('engine')['model'] == 'tiny'


def is_settled(bench, received):
    values = bench.values('frames')
    return values.get('received') == str(received) and values['waiting'] == '0'


def test_masks_go_on_when_the_lidar_dies_and_when_the_camera_dies(rig, domain_id):
    def alive(stream, tick):
        return not (stream == 'lidar' and tick >= 40) and not (stream == 'camera' and tick >= 90)

    with LiveNode(domain_id, **rig), Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.drive(160, alive)
        bench.next_diagnostics()

    present = sorted(present_by_stamp(bench).items())
    last_camera_ns = bench.sent['camera'][-1]
    with_camera = [subset for stamp, subset in present if stamp <= last_camera_ns]
    without = [(stamp, subset) for stamp, subset in present if stamp > last_camera_ns]
    assert {'camera', 'event', 'lidar'} in with_camera
    assert 'lidar' not in with_camera[-1]
    # 1.4 s of darkness: 250 ms until it is believed, then a mask for every 100 ms.
    assert len(without) >= 5
    assert {subset for _, subset in without} == {frozenset({'event'})}
    beats_ns = np.array([stamp - last_camera_ns for stamp, _ in without])
    period_ns = np.diff(beats_ns).min()
    assert 70 * MS < period_ns < 130 * MS  # of a camera driven by a busy machine
    np.testing.assert_allclose(beats_ns / period_ns, np.round(beats_ns / period_ns), atol=0.01)
    masks = {stamp_ns_of(message) for message in bench.received['mask']}
    assert masks >= {stamp for stamp, _ in without}
    values = bench.values('frames')
    assert assert_balanced(values)['received'] == 18
    assert int(values['without_camera']) >= len(without)
    assert bench.values('input lidar')['state'] == 'stale'
    assert bench.status('input lidar').level == b'\1'


def test_bad_messages_are_named_counted_and_survived(rig, domain_id):
    with LiveNode(domain_id, **rig), Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.drive(20)
        later_ns = bench.sent['camera'][-1] + 20 * MS

        unknown = camera_message(later_ns)
        unknown.encoding = 'rgb9'
        bench.send('camera', unknown)
        wait_for_error(bench, 'camera', "got 'rgb9'; convert it in the driver or with image_proc")
        short = camera_message(later_ns)
        short.data = short.data[:-7]
        bench.send('camera', short)
        wait_for_error(bench, 'camera', f'expected {48 * 96 * 3} bytes of data (height x step)')

        integers = lidar_message(later_ns)
        integers.fields[0].datatype = 5
        bench.send('lidar', integers)
        wait_for_error(bench, 'lidar', '/mle_sam/lidar/points: expected floating-point x, y, z')
        dead = POINTS.copy()
        dead['x'] = np.nan
        bench.send('lidar', messages.point_cloud(dead, later_ns, 'lidar_frame'))
        wait_for_error(bench, 'lidar', 'got NaN or infinity in each of the 500 points')

        bench.drive(60)  # and the node goes on
        bench.next_diagnostics()

    assert {stamp_ns_of(m) for m in bench.received['mask']} & set(bench.sent['camera'][-12:])
    values = bench.values('frames')
    counts = assert_balanced(values)
    assert counts['received'] == len(bench.sent['camera'])
    assert values['rejected/unreadable'] == '2'
    assert bench.values('input camera')['faults'] == '2'
    assert bench.values('input lidar')['faults'] == '2'


def wait_for_error(bench, stream, text):
    def is_there():
        return any(
            status.name.endswith(f': input {stream}')
            and status.level != b'\0'
            and text in status.message
            for array in bench.received['diagnostics']
            for status in array.status
        )

    wait_until(is_there, 5)


def test_without_extrinsics_the_lidar_is_absent_and_said_so(tmp_path, domain_id):
    calibration = Calibration(CALIBRATION.cameras, {'event': np.eye(4)})
    parameters = write_rig(tmp_path, calibration)
    with LiveNode(domain_id, **parameters), Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.drive(60)
        bench.next_diagnostics()
        bench.drive(60)
        bench.next_diagnostics(1)
        status, values = bench.status('input lidar'), bench.values('input lidar')
    present = present_by_stamp(bench).values()
    assert frozenset({'camera', 'event'}) in present
    assert not any('lidar' in subset for subset in present)
    assert status.level != b'\0'
    assert values['state'] == 'waiting_transform'
    assert 'camera_from.lidar' in status.message


def test_a_failed_configuration_is_an_error_status(rig, domain_id):
    parameters = {**rig, 'calibration_file': '/nowhere/calibration.yaml'}
    with LiveNode(domain_id, **parameters), Bench(domain_id) as bench:
        wait_until(lambda: bench.status('engine'), 10)
        status = bench.status('engine')
    assert status.level == b'\2'
    assert '/nowhere/calibration.yaml: expected a calibration file' in status.message
    assert '\n' not in status.message


@pytest.fixture
def unbuilt(rig, tmp_path, monkeypatch):
    """Parameters for a bundle on the fake TensorRT, with no engine built yet."""
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('FAKE_TENSORRT_STEP_S', '0.06')
    monkeypatch.setattr('mle_sam_ros.runtime.latency._NUM_CALLS', (2, 2))
    bundle = write_half_bundle(tmp_path / 'tiny')
    install()
    yield {**rig, 'bundle': str(bundle.directory), 'backend': 'tensorrt'}
    forget()


def test_an_engine_that_was_not_built_is_refused_with_the_command(unbuilt, domain_id):
    with LiveNode(domain_id, **unbuilt), Bench(domain_id) as bench:
        wait_until(lambda: bench.status('engine'), 10)
        status = bench.status('engine')
    assert status.level == b'\2'
    command = f'mle-sam build-engine {unbuilt["bundle"]} --backend tensorrt'
    assert status.message.endswith(f'got none; run: {command}')


def test_an_engine_is_built_while_configuring_if_asked_to(unbuilt, domain_id):
    with Bench(domain_id) as bench:
        with LiveNode(domain_id, **unbuilt, unbuilt_engine='build', autostart=False) as node:
            wait_until(lambda: bench.status('engine'), 15)
            node.start()
            bench.wait_for_node()
            bench.drive(20)
            wait_until(lambda: bench.received['mask'], 10)
            wait_until(lambda: bench.values('engine').get('state') == 'active', 5)
            assert 'TensorRT 10.13.3.9 fp16' in bench.values('engine')['engine']
    told = [s.message for array in bench.received['diagnostics'] for s in array.status]
    told = [message for message in told if message.startswith('building the engine: compiling')]
    assert all(message.endswith((' s left', ' 0%')) for message in told)
    assert [message for message in told if message.endswith(' s left')]


def test_deactivated_node_is_silent_and_starts_again(rig, domain_id):
    with LiveNode(domain_id, **rig) as node, Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.drive(20)
        wait_until(lambda: bench.received['mask'], 5)
        node.trigger_deactivate()
        wait_until(lambda: bench.values('engine').get('state') == 'inactive', 5)
        num_masks = len(bench.received['mask'])
        bench.drive(20)
        assert len(bench.received['mask']) == num_masks
        node.trigger_activate()
        bench.wait_for_node()
        bench.drive(20)
        wait_until(lambda: len(bench.received['mask']) > num_masks, 5)


def test_two_instances_do_not_disturb_each_other(rig, domain_id):
    other_id = domain_id % 101 + 1
    with LiveNode(domain_id, **rig), LiveNode(other_id, **rig):
        with Bench(domain_id) as bench, Bench(other_id) as other:
            bench.wait_for_node()
            other.wait_for_node()
            bench.drive(30)
            wait_until(lambda: bench.received['mask'], 5)
            other.drive(30)
            wait_until(lambda: other.received['mask'], 5)
    for each in (bench, other):
        assert {stamp_ns_of(m) for m in each.received['mask']} <= set(each.sent['camera'])
