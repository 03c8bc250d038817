"""The node's parameters: a dataclass holds names, defaults and descriptions, ROS mirrors it.

A parameter is its dotted field path (`alignment.camera.wait_ns`); its description is the
field's line under `Attributes:`. An optional integer is declared as 0 for None.
"""

import dataclasses
from dataclasses import dataclass, field
import inspect
import re
from typing import Any

from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.executor import EXECUTORS
from mle_sam_ros.runtime.build import COMPILED_BACKENDS
from mle_sam_ros.runtime.engine import BACKENDS
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

_SECOND = 1_000_000_000
_BACKENDS = ('auto', *BACKENDS, *COMPILED_BACKENDS)
_UNBUILT_ENGINE = ('refuse', 'build')
_EVENT_MESSAGES = ('auto', 'packet', 'point_cloud2')
# Not settings of the vehicle: names are fixed, the window belongs to the model.
_HIDDEN = {'name', 'window_ns'}
_RANGES: dict[str, tuple[float, float]] = {
    'threads': (0, 256),
    'overlay_opacity': (0.0, 1.0),
    'offset_ns': (-10 * _SECOND, 10 * _SECOND),
    'buffer_bytes': (1, 1 << 36),
}


@dataclass(frozen=True)
class NodeParameters:
    """What an integrator sets. Everything about the model stands in the bundle.

    Attributes:
        bundle: directory of the exported model.
        calibration_file: YAML with camera models and extrinsics; empty to take them from
            CameraInfo and /tf_static. What the file names wins over /tf_static.
        backend: engine that runs the bundle: auto, onnx or openvino; or tensorrt or torch, for
            which it is built first, with mle-sam build-engine.
        unbuilt_engine: what configuring does where that was not done: refuse, and say what to
            type; or build, which takes minutes and is reported on /diagnostics.
        threads: of the engine; 0 lets it choose.
        reuse_features: encode a LiDAR sweep once for all the camera frames that it serves; the
            masks are the same.
        autostart: configure and activate at once; otherwise a lifecycle manager does.
        event_message: type on the events topic: packet (event_camera_msgs), point_cloud2, or auto
            for packet where event_camera_msgs is installed.
        executor: what spins the node's own process: events, or classic where that makes trouble.
        overlay_opacity: of the colours over the camera image, 0 to 1.
        alignment: how the streams are paired in time.
    """

    bundle: str = ''
    calibration_file: str = ''
    backend: str = 'auto'
    unbuilt_engine: str = 'refuse'
    threads: int = 0
    reuse_features: bool = False
    autostart: bool = True
    event_message: str = 'auto'
    executor: str = 'events'
    overlay_opacity: float = 0.5
    alignment: Alignment = field(default_factory=Alignment)

    def check(self) -> None:
        """Reject values that no range can describe.

        Raises:
            InputError: for a missing bundle, or a word that is none of its parameter's.
        """
        if not self.bundle:
            raise InputError(
                'parameter bundle: expected the directory of a bundle, got nothing; '
                'set it (ros2 launch … bundle:=engines/nano)'
            )
        choices = {
            'backend': _BACKENDS,
            'unbuilt_engine': _UNBUILT_ENGINE,
            'event_message': _EVENT_MESSAGES,
            'executor': EXECUTORS,
        }
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                raise InputError(
                    f'parameter {name}: expected {", ".join(valid)}, got '
                    f'{getattr(self, name)!r}; correct it'
                )


def declare_parameters(node: Node) -> NodeParameters:
    """Declare every parameter, read-only, and return the values given at the start.

    Raises:
        InputError: for a value of the wrong type, or out of its range.
    """
    return _declare(node, NodeParameters(), '')


def parameter_names() -> list[str]:
    """Names of all parameters, in order."""
    return list(_leaves(NodeParameters(), ''))


def _leaves(defaults: Any, prefix: str) -> dict[str, Any]:
    leaves = {}
    for item in dataclasses.fields(defaults):
        value = getattr(defaults, item.name)
        if dataclasses.is_dataclass(value):
            leaves.update(_leaves(value, f'{prefix}{item.name}.'))
        elif item.name not in _HIDDEN:
            leaves[prefix + item.name] = value
    return leaves


def _declare(node: Node, defaults: Any, prefix: str) -> Any:
    descriptions = _descriptions(type(defaults))
    values = {}
    for item in dataclasses.fields(defaults):
        default = getattr(defaults, item.name)
        if dataclasses.is_dataclass(default):
            values[item.name] = _declare(node, default, f'{prefix}{item.name}.')
        elif item.name not in _HIDDEN:
            name = prefix + item.name
            descriptor = _descriptor(item.name, default, descriptions.get(item.name, ''))
            values[item.name] = _declare_one(node, name, default, descriptor)
    return dataclasses.replace(defaults, **values)


def _declare_one(node: Node, name: str, default: Any, descriptor: ParameterDescriptor) -> Any:
    declared = 0 if default is None else default
    try:
        value = node.declare_parameter(name, declared, descriptor).value
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise InputError(
            f'parameter {name}: expected {type(declared).__name__} within its range, got '
            f'{str(error)!r}; correct the parameter file or argument'
        ) from None
    return None if default is None and value == 0 else value


def _descriptor(name: str, default: Any, description: str) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=description, read_only=True)
    if isinstance(default, bool | str):
        return descriptor
    low, high = _RANGES.get(name, (0, 60 * _SECOND))
    if isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    else:
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor


def _descriptions(record_type: type) -> dict[str, str]:
    """Field to text, from the `Attributes:` section of a class's docstring."""
    _, _, section = (inspect.getdoc(record_type) or '').partition('Attributes:\n')
    entries = re.findall(r'^    (\w+): (.+(?:\n {6,}.+)*)', section, re.MULTILINE)
    return {name: re.sub(r'\s+', ' ', text) for name, text in entries}
