"""A node's parameter file, for those who replay what its rig recorded."""

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping
from mle_sam_ros.core.settings import RigSettings
import yaml

# Parameters that matter to a running node alone.
NODE_ONLY = frozenset(
    {
        'autostart', 'backend', 'bundle', 'calibration_file', 'camera_message', 'diagnostics',
        'event_message', 'executor', 'moving_extrinsics', 'overlay_opacity', 'reuse_features',
        'threads', 'unbuilt_engine', 'use_sim_time',
    }
)  # fmt: skip

# Of these 0 stands for none.
_OPTIONAL = frozenset({'default_period_ns'})


def read_rig_settings(path: Path | str) -> RigSettings:
    """What a ROS parameter file says of the rig; what it leaves out keeps its default.

    Args:
        path: YAML as `config/perception.yaml`, with the parameters of one node.

    Raises:
        InputError: where there is none, it is no parameter file, or it holds a parameter that the
            node does not have, or a value that cannot be.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected a parameter file (YAML), got {reason}; give the right path'
        ) from None
    parameters = _parameters(content, str(path))
    _check_names(parameters, str(path))
    given = {name: value for name, value in parameters.items() if name not in NODE_ONLY}
    settings = from_mapping(RigSettings, _overlaid(to_mapping(RigSettings()), given), str(path))
    _ = settings.motion_settings  # checks the words
    return settings


def _check_names(parameters: Mapping[str, Any], source: str) -> None:
    """Refuse names that neither the rig nor the node alone has."""
    known = sorted({field.name for field in fields(RigSettings)} | NODE_ONLY)
    unknown = [str(name) for name in parameters if name not in known]
    if unknown:
        near = get_close_matches(unknown[0], known, 1)
        remedy = f'did you mean {near[0]}?' if near else 'remove it'
        raise InputError(
            f'{source}: expected only parameters of the node ({", ".join(known)}), got '
            f'{", ".join(unknown)}; {remedy}'
        )


def _parameters(content: Any, source: str) -> Mapping[str, Any]:
    nodes = list(content.values()) if isinstance(content, Mapping) else []
    if len(nodes) == 1 and isinstance(nodes[0], Mapping):
        parameters = nodes[0].get('ros__parameters')
        if isinstance(parameters, Mapping):
            return parameters
    if isinstance(content, Mapping) and {'cameras', 'camera_from'} & content.keys():
        raise InputError(
            f'{source}: expected a parameter file, got a calibration; give it with --calibration'
        )
    raise InputError(
        f'{source}: expected the parameters of one node below ros__parameters, got '
        f'{" ".join(str(content).split())[:60]}; write it as config/perception.yaml'
    )


def _overlaid(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, but for what is given."""
    overlaid = dict(defaults)
    for name, value in given.items():
        default = defaults.get(name)
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            overlaid[name] = _overlaid(default, value)
        else:
            # ROS has no way to say none.
            overlaid[name] = None if name in _OPTIONAL and value == 0 else value
    return overlaid
