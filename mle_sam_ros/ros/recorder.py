"""Records topics into an MCAP file as they arrive, byte for byte."""

from collections.abc import Callable, Mapping
import threading
import time
from types import TracebackType

from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.message_types import message_class
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile


class Recorder:
    """Records while its `with` block runs, on a thread of its own.

    The log time of a message is when it arrived, by the wall clock or by another that is given.

    ```python
    with Recorder('out.mcap', {'/mle_sam/perception/mask': 'sensor_msgs/msg/Image'}) as recorder:
        ...
    print(recorder.counts)
    ```
    """

    def __init__(
        self,
        path: str,
        topics: Mapping[str, str],
        *,
        now_ns: Callable[[], int] = time.time_ns,
        depth: int = 50,
    ) -> None:
        """Open the file and subscribe.

        Args:
            path: the `.mcap` file to write; it gets its name when the block ends without error.
            topics: name to type (`package/msg/Type`).
            now_ns: clock of the log times, as `Timeline.now_ns` of a player in this process.
            depth: messages that the middleware may hold per topic.

        Raises:
            InputError: for a type that is not installed, or a path that cannot be written.
        """
        types = {topic: message_class(kind) for topic, kind in topics.items()}
        self.counts = dict.fromkeys(topics, 0)
        self._writer = BagWriter(path)
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node('recorder', context=self._context)
        self._now_ns = now_ns
        self._failure: Exception | None = None
        for topic, kind in topics.items():
            self._node.create_subscription(
                types[topic], topic, self._callback(topic, kind), QoSProfile(depth=depth), raw=True
            )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name='recorder')

    def _callback(self, topic: str, kind: str):
        def record(cdr: bytes) -> None:
            self._writer.write_raw(topic, kind, cdr, self._now_ns())
            self.counts[topic] += 1

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)
        self._thread.join()
        if kind is None and self._failure is None:
            self._writer.close()
        else:
            self._writer.discard()
        if kind is None and self._failure is not None:
            raise self._failure
