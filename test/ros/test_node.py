"""The node over real DDS: masks under the camera's stamp, whatever happens to the sensors."""

from collections import Counter
import time

import pytest

pytest.importorskip('rclpy')

from fake_tensorrt import forget, install
from half_bundle import write_half_bundle
from live_node import in_its_thread, LiveNode
from mle_sam_ros.bags import messages
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.trust import router_weights_of
from mle_sam_ros.ros.diagnostics import OK
from mle_sam_ros.ros.environment import free_domain_id
import numpy as np
from ros_bench import (
    Bench,
    CALIBRATION,
    CAMERA,
    camera_message,
    frame_counts,
    lidar_message,
    PERIOD_NS,
    POINTS,
    present_by_stamp,
    stamp_ns_of,
    statuses_of,
    STEADY_CAMERA,
    wait_until,
    write_rig,
)

pytestmark = pytest.mark.ros
ALL = frozenset({'camera', 'event', 'lidar'})


@pytest.fixture(scope='module')
def rig(tmp_path_factory):
    return write_rig(tmp_path_factory.mktemp('rig'))


@pytest.fixture
def domain_id():
    return free_domain_id()


def test_every_output_carries_the_stamp_and_frame_of_its_image(rig, domain_id):
    names = ('mask', 'confidence', 'overlay', 'router_weights', 'camera_info')
    with LiveNode(domain_id, **rig, **STEADY_CAMERA), Bench(domain_id) as bench:

        def has_all_sensors():
            return ALL in present_by_stamp(bench.received['router_weights']).values()

        bench.wait_for_node()
        bench.drive_until(lambda: all(bench.received[name] for name in names))
        before = frame_counts(bench.settled_frames())
        begin_ns = bench.sent['camera'][-1]
        bench.drive(100)
        bench.drive_until(has_all_sensors)
        after = frame_counts(bench.settled_frames())
        num_emitted = after['emitted'] - before['emitted']

        def since(name):
            return [m for m in bench.received[name] if stamp_ns_of(m) > begin_ns]

        wait_until(lambda: all(len(since(name)) >= num_emitted for name in names))

    assert after['rejected'] == 0
    sent = {stamp for stamp in bench.sent['camera'] if stamp > begin_ns}
    assert after['received'] - before['received'] == len(sent) >= 20
    for name in names:
        stamps = [stamp_ns_of(message) for message in since(name)]
        assert stamps == sorted(set(stamps)), name
        assert set(stamps) <= sent, name
        assert len(stamps) == num_emitted > 0, name
        assert {m.header.frame_id for m in since(name)} == {'camera_optical_frame'}, name
    mask, overlay = bench.received['mask'][-1], bench.received['overlay'][-1]
    assert (mask.height, mask.width, mask.encoding, mask.step) == (48, 96, 'mono8', 96)
    assert (overlay.height, overlay.width, overlay.encoding, overlay.step) == (48, 96, 'rgb8', 288)
    assert len(mask.data) == 48 * 96
    assert len(set(mask.data)) > 1
    assert list(bench.received['camera_info'][-1].k) == CAMERA.matrix.ravel().tolist()

    for array in bench.received['router_weights']:
        weights = router_weights_of(statuses_of(array))
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)

    assert 'Hz' in bench.status('frames').message
    assert float(bench.values('latency')['latency/p95_ms']) > 0
    assert bench.values('input camera')['received'] == str(len(bench.sent['camera']))
    assert bench.values('engine')['model'] == 'tiny'


def test_masks_go_on_when_the_lidar_dies_and_when_the_camera_dies(rig, domain_id):
    with LiveNode(domain_id, **rig), Bench(domain_id) as bench:

        def present():
            return sorted(present_by_stamp(bench.received['router_weights']).items())

        def latest_present():
            return present()[-1][1] if present() else None

        def dark():
            """Masks since the camera died: stamp and sensors."""
            return [item for item in present() if item[0] > last_camera_ns]

        bench.wait_for_node()
        bench.drive_until(lambda: latest_present() == ALL)
        # Long enough that the camera's period is known.
        bench.drive(80, without={'lidar'})
        bench.drive_until(lambda: latest_present() == ALL - {'lidar'}, without={'lidar'})
        last_camera_ns = bench.sent['camera'][-1]
        blind = {'lidar', 'camera'}
        bench.drive_until(lambda: len(dark()) >= 5, without=blind)
        bench.drive_until(lambda: bench.values('input lidar')['state'] == 'stale', without=blind)
        lidar = bench.status('input lidar')
        values = bench.settled_frames()
        wait_until(lambda: {stamp for stamp, _ in dark()} <= masks_of(bench))
        wait_until(lambda: int(bench.values('frames')['without_camera']) >= len(dark()))

    assert {subset for _, subset in dark()} == {frozenset({'event'})}
    # The camera's beat goes on: what it owes has the stamps that its frames would have had.
    beats_ns = np.array([stamp - last_camera_ns for stamp, _ in dark()])
    assert set(beats_ns % PERIOD_NS) == {0}
    if set(np.diff(bench.sent['camera'][-15:])) == {PERIOD_NS}:  # on a machine that kept time
        assert np.diff(beats_ns).min() == PERIOD_NS
    assert frame_counts(values)['received'] == len(bench.sent['camera'])
    assert lidar.level != OK


def masks_of(bench):
    return {stamp_ns_of(message) for message in bench.received['mask']}


