"""The perception node that somebody else started and will end, such as a launch file."""

from collections.abc import Mapping
from typing import Any

from lifecycle_msgs.msg import State
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.node_client import NODE_NAME, NodeClient


class RunningNode:
    """Stands where a `NodeProcess` could, for a node of this ROS domain that runs already."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Prepare; the parameters are for a node that is not configured yet."""
        self._parameters = parameters

    def wait_until_active(self, timeout_s: float = 120.0) -> None:
        """Wait until the node subscribes; one that is unconfigured is set up and activated.

        Raises:
            InputError: if it cannot be, or takes too long; with its own words.
        """
        with NodeClient() as client:
            state = client.state(timeout_s)
            if state == State.PRIMARY_STATE_ACTIVE:
                return
            is_active = False
            if state == State.PRIMARY_STATE_UNCONFIGURED:
                client.set_parameters(self._parameters)
                is_active = client.configure(timeout_s) and client.activate(timeout_s)
            if not is_active:
                raise InputError(
                    f'node: expected {NODE_NAME} to become active, got: {client.last_words()}; '
                    'see its log, and start it on the same ROS_DOMAIN_ID'
                )

    def finish(self) -> None:
        """Check that the node is still there.

        Raises:
            InputError: if it is not.
        """
        with NodeClient() as client:
            if client.state(10.0) != State.PRIMARY_STATE_ACTIVE:
                raise InputError(
                    f'node: expected {NODE_NAME} to be active until the end, got: '
                    f'{client.last_words()}; see its log'
                )

    def __enter__(self) -> 'RunningNode':
        return self

    def __exit__(self, *_: object) -> None:
        pass
