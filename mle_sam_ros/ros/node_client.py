"""Talks to the perception node from another process: its state and parameters."""

from collections.abc import Callable, Mapping
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from mle_sam_ros.core.errors import InputError
from rcl_interfaces.srv import SetParametersAtomically
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

NODE_NAME = '/mle_sam/perception'
# What answers at once; configuring an engine takes longer.
_ANSWER_S = 5.0


class NodeClient:
    """Asks the node, and tells it what to do; use it in a `with` block."""

    def __init__(self) -> None:
        """Join the ROS domain of this process."""
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node('supervisor', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._words = ''
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)

    def state(self, timeout_s: float, may_come: Callable[[], bool] = lambda: True) -> int | None:
        """The node's state (`lifecycle_msgs/msg/State`); None where it does not answer.

        A node that configures by itself answers only once it has finished.

        Args:
            timeout_s: how long to wait at most.
            may_come: whether there still is something to wait for.
        """
        client = self._node.create_client(GetState, f'{NODE_NAME}/get_state')
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s and may_come():
            if client.wait_for_service(0.2):
                answer = client.call_async(GetState.Request())
                self._executor.spin_until_future_complete(answer, 1.0)
                if answer.done():
                    return answer.result().current_state.id
        return None

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Set parameters, all or none.

        Raises:
            InputError: where the node refuses, or does not answer.
        """
        parameters = [Parameter(name, value=value) for name, value in values.items()]
        request = SetParametersAtomically.Request(
            parameters=[parameter.to_parameter_msg() for parameter in parameters]
        )
        name = f'{NODE_NAME}/set_parameters_atomically'
        answer = self._call(SetParametersAtomically, name, request, _ANSWER_S)
        if not answer.result.successful:
            raise InputError(answer.result.reason)

    def configure(self, timeout_s: float) -> bool:
        """Have the node configure itself; whether it did."""
        return self._change(Transition.TRANSITION_CONFIGURE, timeout_s)

    def activate(self, timeout_s: float) -> bool:
        """Have the node activate itself; whether it did."""
        return self._change(Transition.TRANSITION_ACTIVATE, timeout_s)

    def last_words(self, timeout_s: float = 3.0) -> str:
        """What the node says of its engine on /diagnostics, once per second in every state."""
        self._words = ''
        deadline_s = time.monotonic() + timeout_s
        while not self._words and time.monotonic() < deadline_s:
            self._executor.spin_once(timeout_sec=0.2)
        return self._words or 'no answer, and nothing on /diagnostics'

    def _change(self, transition: int, timeout_s: float) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return self._call(ChangeState, f'{NODE_NAME}/change_state', request, timeout_s).success

    def _call(self, service: Any, name: str, request: Any, timeout_s: float) -> Any:
        client = self._node.create_client(service, name)
        if client.wait_for_service(_ANSWER_S):
            answer = client.call_async(request)
            self._executor.spin_until_future_complete(answer, timeout_s)
            if answer.done():
                return answer.result()
        raise InputError(
            f'node: expected an answer on {name} within {timeout_s:g} s, got none; see its log'
        )

    def _hear(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == f'{NODE_NAME}: engine':
                self._words = status.message

    def __enter__(self) -> 'NodeClient':
        return self

    def __exit__(self, *_: object) -> None:
        rclpy.shutdown(context=self._context)
