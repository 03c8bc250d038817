"""The player keeps the bag's timing and bytes; the recorder keeps what it hears."""

from collections import defaultdict
import threading
import time

import pytest

pytest.importorskip('rclpy')

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.environment import free_domain_id
from mle_sam_ros.ros.message_types import message_class
from mle_sam_ros.ros.player import play, Timeline
from mle_sam_ros.ros.recorder import Recorder
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from ros_bench import event_message, POINTS

pytestmark = pytest.mark.ros

MS = 1_000_000
T0 = 1_700_000_000 * 1000 * MS
PIXELS = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
PERIOD_MS = 50


@pytest.fixture(autouse=True)
def domain_id(monkeypatch):
    domain_id = free_domain_id()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain_id))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    return domain_id


@pytest.fixture
def bag_path(tmp_path):
    path = tmp_path / 'drive.mcap'
    with BagWriter(path) as bag:
        for i in range(20):
            t = T0 + i * PERIOD_MS * MS
            image = messages.image(PIXELS + np.uint8(i), 'rgb8', t - 8 * MS, 'camera')
            bag.write('/camera/image', image, t)
            bag.write('/events', event_message(t), t + 1 * MS)
            if i % 2 == 0:
                bag.write('/points', messages.point_cloud(POINTS, t, 'lidar'), t + 2 * MS)
        packet = messages.transforms([messages.transform('base_link', 'camera', np.eye(4), T0)])
        bag.write('/tf_static', packet, t + 3 * MS)
    return path


class Ear:
    """Hears topics raw, with the wall time and the last `/clock` of each message."""

    def __init__(self, topics):
        self.heard = defaultdict(list)
        self.ticks = []
        self.context = Context()
        rclpy.init(context=self.context)
        node = rclpy.create_node('ear', context=self.context)
        for topic, kind in topics.items():
            node.create_subscription(message_class(kind), topic, self.hear(topic), 50, raw=True)
        node.create_subscription(
            message_class('rosgraph_msgs/msg/Clock'), '/clock', self.tick, 1000
        )
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(node)
        self.thread = threading.Thread(target=self.spin)

    def hear(self, topic):
        return lambda cdr: self.heard[topic].append((time.monotonic(), bytes(cdr)))

    def tick(self, message):
        self.ticks.append(message.clock.sec * 1000 * MS + message.clock.nanosec)

    def spin(self):
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.executor.shutdown()
        rclpy.shutdown(context=self.context)
        self.thread.join()


def test_plays_the_bytes_at_their_times(bag_path):
    topics = {
        '/camera/image': 'sensor_msgs/msg/Image',
        '/mle_sam/events': 'sensor_msgs/msg/PointCloud2',
        '/points': 'sensor_msgs/msg/PointCloud2',
    }
    with Ear(topics) as ear:
        report = play(bag_path, remap={'/events': '/mle_sam/events'}, wait_for=list(topics))
        time.sleep(0.3)

    assert report.published == {'/camera/image': 20, '/mle_sam/events': 20, '/points': 10}
    assert report.skipped == ('/tf_static',) or 'tf2_msgs' in report.published
    with open_bag(bag_path) as reader:
        recorded = defaultdict(list)
        for message in reader.raw():
            recorded[message.topic].append((message.log_time_ns, bytes(message.cdr)))
    for topic in topics:
        source = '/events' if topic == '/mle_sam/events' else topic
        assert [cdr for _, cdr in ear.heard[topic]] == [cdr for _, cdr in recorded[source]], topic

    # From the first to the last image 950 ms; single messages may be late, never early.
    heard_s = np.array([at for at, _ in ear.heard['/camera/image']])
    np.testing.assert_allclose(heard_s[-1] - heard_s[0], 0.95, atol=0.15)
    assert report.duration_s == pytest.approx(0.95, abs=0.15)

    ticks = np.array(ear.ticks)
    assert (np.diff(ticks) >= 0).all()
    log_times = {log_time for items in recorded.values() for log_time, _ in items}
    played = {t for t in log_times if t <= T0 + 19 * PERIOD_MS * MS + 2 * MS}
    assert played <= set(ear.ticks)  # each message had a tick of its own
    assert len(ticks) > 100  # and time moved in between


def test_rate_halves_the_time(bag_path):
    start_s = time.monotonic()
    report = play(bag_path, rate=4.0, topics=['/camera/image'])
    assert report.published == {'/camera/image': 20}
    assert report.duration_s == pytest.approx(0.95 / 4, abs=0.15)
    assert time.monotonic() - start_s < 5


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            {'topics': ['/camera/imag']},
            'expected topics among .*/camera/image.* got /camera/imag;',
        ),
        ({'remap': {'/lidar': '/x'}}, 'expected topics among .* got /lidar;'),
        ({'rate': 0.0}, 'expected a positive rate'),
        ({'wait_for': ['/points'], 'wait_s': 0.2}, 'got none on /points; start the node'),
        ({'wait_for': ['/nothing']}, 'expected to wait for topics among .* got /nothing'),
    ],
)
def test_refuses(bag_path, arguments, message):
    with pytest.raises(InputError, match=message):
        play(bag_path, **arguments)


def test_recorder_keeps_bytes_and_simulated_times(bag_path, tmp_path):
    path = tmp_path / 'recorded.mcap'
    topics = {'/camera/image': 'sensor_msgs/msg/Image'}
    timeline = Timeline()
    with Recorder(path, topics, now_ns=timeline.now_ns) as recorder:
        play(bag_path, timeline=timeline, wait_for=list(topics))
        deadline_s = time.monotonic() + 5
        while recorder.counts['/camera/image'] < 20 and time.monotonic() < deadline_s:
            time.sleep(0.02)
    assert recorder.counts == {'/camera/image': 20}
    with open_bag(path) as copy, open_bag(bag_path) as original:
        copied = list(copy.raw())
        expected = list(original.raw(['/camera/image']))
    assert [m.cdr for m in copied] == [m.cdr for m in expected]
    # Log times come from the player's timeline, so they lie shortly after the original ones.
    late_ms = [(a.log_time_ns - b.log_time_ns) / MS for a, b in zip(copied, expected, strict=True)]
    assert min(late_ms) >= 0
    assert max(late_ms) < 200


def test_a_write_that_fails_is_raised_and_leaves_nothing(bag_path, tmp_path):
    def broken_clock():
        raise OSError(28, 'No space left on device')

    topics = {'/camera/image': 'sensor_msgs/msg/Image'}
    with pytest.raises(OSError, match='No space left'):
        with Recorder(tmp_path / 'recorded.mcap', topics, now_ns=broken_clock):
            play(bag_path, wait_for=list(topics))
    assert not list(tmp_path.glob('*recorded*'))


def test_recorder_misses_the_node(tmp_path):
    with pytest.raises(InputError, match=r'expected publishers within 0\.1 s, got none on /x'):
        with Recorder(tmp_path / 'never.mcap', {'/x': 'sensor_msgs/msg/Image'}) as recorder:
            recorder.wait_for_publishers(0.1)


def test_recorder_leaves_nothing_behind_after_an_error(tmp_path):
    with pytest.raises(RuntimeError):
        with Recorder(tmp_path / 'recorded.mcap', {'/x': 'sensor_msgs/msg/Image'}):
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []
