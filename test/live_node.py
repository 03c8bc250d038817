"""Perception nodes of the test's own process, spinning on a thread of their own."""

from collections.abc import Callable
import threading
import time
from typing import Any

from mle_sam_ros.ros.node import PerceptionNode
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter


def in_its_thread(node: PerceptionNode, transition: Callable[[], Any]) -> Any:
    """What a transition returns, made between two callbacks as a lifecycle manager has it made.

    In another thread it would take subscriptions away under the callbacks.
    """
    task = node.executor.create_task(transition)
    while not task.done():
        time.sleep(0.02)
    return task.result()


class LiveNodes:
    """One node per namespace, all on one executor; `with` gives them by namespace."""

    def __init__(self, domain_id: int, parameters: dict[str, dict]) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = {
            namespace: self._node(namespace, values) for namespace, values in parameters.items()
        }
        self.thread = threading.Thread(target=self._spin)
        self.thread.start()

    def _node(self, namespace, values) -> PerceptionNode:
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = PerceptionNode(
            namespace=namespace, context=self.context, parameter_overrides=overrides
        )
        if node.parameters.autostart:
            node.start()
        self.executor.add_node(node)
        return node

    def __enter__(self) -> dict[str, PerceptionNode]:
        return self.nodes

    def __exit__(self, *_) -> None:
        self.executor.shutdown()
        self.thread.join()
        for node in self.nodes.values():
            node.close()
            node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _spin(self) -> None:
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass


class LiveNode(LiveNodes):
    """A single node; `with` gives it."""

    def __init__(self, domain_id: int, **parameters) -> None:
        super().__init__(domain_id, {'mle_sam': parameters})

    def __enter__(self) -> PerceptionNode:
        return self.nodes['mle_sam']
