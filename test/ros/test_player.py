"""The player keeps the bag's timing and bytes; the recorder keeps what it hears."""

from collections import defaultdict
import threading

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
from ros_bench import event_message, POINTS, wait_until
from stepped_time import SteppedTime

pytestmark = pytest.mark.ros

MS = 1_000_000
T0 = 1_700_000_000 * 1000 * MS
PIXELS = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
PERIOD_MS = 50
COUNTS = {'/camera/image': 20, '/mle_sam/events': 20, '/points': 10}


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
    """Hears topics raw, each message with the player's time, and `/clock`."""

    def __init__(self, topics, time):
        self.heard = defaultdict(list)
        self.time = time
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
        return lambda cdr: self.heard[topic].append((self.time.monotonic(), bytes(cdr)))

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
        self.thread.join()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def stepped(monkeypatch):
    """The player's time, which passes where it sleeps, and nowhere else."""
    stepped = SteppedTime()
    monkeypatch.setattr('mle_sam_ros.ros.player.time', stepped)
    return stepped


def test_plays_the_bytes_at_their_times(bag_path, stepped):
    topics = {
        '/camera/image': 'sensor_msgs/msg/Image',
        '/mle_sam/events': 'sensor_msgs/msg/PointCloud2',
        '/points': 'sensor_msgs/msg/PointCloud2',
    }
    with Ear(topics, stepped) as ear:
        report = play(bag_path, remap={'/events': '/mle_sam/events'}, wait_for=[*topics, '/clock'])
        last_ns = T0 + 19 * PERIOD_MS * MS + 2 * MS
        wait_until(lambda: {topic: len(ear.heard[topic]) for topic in topics} == COUNTS)
        wait_until(lambda: max(ear.ticks) > last_ns)

    assert report.published == COUNTS
    assert report.skipped == ('/tf_static',) or 'tf2_msgs' in report.published
    with open_bag(bag_path) as reader:
        recorded = defaultdict(list)
        for message in reader.raw():
            recorded[message.topic].append((message.log_time_ns, bytes(message.cdr)))
    for topic in topics:
        source = '/events' if topic == '/mle_sam/events' else topic
        assert [cdr for _, cdr in ear.heard[topic]] == [cdr for _, cdr in recorded[source]], topic

    # Every message at its time, the last one 951 or 953 ms after the first; none is heard early.
    assert report.duration_s == pytest.approx(0.952, abs=2e-3)
    assert report.max_late_s == pytest.approx(0, abs=1e-4)
    end_s = stepped.monotonic()
    start_s = end_s - report.duration_s - 0.1  # the tail of the clock
    heard_s = np.array([at for at, _ in ear.heard['/camera/image']]) - start_s
    assert (heard_s > 0.05 * np.arange(20) - 1e-3).all()

    ticks = np.array(ear.ticks)
    assert (np.diff(ticks) >= 0).all()
    log_times = {log_time for items in recorded.values() for log_time, _ in items}
    played = {t for t in log_times if t <= last_ns}
    assert played <= set(ear.ticks)  # each message had a tick of its own
    assert len(ticks) > 100  # and time moved in between


def test_rate_divides_the_time(bag_path, stepped):
    report = play(bag_path, rate=4.0, topics=['/camera/image'])
    assert report.published == {'/camera/image': 20}
    assert report.duration_s == pytest.approx(0.95 / 4, abs=1e-4)


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


def test_without_sim_time_the_clock_is_not_heard(bag_path, tmp_path):
    topics = {'/camera/image': 'sensor_msgs/msg/Image'}
    with Recorder(tmp_path / 'recorded.mcap', topics):
        with pytest.raises(InputError, match='on /clock; start the node first, with use_sim_time'):
            play(bag_path, wait_for=[*topics, '/clock'], wait_s=5)


def test_recorder_keeps_bytes_and_simulated_times(bag_path, tmp_path):
    path = tmp_path / 'recorded.mcap'
    topics = {'/camera/image': 'sensor_msgs/msg/Image'}
    timeline = Timeline()
    with Recorder(path, topics, now_ns=timeline.now_ns) as recorder:
        play(bag_path, timeline=timeline, wait_for=list(topics))
        wait_until(lambda: recorder.counts['/camera/image'] == 20)
        end_ns = timeline.now_ns()
    with open_bag(path) as copy, open_bag(bag_path) as original:
        copied = list(copy.raw())
        expected = list(original.raw(['/camera/image']))
    assert [m.cdr for m in copied] == [m.cdr for m in expected]
    # Log times come from the player's timeline, so they lie after the original ones.
    pairs = zip(copied, expected, strict=True)
    assert all(copy.log_time_ns >= original.log_time_ns for copy, original in pairs)
    assert copied[-1].log_time_ns <= end_ns


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
