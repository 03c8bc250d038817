"""The node's parameters: a dataclass holds names, defaults and descriptions, ROS mirrors it.

A parameter is its dotted field path (`alignment.camera.wait_ns`); its description is the
field's line under `Attributes:`. An optional number is declared as 0 for None.
"""

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass, field
import inspect
import re
from typing import Any, get_args, get_type_hints

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.health import HealthLimits
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.ros.executor import EXECUTORS
from mle_sam_ros.runtime.build import COMPILED_BACKENDS
from mle_sam_ros.runtime.engine import BACKENDS
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

AT_ONCE = 'at once'
AT_CONFIGURE = 'at the next configure'
AT_START = 'at the start of the process'

_SECOND = 1_000_000_000
# Parameters, or whole groups of them; all others take effect at the next configure.
_MOMENTS = {
    'overlay_opacity': AT_ONCE,
    'alignment': AT_ONCE,
    'diagnostics': AT_ONCE,
    'autostart': AT_START,
    'executor': AT_START,
}
_CHOICES: dict[str, tuple[str, ...]] = {
    'backend': ('auto', *BACKENDS, *COMPILED_BACKENDS),
    'unbuilt_engine': ('refuse', 'build'),
    'camera_message': ('raw', 'compressed'),
    'event_message': ('auto', 'packet', 'point_cloud2'),
    'motion': ('none', 'odometry', 'twist', 'tf'),
    'executor': EXECUTORS,
}
# Not settings of the vehicle: names are fixed, the window belongs to the model.
_HIDDEN = {'name', 'window_ns'}
# By the last part of the name; times are below a minute.
_RANGES: dict[str, tuple[float, float]] = {
    'threads': (0, 256),
    'num_lidars': (1, 8),
    'overlay_opacity': (0.0, 1.0),
    'intensity_scale': (0.0, 1000.0),
    'stale_after_s': (0.1, 60.0),
    'error_after_s': (0.0, 3600.0),
    'suspect_after_s': (0.0, 3600.0),
    'max_processing_time_ms': (0.0, 60_000.0),
    'middle_ns': (-_SECOND, _SECOND),
    'offset_ns': (-10 * _SECOND, 10 * _SECOND),
    'buffer_bytes': (1, 1 << 36),
}


@dataclass(frozen=True)
class NodeParameters(RigSettings):
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
        camera_message: type of the camera's messages: raw (Image on camera/image), or compressed
            (CompressedImage on camera/image/compressed).
        event_message: type on the events topic: packet (event_camera_msgs), point_cloud2, or auto
            for packet where event_camera_msgs is installed.
        moving_extrinsics: take /tf as well as /tf_static, for sensors that move on the vehicle.
        executor: what spins the node's own process: events, or classic where that makes trouble.
        overlay_opacity: of the colours over the camera image, 0 to 1.
        diagnostics: when /diagnostics complains.
    """

    bundle: str = ''
    calibration_file: str = ''
    backend: str = 'auto'
    unbuilt_engine: str = 'refuse'
    threads: int = 0
    reuse_features: bool = False
    autostart: bool = True
    camera_message: str = 'raw'
    event_message: str = 'auto'
    moving_extrinsics: bool = False
    executor: str = 'events'
    overlay_opacity: float = 0.5
    diagnostics: HealthLimits = field(default_factory=HealthLimits)

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
        for setting in settings():
            setting.check(_leaves(self, '')[setting.name])
        if self.motion == 'tf' and not self.fixed_frame:
            raise InputError(
                'parameter fixed_frame: expected the frame in which the world stands still, got '
                'nothing; motion tf needs it, such as odom'
            )

    def changed(self, changes: Mapping[str, Any], is_configured: bool) -> 'NodeParameters':
        """These parameters with others set.

        Args:
            changes: values as ROS declares them, by name; those of other owners are left out.
            is_configured: whether the node is, so that some must stay as they are.

        Raises:
            InputError: for a value that is none, or one that cannot change now.
        """
        values = _leaves(self, '')
        for setting in settings():
            if setting.name not in changes:
                continue
            value = setting.to_value(changes[setting.name])
            setting.check(value)
            if setting.takes_effect == AT_CONFIGURE and is_configured:
                raise InputError(
                    f'parameter {setting.name}: expected to be set while the node is '
                    'unconfigured, got a configured one; run ros2 lifecycle set … cleanup first'
                )
            values[setting.name] = value
        return _assembled(NodeParameters(), values, '')


@dataclass(frozen=True)
class Setting:
    """One parameter, as an integrator sees it.

    Attributes:
        name: dotted field path.
        type: bool, int, float or str.
        default: as ROS declares it.
        is_optional: whether 0 stands for None.
        description: one line.
        takes_effect: `AT_ONCE`, `AT_CONFIGURE` or `AT_START`.
        range: of a number, lowest and highest.
        choices: of a word; empty for any text.
    """

    name: str
    type: type
    default: bool | int | float | str
    is_optional: bool
    description: str
    takes_effect: str
    range: tuple[float, float] | None
    choices: tuple[str, ...]

    def to_value(self, declared: Any) -> Any:
        """The dataclass's value for one that ROS holds."""
        return None if self.is_optional and declared == 0 else declared

    def check(self, value: Any) -> None:
        """Reject a word that is none of the choices; ranges are ROS's work."""
        if self.choices and value not in self.choices:
            raise InputError(
                f'parameter {self.name}: expected {", ".join(self.choices)}, got {value!r}; '
                'correct it'
            )

    def to_descriptor(self) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        constraints = [f'takes effect {self.takes_effect}']
        if self.takes_effect == AT_CONFIGURE:
            constraints.append('can be set while the node is unconfigured')
        if self.choices:
            constraints.append(f'one of {", ".join(self.choices)}')
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints='; '.join(constraints),
            read_only=self.takes_effect == AT_START,
        )
        if self.range is not None:
            low, high = map(self.type, self.range)
            if self.type is float:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=low, to_value=high)
                ]
            else:
                descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        return descriptor


