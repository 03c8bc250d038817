"""Asking the node for its state, from another process."""

from collections.abc import Callable
import time

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

NODE_NAME = '/mle_sam/perception'


def becomes_active(timeout_s: float, may_come: Callable[[], bool] = lambda: True) -> bool:
    """Wait until the node answers; whether it is active then.

    A node that configures at once answers only once it has finished.

    Args:
        timeout_s: how long to wait at most.
        may_come: whether there still is something to wait for.
    """
    context = Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node('supervisor', context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        client = node.create_client(GetState, f'{NODE_NAME}/get_state')
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s and may_come():
            if not client.wait_for_service(0.2):
                continue
            answer = client.call_async(GetState.Request())
            executor.spin_until_future_complete(answer, 1.0)
            if answer.done():
                return answer.result().current_state.id == State.PRIMARY_STATE_ACTIVE
        return False
    finally:
        rclpy.shutdown(context=context)
