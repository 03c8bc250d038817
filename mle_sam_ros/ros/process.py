"""The perception node as a process of its own, from the start to a clean end."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
import signal
import subprocess
import sys

from lifecycle_msgs.msg import State
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.node_client import NodeClient

# The node's topics in its namespace, to those of recordings; the launch file does the same.
REMAPPINGS = {
    'camera/image': '/camera/image',
    'camera/image/compressed': '/camera/image/compressed',
    'camera/camera_info': '/camera/camera_info',
    'lidar/points': '/lidar/points',
    'lidar_2/points': '/lidar_2/points',
    'events': '/event_camera/events',
    'events/camera_info': '/event_camera/camera_info',
    'depth/image': '/depth/image',
    'odometry': '/odometry',
    'twist': '/twist',
}


def whole_delivery(topics: Iterable[str]) -> dict[str, str | int]:
    """Parameters of a node that loses nothing of a drive on the way, however busy the machine.

    On a vehicle it listens with best effort; here the node is what is looked at, not the
    middleware.

    Args:
        topics: that it hears, as they are called in full.
    """
    qos = {'reliability': 'reliable', 'depth': 1024}
    return {
        f'qos_overrides.{topic}.subscription.{name}': value
        for topic in topics
        for name, value in qos.items()
    }


class NodeProcess:
    """Runs the node while its `with` block runs.

    ```python
    with NodeProcess(parameters, REMAPPINGS, private_environment(7), log_path) as node:
        node.wait_until_active()
        ...
    ```
    """

    def __init__(
        self,
        parameters: Mapping[str, object],
        remappings: Mapping[str, str],
        environment: Mapping[str, str],
        log_path: Path,
        program: Sequence[str] = ('-m', 'mle_sam_ros.ros.node'),
    ) -> None:
        """Prepare.

        Args:
            parameters: of the node, by name.
            remappings: topic relative to the node's namespace, to the name to use instead.
            environment: of the process.
            log_path: takes its output.
            program: what Python runs; another one for a node with another engine.
        """
        self._command = [sys.executable, *program, '--ros-args']
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            self._command += ['-p', f'{name}:={text}']
        for source, target in remappings.items():
            self._command += ['-r', f'{source}:={target}']
        self._environment = dict(environment)
        self._log_path = log_path

    def __enter__(self) -> 'NodeProcess':
        with self._log_path.open('wb') as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def wait_until_active(self, timeout_s: float = 120.0) -> None:
        """Wait until the engine is proven and the node subscribes.

        Raises:
            InputError: if it ends, fails to configure, or takes too long; with its own words.
        """
        with NodeClient() as client:
            state = client.state(timeout_s, lambda: self._process.poll() is None)
        if state != State.PRIMARY_STATE_ACTIVE:
            raise InputError(
                f'node: expected it to become active, got: {self._last_error()}; correct that'
            )

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._process.pid

    def stop(self, timeout_s: float = 15.0, number: signal.Signals = signal.SIGINT) -> int:
        """Ask the node to end, as a launch system does, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def finish(self) -> None:
        """End the node, and check that it lived until now and ended well.

        Raises:
            InputError: if it did not; with its own words.
        """
        lived = self._process.poll() is None
        code = self.stop()
        if code or not lived:
            raise InputError(
                'node: expected it to live until it is told to end, and to end with 0, got '
                f'exit code {code} and: {self._last_error()}; start again, or report that'
            )

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _last_error(self) -> str:
        lines = self._log_path.read_text(errors='replace').splitlines() or ['nothing']
        errors = [line for line in lines if 'ERROR' in line]
        return (errors or lines)[-1]
