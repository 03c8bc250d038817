"""Records topics into an MCAP file as they arrive, byte for byte."""

from collections.abc import Callable, Mapping
from pathlib import Path
import sys
import threading
import time

from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.message_types import message_class
from mle_sam_ros.ros.node_client import NODE_NAME
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

# What the node publishes that a score is made of.
NODE_TOPICS = {
    f'{NODE_NAME}/mask': 'sensor_msgs/msg/Image',
    f'{NODE_NAME}/confidence': 'sensor_msgs/msg/Image',
    f'{NODE_NAME}/router_weights': 'diagnostic_msgs/msg/DiagnosticArray',
    '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
}


class Recorder:
    """Records while its `with` block runs, on a thread of its own.

    The log time of a message is when it arrived, by the wall clock or by another that is asked
    for. What arrives before /clock does is left out where that one counts.

    ```python
    with Recorder('out.mcap', {'/mle_sam/perception/mask': 'sensor_msgs/msg/Image'}) as recorder:
        ...
    print(recorder.counts)
    ```

    Attributes:
        counts: messages by topic.
        latest: the last message by topic, serialised.
    """

    def __init__(
        self,
        path: str,
        topics: Mapping[str, str],
        *,
        now_ns: Callable[[], int] | None = None,
        use_sim_time: bool = False,
        depth: int = 50,
    ) -> None:
        """Open the file and subscribe.

        Args:
            path: the `.mcap` file to write; it gets its name when the block ends without error.
            topics: name to type (`package/msg/Type`).
            now_ns: clock of the log times, as `Timeline.now_ns` of a player in this process.
            use_sim_time: otherwise take them from /clock.
            depth: messages that the middleware may hold per topic.

        Raises:
            InputError: for a type that is not installed, or a path that cannot be written.
        """
        types = {topic: message_class(kind) for topic, kind in topics.items()}
        self.counts = dict.fromkeys(topics, 0)
        self.latest: dict[str, bytes] = {}
        self._writer = BagWriter(path)
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node(
            'recorder',
            context=self._context,
            parameter_overrides=[Parameter('use_sim_time', value=use_sim_time)],
        )
        self._now_ns = now_ns or (lambda: self._node.get_clock().now().nanoseconds)
        self._failure: Exception | None = None
        for topic, kind in topics.items():
            self._node.create_subscription(
                types[topic], topic, self._callback(topic, kind), QoSProfile(depth=depth), raw=True
            )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name='recorder')

    @property
    def is_running(self) -> bool:
        """Whether it records; no longer, once a write has failed."""
        return self._thread.is_alive()

    def _callback(self, topic: str, kind: str) -> Callable[[bytes], None]:
        def record(cdr: bytes) -> None:
            log_time_ns = self._now_ns()
            if log_time_ns:
                self._writer.write_raw(topic, kind, cdr, log_time_ns)
                self.counts[topic] += 1
                self.latest[topic] = cdr

        return record

    def wait_for_publishers(self, wait_s: float = 20.0) -> None:
        """Return when every topic has a publisher, so that nothing is missed from then on.

        Raises:
            InputError: if one has none in time.
        """
        deadline_s = time.monotonic() + wait_s
        while silent := [topic for topic in self.counts if not self._node.count_publishers(topic)]:
            if time.monotonic() > deadline_s:
                raise InputError(
                    f'recorder: expected publishers within {wait_s:g} s, got none on '
                    f'{", ".join(silent)}; start the node first, on the same ROS_DOMAIN_ID'
                )
            time.sleep(0.05)
        time.sleep(0.3)  # matching is mutual: give the publishers' side time to finish

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:  # of a write: reported where the block ends
            self._failure = error

    def __enter__(self) -> 'Recorder':
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # In this order: nothing is taken away under the thread that uses it.
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)
        if kind is None and self._failure is None:
            self._writer.close()
        else:
            self._writer.discard()
        if kind is None and self._failure is not None:
            raise self._failure


def record_until_interrupted(path: Path, use_sim_time: bool) -> dict[str, int]:
    """Record what the node publishes, until Ctrl-C; returns the number of messages by topic.

    Raises:
        InputError: for a path that cannot be written, and where not one mask came.
    """
    with Recorder(str(path), NODE_TOPICS, use_sim_time=use_sim_time) as recorder:
        try:
            print(f'recording {", ".join(NODE_TOPICS)}', file=sys.stderr, flush=True)
            while recorder.is_running:
                time.sleep(0.1)
        except KeyboardInterrupt:
            pass
        mask_topic = next(iter(NODE_TOPICS))
        if not recorder.counts[mask_topic]:
            raise InputError(
                f'recorder: expected masks on {mask_topic}, got none; start the node and its '
                'sensors first, on the same ROS_DOMAIN_ID'
            )
    return recorder.counts
