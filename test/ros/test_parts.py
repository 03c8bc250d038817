"""The parts of the node that need no traffic."""

from collections import Counter
import socket
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros import environment
from mle_sam_ros.ros.building import BuildReporter
from mle_sam_ros.ros.latency import Stopwatch
from mle_sam_ros.ros.message_types import message_class
from mle_sam_ros.ros.outputs import image_message
from mle_sam_ros.ros.worker import Worker
import numpy as np
from std_msgs.msg import Header


def test_a_build_is_reported_once_per_second(monkeypatch):
    now_s, told = [100.0], []
    monkeypatch.setattr('mle_sam_ros.ros.building.time.monotonic', lambda: now_s[0])
    reporter = BuildReporter(told.append)
    for second, share in ((0, 0.0), (0.5, 0.1), (1, 0.2), (10, 0.25)):
        now_s[0] = 100.0 + second
        reporter('compiling', share)
    assert told == [
        'building the engine: compiling, 0%',
        'building the engine: compiling, 20%, 4 s left',
        'building the engine: compiling, 25%, 30 s left',
    ]


def test_message_class_names_the_package_that_is_missing():
    with pytest.raises(InputError, match=r'no_such_msgs/msg/Thing.*ros-.*-no-such-msgs'):
        message_class('no_such_msgs/msg/Thing')


def test_image_message_of_a_view_holds_its_pixels():
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)[:, ::2]
    message = image_message(pixels, 'rgb8', Header())
    assert (message.height, message.width, message.step) == (4, 3, 9)
    assert message.data.tobytes() == pixels.tobytes()


def test_stopwatch_percentiles():
    stopwatch = Stopwatch()
    for value in range(101):
        stopwatch.add('infer', float(value))
    assert stopwatch.percentiles() == {'infer': (50.0, 95.0, 99.0)}
    with pytest.raises(ZeroDivisionError), stopwatch.stage('publish'):
        1 / 0  # noqa: B018
    assert 'publish' not in stopwatch.percentiles()


@pytest.mark.parametrize('port', [7400, 7410, 7414], ids=['multicast', 'first', 'third'])
def test_free_domain_id_avoids_a_domain_in_use(port):
    first = environment.free_domain_id()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
        busy.bind(('', port + 250 * first))
        assert environment.free_domain_id() != first


def test_private_environment_names_a_profile_that_exists():
    variables = environment.private_environment(42)
    assert variables['ROS_DOMAIN_ID'] == '42'
    assert variables['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    profile = variables['FASTRTPS_DEFAULT_PROFILES_FILE']
    assert profile == variables['FASTDDS_DEFAULT_PROFILES_FILE']
    with open(profile) as stream:
        text = stream.read()
    size = int(text.split('<segment_size>')[1].split('<')[0])
    assert size >= 128 << 20


@pytest.fixture
def busy_worker():
    """One that was never started, so that everything waits."""
    pipeline = SimpleNamespace(
        account=SimpleNamespace(to_mapping=dict),
        assembler=SimpleNamespace(stream_accounts={}),
        input_counters=dict,
    )
    return Worker(pipeline, lambda: 0, None, None, Stopwatch())


def test_few_large_and_many_small_messages_wait_for_a_busy_worker(busy_worker):
    for stream in ('depth', 'lidar_2', 'camera', 'event', 'tf'):
        for _ in range(600):
            busy_worker.submit(stream, None)
    waiting = Counter(arrival.stream for arrival in busy_worker._arrivals)
    assert waiting == {'depth': 8, 'lidar_2': 8, 'camera': 8, 'event': 512, 'tf': 512}
    assert busy_worker._overflow['depth'] == 592


def test_events_that_wait_for_a_busy_worker_are_bounded_in_bytes(busy_worker):
    for _ in range(100):
        busy_worker.submit('event', SimpleNamespace(events=bytes(8 << 20)))
    assert len(busy_worker._arrivals) == 16
    assert busy_worker._overflow == {'event': 84}