def test_bad_messages_are_named_counted_and_survived(rig, domain_id):
    with LiveNode(domain_id, **rig), Bench(domain_id) as bench:
        num_bad = Counter()

        def send_until_told(stream, make, text):
            """As a broken sensor goes on sending; after a pause it would be told as silent."""
            while not is_told(bench, stream, text):
                assert num_bad[stream] < 300, text
                bench.send(stream, make(time.time_ns()))
                num_bad[stream] += 1
                time.sleep(0.2)

        bench.wait_for_node()
        bench.drive_until(lambda: bench.received['mask'])
        told = "got 'rgb9'; convert it in the driver or with image_proc"
        send_until_told('camera', unknown_image, told)
        told = f'expected {48 * 96 * 3} bytes of data (height x step)'
        send_until_told('camera', short_image, told)
        told = '/mle_sam/lidar/points: expected floating-point x, y, z'
        send_until_told('lidar', sweep_of_integers, told)
        told = 'got NaN or infinity in each of the 500 points'
        send_until_told('lidar', sweep_of_nan, told)

        resumed_ns = bench.sent['camera'][-1]
        bench.drive(60)  # and the node goes on
        values = bench.settled_frames()
        wait_until(lambda: masks_of(bench) & {t for t in bench.sent['camera'] if t > resumed_ns})
        for stream in ('camera', 'lidar'):
            wait_until(
                lambda stream=stream: (
                    bench.values(f'input {stream}')['faults'] == str(num_bad[stream])
                )
            )

    frame_counts(values)
    assert values['rejected/unreadable'] == str(num_bad['camera'])


def unknown_image(stamp_ns):
    message = camera_message(stamp_ns)
    message.encoding = 'rgb9'
    return message


def short_image(stamp_ns):
    message = camera_message(stamp_ns)
    message.data = message.data[:-7]
    return message


def sweep_of_integers(stamp_ns):
    message = lidar_message(stamp_ns)
    message.fields[0].datatype = 5
    return message


def sweep_of_nan(stamp_ns):
    points = POINTS.copy()
    points['x'] = np.nan
    return messages.point_cloud(points, stamp_ns, 'lidar_frame')


def is_told(bench, stream, text):
    return any(
        status.name.endswith(f': input {stream}') and status.level != OK and text in status.message
        for array in list(bench.received['diagnostics'])
        for status in array.status
    )


def test_without_extrinsics_the_lidar_is_absent_and_said_so(tmp_path, domain_id):
    calibration = Calibration(CALIBRATION.cameras, {'event': np.eye(4)})
    parameters = write_rig(tmp_path, calibration)
    with LiveNode(domain_id, **parameters), Bench(domain_id) as bench:

        def present():
            return present_by_stamp(bench.received['router_weights']).values()

        def is_waiting():
            return bench.values('input lidar').get('state') == 'waiting_transform'

        bench.wait_for_node()
        bench.drive_until(lambda: frozenset({'camera', 'event'}) in present())
        bench.drive(60)
        bench.drive_until(is_waiting)
        status = bench.status('input lidar')
    assert not any('lidar' in subset for subset in present())
    assert status.level != OK
    assert 'camera_from.lidar' in status.message


def test_a_failed_configuration_is_an_error_status(rig, domain_id):
    parameters = {**rig, 'calibration_file': '/nowhere/calibration.yaml'}
    with LiveNode(domain_id, **parameters), Bench(domain_id) as bench:
        wait_until(lambda: bench.status('engine'))
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
        wait_until(lambda: bench.status('engine'))
        status = bench.status('engine')
    assert status.level == b'\2'
    command = f'mle-sam build-engine {unbuilt["bundle"]} --backend tensorrt'
    assert status.message.endswith(f'got none; run: {command}')


def test_an_engine_is_built_while_configuring_if_asked_to(unbuilt, domain_id):
    with Bench(domain_id) as bench:
        with LiveNode(domain_id, **unbuilt, unbuilt_engine='build', autostart=False) as node:
            wait_until(lambda: bench.status('engine'))
            in_its_thread(node, node.start)
            bench.wait_for_node()
            bench.drive_until(lambda: bench.received['mask'])
            wait_until(lambda: bench.values('engine').get('state') == 'active')
            assert 'TensorRT 10.13.3.9 fp16' in bench.values('engine')['engine']
    told = [s.message for array in bench.received['diagnostics'] for s in array.status]
    told = [message for message in told if message.startswith('building the engine: compiling')]
    assert all(message.endswith((' s left', ' 0%')) for message in told)
    assert [message for message in told if message.endswith(' s left')]


def test_deactivated_node_is_silent_and_starts_again(rig, domain_id):
    with LiveNode(domain_id, **rig) as node, Bench(domain_id) as bench:
        bench.wait_for_node()
        bench.drive_until(lambda: bench.received['mask'])
        in_its_thread(node, node.trigger_deactivate)
        end_ns = time.time_ns()
        wait_until(lambda: bench.values('engine').get('state') == 'inactive')
        bench.wait_until_silent()
        bench.drive(20)
        begin_ns = time.time_ns()
        in_its_thread(node, node.trigger_activate)
        bench.wait_for_node()
        bench.drive_until(lambda: max(masks_of(bench)) > begin_ns)
    assert not [stamp for stamp in masks_of(bench) if end_ns < stamp < begin_ns]


def test_two_instances_do_not_disturb_each_other(rig, domain_id):
    parameters = {**rig, **STEADY_CAMERA}
    with LiveNode(domain_id, **parameters):
        other_id = free_domain_id()
        with (
            LiveNode(other_id, **parameters),
            Bench(domain_id) as bench,
            Bench(other_id) as other,
        ):
            for each in (bench, other):
                each.wait_for_node()
                each.drive(30)
                each.drive_until(lambda each=each: each.received['mask'])
    assert masks_of(bench) <= set(bench.sent['camera'])
    assert masks_of(other) <= set(other.sent['camera'])