def settings() -> list[Setting]:
    """All parameters, in order."""
    return _settings(NodeParameters(), '')


def declare_parameters(node: Node) -> NodeParameters:
    """Declare every parameter and return the values given at the start.

    Raises:
        InputError: for a value of the wrong type, or out of its range.
    """
    values = {setting.name: _declare(node, setting) for setting in settings()}
    return _assembled(NodeParameters(), values, '')


def changed_values(parameters: NodeParameters) -> dict[str, bool | int | float | str]:
    """What is not as by default, by name, as ROS declares it: for the command line of a node."""
    values = _leaves(parameters, '')
    declared = {
        setting.name: setting.type() if values[setting.name] is None else values[setting.name]
        for setting in settings()
    }
    return {s.name: declared[s.name] for s in settings() if declared[s.name] != s.default}


def _declare(node: Node, setting: Setting) -> Any:
    try:
        declared = node.declare_parameter(
            setting.name, setting.default, setting.to_descriptor()
        ).value
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise InputError(
            f'parameter {setting.name}: expected {setting.type.__name__} within its range, got '
            f'{str(error)!r}; correct the parameter file or argument'
        ) from None
    return setting.to_value(declared)


def _settings(record: Any, prefix: str) -> list[Setting]:
    descriptions, hints = _descriptions(type(record)), get_type_hints(type(record))
    found = []
    for item in dataclasses.fields(record):
        name, default = prefix + item.name, getattr(record, item.name)
        if dataclasses.is_dataclass(default):
            found += _settings(default, f'{name}.')
        elif item.name not in _HIDDEN:
            options = get_args(hints[item.name])  # of X | None
            kind = options[0] if options else hints[item.name]
            found.append(
                Setting(
                    name,
                    kind,
                    kind() if default is None else default,
                    bool(options),
                    descriptions.get(item.name, ''),
                    _MOMENTS.get(name.partition('.')[0], AT_CONFIGURE),
                    _RANGES.get(item.name, (0, 60 * _SECOND)) if kind in (int, float) else None,
                    _CHOICES.get(name, ()),
                )
            )
    return found


def _leaves(record: Any, prefix: str) -> dict[str, Any]:
    """Every parameter's value, by name."""
    leaves = {}
    for item in dataclasses.fields(record):
        name, value = prefix + item.name, getattr(record, item.name)
        if dataclasses.is_dataclass(value):
            leaves.update(_leaves(value, f'{name}.'))
        elif item.name not in _HIDDEN:
            leaves[name] = value
    return leaves


def _assembled(record: Any, values: Mapping[str, Any], prefix: str) -> Any:
    """The record with these values, by name; the opposite of `_leaves`."""
    changes = {}
    for item in dataclasses.fields(record):
        name, value = prefix + item.name, getattr(record, item.name)
        if dataclasses.is_dataclass(value):
            changes[item.name] = _assembled(value, values, f'{name}.')
        elif name in values:
            changes[item.name] = values[name]
    return dataclasses.replace(record, **changes)


def _descriptions(record_type: type) -> dict[str, str]:
    """Field to text, from the `Attributes:` sections of a class and of those it derives from."""
    texts = {}
    for kind in reversed(record_type.__mro__):
        _, _, section = (inspect.getdoc(kind) or '').partition('Attributes:\n')
        entries = re.findall(r'^    (\w+): (.+(?:\n {6,}.+)*)', section, re.MULTILINE)
        texts.update({name: re.sub(r'\s+', ' ', text) for name, text in entries})
    return texts
