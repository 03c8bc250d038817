"""The perception node: messages in, `core.pipeline` in between, messages out."""

from collections.abc import Callable
from contextlib import ExitStack
import signal
import sys
import threading
import time
import traceback
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mle_sam_ros.bags.calibration_file import read_calibration
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.pipeline import Pipeline, Prediction
from mle_sam_ros.core.warm_up import warm_up
from mle_sam_ros.ros.building import BuildReporter
from mle_sam_ros.ros.diagnostics import (
    diagnostic_array,
    ERROR,
    OK,
    Reporter,
    status,
    WARN,
)  # fmt: skip
from mle_sam_ros.ros.executor import new_executor
from mle_sam_ros.ros.inputs import Input, input_specs
from mle_sam_ros.ros.latency import Stopwatch
from mle_sam_ros.ros.memory import release_memory
from mle_sam_ros.ros.outputs import Outputs
from mle_sam_ros.ros.parameters import declare_parameters, NodeParameters
from mle_sam_ros.ros.worker import Worker
from mle_sam_ros.runtime.build import build_engine
from mle_sam_ros.runtime.built_engines import NotBuiltError
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.proof import DescribedEngine
from rcl_interfaces.msg import SetParametersResult
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

_DIAGNOSTICS_PERIOD_S = 1.0
_STOP_PERIOD_S = 0.2
_SUCCESS = TransitionCallbackReturn.SUCCESS
_FAILURE = TransitionCallbackReturn.FAILURE
_ERROR = TransitionCallbackReturn.ERROR
# Humble has no callback for parameters that everybody agreed to.
_HAS_POST_SET = hasattr(LifecycleNode, 'add_post_set_parameters_callback')


