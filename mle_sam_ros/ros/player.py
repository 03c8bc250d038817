"""Plays a recording into ROS with its original timing, for machines without `ros2 bag`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
import math
import time
from typing import Any

from builtin_interfaces.msg import Time
from mle_sam_ros.bags.reader import BagReader, open_bag
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.event_clouds import CLOUD, EventClouds
from mle_sam_ros.ros.message_types import message_class
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

_LATCHED = ('/tf_static',)
# The clock runs on for so long: what was published last may be waited for.
_TAIL_NS = 100_000_000
# How often to look whether anybody still listens.
_CHECK_S = 1.0


@dataclass(frozen=True)
class PlayReport:
    """What a run of the player did.

    Attributes:
        published: messages by topic, as published.
        skipped: topics whose message package is not installed.
        duration_s: from the first message to the last, wall clock.
        max_late_s: by how much the latest message missed its time.
    """

    published: dict[str, int]
    skipped: tuple[str, ...]
    duration_s: float
    max_late_s: float


class Timeline:
    """The recording's time while it is played, for those in the player's process."""

    def __init__(self, rate: float = 1.0) -> None:
        """Stand still at 0 until the first message; then run `rate` times as fast as the wall."""
        self.rate = rate
        self._start_ns: int | None = None
        self._start_s = 0.0

    def begin(self, start_ns: int) -> None:
        """The message of this log time is due now."""
        self._start_ns, self._start_s = start_ns, time.monotonic()

    def now_ns(self) -> int:
        """The log time that is due now."""
        if self._start_ns is None:
            return 0
        return self._start_ns + int((time.monotonic() - self._start_s) * self.rate * 1e9)

    def seconds_until(self, log_time_ns: int) -> float:
        """Wall time until then; negative where it is past."""
        return (log_time_ns - self.now_ns()) * 1e-9 / self.rate


@dataclass
class _Player:
    node: Node
    timeline: Timeline
    clock_period_s: float
    publishers: dict[str, Any] = field(default_factory=dict)
    awaited: list[Any] = field(default_factory=list)
    clouds: dict[str, EventClouds] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    max_late_s: float = 0.0

    def __post_init__(self) -> None:
        self.clock = self.node.create_publisher(Clock, '/clock', QoSProfile(depth=10))

    def play(self, reader: BagReader) -> float:
        """Publish every message at its time; returns the seconds it took."""
        start_s, last_ns, checked_s = None, None, time.monotonic()
        for log_time_ns, topic, cdr in reader.raw():
            if topic not in self.publishers:
                continue
            if start_s is None:
                start_s = time.monotonic()
                self.timeline.begin(log_time_ns)
            self._run_clock_until(log_time_ns)
            if time.monotonic() > checked_s + _CHECK_S:
                checked_s = time.monotonic()
                self._check_listeners()
            if log_time_ns != last_ns:
                self._tick(log_time_ns)
                last_ns = log_time_ns
            self._publish(topic, cdr)
        if start_s is None or last_ns is None:
            return 0.0
        duration_s = time.monotonic() - start_s
        self._run_clock_until(last_ns + _TAIL_NS)
        return duration_s

    def _publish(self, topic: str, cdr: bytes) -> None:
        publisher = self.publishers[topic]
        if topic in self.clouds:
            try:
                cloud = self.clouds[topic].cloud_of(cdr)
            except InputError as error:
                self.node.get_logger().warning(f'not played: {error}', throttle_duration_sec=1.0)
                return
            if cloud is None:
                return
            cdr = cloud
        publisher.publish(bytes(cdr))
        name = publisher.topic_name
        self.published[name] = self.published.get(name, 0) + 1

    def _run_clock_until(self, log_time_ns: int) -> None:
        """Sleep until a message is due; the clock ticks meanwhile."""
        while (left_s := self.timeline.seconds_until(log_time_ns)) > 0:
            time.sleep(min(left_s, self.clock_period_s))
            now_ns = self.timeline.now_ns()
            if now_ns < log_time_ns:
                self._tick(now_ns)
        self.max_late_s = max(self.max_late_s, -self.timeline.seconds_until(log_time_ns))

    def _check_listeners(self) -> None:
        if self.awaited and not any(item.get_subscription_count() for item in self.awaited):
            names = ', '.join(item.topic_name for item in self.awaited)
            raise InputError(
                f'play: expected subscribers until the end, got none any longer on {names}; '
                'see what the node said last'
            )

    def _tick(self, now_ns: int) -> None:
        seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
        self.clock.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))


def play(
    bag_path: str,
    *,
    rate: float = 1.0,
    timeline: Timeline | None = None,
    topics: Sequence[str] = (),
    remap: Mapping[str, str] | None = None,
    event_clouds: Collection[str] = (),
    wait_for: Sequence[str] = (),
    wait_s: float = 20.0,
    clock_hz: float = 100.0,
) -> PlayReport:
    """Publish a recording's messages, byte for byte, and `/clock` with their log times.

    Args:
        bag_path: `.mcap` file or rosbag2 directory.
        rate: 2.0 plays twice as fast.
        timeline: to tell the time by meanwhile; its rate counts then.
        topics: what to publish, by the bag's names; empty for everything.
        remap: the bag's topic to the name to publish it under.
        event_clouds: topics of event packets to publish as PointCloud2, the same events in each.
        wait_for: topics, as published, that must have a subscriber before the first message, and
            of which one must have one until the end; /clock among them where it must be heard.
        wait_s: how long to wait for them.
        clock_hz: ticks of `/clock` per second of wall time, besides one before each message.

    Raises:
        InputError: for a bag that cannot be read, an unknown topic, a rate or clock rate that is
            not positive, or nobody listening in time.
    """
    timeline = timeline or Timeline(rate)
    for name, value in (('rate', timeline.rate), ('clock_hz', clock_hz)):
        if not 0 < value < math.inf:
            raise InputError(f'play: expected a positive {name}, got {value}; correct it')
    context = Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node('player', context=context)
        player = _Player(node, timeline, 1 / clock_hz)
        with open_bag(bag_path) as reader:
            player.clouds = {topic: EventClouds(topic) for topic in event_clouds}
            kinds = {**reader.topics, **dict.fromkeys(event_clouds, CLOUD)}
            skipped = _advertise(player, kinds, topics, remap or {}, bag_path)
            _wait_for_subscribers(player, wait_for, wait_s)
            duration_s = player.play(reader)
        _drain(player)
        return PlayReport(player.published, skipped, duration_s, player.max_late_s)
    finally:
        rclpy.shutdown(context=context)


def _advertise(
    player: _Player,
    available: Mapping[str, str],
    wanted: Sequence[str],
    remap: Mapping[str, str],
    bag_path: str,
) -> tuple[str, ...]:
    unknown = [topic for topic in (*wanted, *remap) if topic not in available]
    if unknown:
        raise InputError(
            f'{bag_path}: expected topics among {", ".join(available)}, got '
            f'{", ".join(unknown)}; correct the names'
        )
    skipped = []
    for topic, kind in available.items():
        if (wanted and topic not in wanted) or topic == '/clock':
            continue
        try:
            message = message_class(kind)
        except InputError as error:
            player.node.get_logger().warning(f'{topic} is not played: {error}')
            skipped.append(topic)
            continue
        player.publishers[topic] = player.node.create_publisher(
            message, remap.get(topic, topic), _qos(topic)
        )
    return tuple(skipped)


def _qos(topic: str) -> QoSProfile:
    """Reliable, so that every subscriber matches; latched where late ones must still hear it."""
    latched = topic in _LATCHED
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=100 if latched else 20,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _wait_for_subscribers(player: _Player, wait_for: Sequence[str], wait_s: float) -> None:
    ours = [*player.publishers.values(), player.clock]
    publishers = {publisher.topic_name: publisher for publisher in ours}
    unknown = [topic for topic in wait_for if topic not in publishers]
    if unknown:
        raise InputError(
            f'play: expected to wait for topics among {", ".join(publishers)}, got '
            f'{", ".join(unknown)}; correct the names'
        )
    player.awaited = [publishers[topic] for topic in wait_for]
    deadline_s = time.monotonic() + wait_s
    while silent := [t for t in wait_for if not publishers[t].get_subscription_count()]:
        if time.monotonic() > deadline_s:
            is_clock_alone = silent == [player.clock.topic_name]
            remedy = 'with use_sim_time' if is_clock_alone else 'on the same ROS_DOMAIN_ID'
            raise InputError(
                f'play: expected subscribers within {wait_s:g} s, got none on '
                f'{", ".join(silent)}; start the node first, {remedy}'
            )
        time.sleep(0.05)
    time.sleep(0.3)  # matching is mutual: give the subscribers' side time to finish


def _drain(player: _Player) -> None:
    """Wait until reliable subscribers have what was published."""
    for publisher in player.publishers.values():
        publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=2))
