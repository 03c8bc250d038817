"""The perception node that somebody else started and will end, such as a launch file."""

import time

from diagnostic_msgs.msg import DiagnosticArray
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.node_state import becomes_active, NODE_NAME
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor


class RunningNode:
    """Stands where a `NodeProcess` could, for a node of this ROS domain that runs already."""

    def wait_until_active(self, timeout_s: float = 120.0) -> None:
        """Wait until the node subscribes.

        Raises:
            InputError: if it failed to configure, or takes too long; with its own words.
        """
        if not becomes_active(timeout_s):
            raise InputError(
                f'node: expected {NODE_NAME} to become active, got: {_last_words()}; '
                'see its log, and start it on the same ROS_DOMAIN_ID'
            )

    def finish(self) -> None:
        """Check that the node is still there.

        Raises:
            InputError: if it is not.
        """
        if not becomes_active(10.0):
            raise InputError(
                f'node: expected {NODE_NAME} to be active until the end, got: {_last_words()}; '
                'see its log'
            )

    def __enter__(self) -> 'RunningNode':
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _last_words(timeout_s: float = 3.0) -> str:
    """What the node says of its engine on /diagnostics, once per second in every state."""
    heard: list[str] = []
    context = Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node('listener', context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)

        def hear(array: DiagnosticArray) -> None:
            heard.extend(s.message for s in array.status if s.name == f'{NODE_NAME}: engine')

        node.create_subscription(DiagnosticArray, '/diagnostics', hear, 10)
        deadline_s = time.monotonic() + timeout_s
        while not heard and time.monotonic() < deadline_s:
            executor.spin_once(timeout_sec=0.2)
    finally:
        rclpy.shutdown(context=context)
    return heard[-1] if heard else 'no answer, and nothing on /diagnostics'