class PerceptionNode(LifecycleNode):
    """Publishes one mask per camera frame, from whatever sensors are alive.

    Configuring loads the bundle and proves its engine; activating subscribes and starts the
    worker. Callbacks only queue messages: all work is the worker's. Diagnostics come from a timer
    in every state, so that a node that could not be configured says why.

    A transition fails, and leaves the state it came from, for an `InputError`; anything else is an
    error: the node then lets everything go and is unconfigured again.

    Attributes:
        parameters: as they are now.
        is_configuring: whether it is at that, which may take minutes.
    """

    def __init__(self, *, namespace: str = 'mle_sam', **arguments: Any) -> None:
        """Declare parameters and start the diagnostics.

        Args:
            namespace: of the node and of its topics; one of its own for each node of a machine.
            **arguments: as for `rclpy` nodes.
        """
        super().__init__('perception', namespace=namespace, **arguments)
        self.parameters = declare_parameters(self)
        self.is_configuring = False
        self._bundle: Bundle | None = None
        self._engine: Any = None
        self._calibration = Calibration()
        self._pipeline: Pipeline | None = None
        self._worker: Worker | None = None
        self._outputs: Outputs | None = None
        self._inputs: dict[str, Input] = {}
        self._running = ExitStack()  # what activating began, for deactivating to end
        self._failure = ''
        self._building = ''
        self._faults: dict[str, str] = {}
        self._stopwatch = Stopwatch()
        self._reporter: Reporter | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._watch_parameters()
        # On the steady clock: under simulated time without /clock other timers never fire.
        self.create_timer(
            _DIAGNOSTICS_PERIOD_S,
            self._diagnose,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    # Life cycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the bundle, build the engine if asked to, prove it, compile the kernels."""
        return self._guarded(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Advertise, subscribe and start the worker."""
        return self._guarded(self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe, finish the frame at hand and take the outputs down."""
        return self._guarded(self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the engine go, and its memory."""
        return self._guarded(self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs, and let everything go."""
        return self._guarded(self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let everything go after an error: the node is unconfigured then, and says why."""
        failure = self._failure
        result = self._guarded(self._release)
        self._failure = failure
        return result

    def start(self) -> None:
        """Configure and activate without a lifecycle manager; a failure shows in diagnostics."""
        if self.trigger_configure() == _SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Stop the worker and let the engine go; the node is not used afterwards."""
        self._release()

    def _guarded(self, transition: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            transition()
        except InputError as error:
            self._failure = str(error)
            self.get_logger().error(self._failure)
            return _FAILURE
        except Exception as error:
            self._failure = f'perception: {type(error).__name__}: {error}'
            self.get_logger().error(f'{self._failure}\n{traceback.format_exc()}')
            return _ERROR
        self._failure = ''
        return _SUCCESS

    def _configure(self) -> None:
        self.parameters.check()
        with ExitStack() as undo:
            undo.callback(self._release)
            self.is_configuring = True
            self._bundle = Bundle.open(self.parameters.bundle)
            # What could not be subscribed to is better told now than when activating.
            input_specs(self._bundle.manifest, self.parameters)
            path = self.parameters.calibration_file
            self._calibration = read_calibration(path) if path else Calibration()
            self._engine = self._open_engine()
            warm_up(self._bundle.manifest)
            self.is_configuring = False
            undo.pop_all()
        self.get_logger().info(f'{self._bundle.directory} on {self._engine.description}: proven')

    def _open_engine(self) -> DescribedEngine:
        try:
            return self._open_proven()
        except NotBuiltError:
            if self.parameters.unbuilt_engine == 'refuse':
                raise
        try:
            build_engine(
                self._bundle,
                self.parameters.backend,
                progress=BuildReporter(self._report_building),
            )
        finally:
            self._building = ''
        return self._open_proven()

    def _open_proven(self) -> DescribedEngine:
        parameters = self.parameters
        return open_engine(
            self._bundle,
            parameters.backend,
            parameters.threads or None,
            parameters.reuse_features,
        )

    def _report_building(self, text: str) -> None:
        # Configuring keeps the executor busy, so that no timer would tell.
        self._building = text
        self.get_logger().info(text)
        self._diagnose()

    def _activate(self) -> None:
        manifest = self._bundle.manifest
        specs = input_specs(manifest, self.parameters)
        self._stopwatch, self._faults = Stopwatch(), {}
        with ExitStack() as running:
            running.callback(self._forget)
            self._pipeline = Pipeline(
                manifest,
                self._engine,
                self._calibration,
                self.parameters,
                time.perf_counter_ns,
            )
            self._reporter = Reporter(manifest.modality_names, self._stopwatch)
            self._outputs = Outputs(self, manifest, self.parameters.overlay_opacity)
            running.callback(self._outputs.destroy)
            self._worker = Worker(
                self._pipeline,
                lambda: self.get_clock().now().nanoseconds,
                self._publish,
                self._report_fault,
                self._stopwatch,
            )
            self._worker.start()
            running.callback(self._worker.stop)
            for spec in specs:
                source = self._inputs[spec.stream] = Input(self, spec, self._worker.submit)
                running.callback(source.destroy)
            self._running = running.pop_all()
        self.get_logger().info(
            'active on ' + ', '.join(source.topic for source in self._inputs.values())
        )

    def _deactivate(self) -> None:
        """End, in reverse order, all that activating began, even where one of them fails."""
        self._running.close()

    def _forget(self) -> None:
        self._inputs = {}
        self._pipeline = self._worker = self._outputs = None

    def _release(self) -> None:
        try:
            self._deactivate()
        finally:
            self.is_configuring = False
            self._engine = self._bundle = None
            self._calibration = Calibration()
            release_memory()

    # Parameters

    def _watch_parameters(self) -> None:
        self.add_on_set_parameters_callback(self._check_parameters)
        if _HAS_POST_SET:
            self.add_post_set_parameters_callback(self._adopt_parameters)

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            changed = self._changed(parameters)
            if self._bundle is not None:
                changed.alignment.streams(self._bundle.manifest, changed.num_lidars)
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if not _HAS_POST_SET:
            self._adopt_parameters(parameters)
        return SetParametersResult(successful=True)

    def _adopt_parameters(self, parameters: list[Parameter]) -> None:
        self.parameters = self._changed(parameters)
        if self._worker is not None:
            self._outputs.opacity = self.parameters.overlay_opacity
            self._worker.retune(self.parameters.alignment)

    def _changed(self, parameters: list[Parameter]) -> NodeParameters:
        changes = {parameter.name: parameter.value for parameter in parameters}
        return self.parameters.changed(changes, is_configured=self._bundle is not None)

    # Called by the worker

    def _publish(self, prediction: Prediction) -> None:
        self._outputs.publish(prediction, self._pipeline.projection.camera)
        self._reporter.observe(prediction)

    def _report_fault(self, stream: str, message: str) -> None:
        if message == self._lack(stream):
            return  # a state that the input's status shows, not an incident
        if stream in self._inputs:
            self._inputs[stream].report_fault(message)
        else:
            self._faults[stream] = message
        self.get_logger().error(message, throttle_duration_sec=1.0)

    # Diagnostics

    def _diagnose(self) -> None:
        statuses = [self._engine_status()]
        if self._worker is not None:
            statuses += self._reporter.statuses(
                list(self._inputs.values()),
                self._lack,
                self._worker.counters,
                self.parameters.diagnostics,
            )
        model = self._bundle.manifest.model if self._bundle else ''
        array = diagnostic_array(
            statuses, self.get_fully_qualified_name(), model, self.get_clock().now().to_msg()
        )
        self._diagnostics.publish(array)

    def _lack(self, stream: str) -> str | None:
        """What a sensor's calibration lacks, in one line; None for other streams."""
        pipeline = self._pipeline
        is_sensor = stream in pipeline.assembler.stream_accounts
        return pipeline.projection.missing(stream) if is_sensor else None

    def _engine_status(self) -> DiagnosticStatus:
        if self._building:
            return status('engine', WARN, self._building, {})
        if self._failure:
            return status('engine', ERROR, self._failure, {})
        if self._engine is None:
            return status('engine', WARN, 'not configured', {})
        values = {
            'bundle': str(self._bundle.directory),
            'bundle_sha256': self._bundle.identity,
            'model': self._bundle.manifest.model,
            'revision': self._bundle.manifest.revision,
            'engine': self._engine.description,
            'state': 'active' if self._worker else 'inactive',
        }
        if 'engine' in self._faults:
            return status('engine', ERROR, self._faults.pop('engine'), values)
        if self._is_without_clock():
            message = 'use_sim_time is set, but nothing arrives on /clock: start the player'
            self.get_logger().warning(message, throttle_duration_sec=10.0)
            return status('engine', WARN, message, values)
        return status('engine', OK, values['state'], values)

    def _is_without_clock(self) -> bool:
        return self.get_clock().ros_time_is_active and self.get_clock().now().nanoseconds == 0


def main(arguments: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit code."""
    # Our own handlers: rclpy's take the middleware away while the worker may still publish.
    stop, nodes = threading.Event(), []

    def end(*_: Any) -> None:
        stop.set()
        if any(node.is_configuring for node in nodes):
            raise KeyboardInterrupt  # nothing is published yet, and nobody waits for minutes

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = PerceptionNode()
    except InputError as error:
        print(error, file=sys.stderr)
        rclpy.shutdown()
        return 2
    executor = new_executor(node.parameters.executor)
    executor.add_node(node)
    nodes.append(node)
    try:
        if node.parameters.autostart:
            node.start()
        while not stop.is_set():
            executor.spin_once(timeout_sec=_STOP_PERIOD_S)
    except KeyboardInterrupt:
        node.get_logger().info('ended while it was configuring')
    # A terminal and a launch system both send theirs; Python would die of the second one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    node.close()
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
