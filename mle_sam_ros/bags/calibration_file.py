"""Calibration files: our own YAML, Kalibr's camchain, and MUSES' calib.json."""

from collections.abc import Mapping
from pathlib import Path

from mle_sam_ros.bags.kalibr import is_camchain, parse_camchain
from mle_sam_ros.bags.muses_calibration import is_muses_calibration, parse_muses_calibration
from mle_sam_ros.core.calibration import Calibration, calibration_mapping, parse_calibration
from mle_sam_ros.core.errors import InputError
import yaml

# A camchain has a few kilobytes; what is far larger is another file.
_MAX_BYTES = 1 << 20


def read_calibration(
    path: Path | str, kalibr_cameras: Mapping[str, str] | None = None
) -> Calibration:
    """Read a calibration file, whichever of the three it is.

    Args:
        path: the file.
        kalibr_cameras: `camera` and `event` to their names in a Kalibr camchain (`cam0`), where
            its topics do not tell.

    Raises:
        InputError: where there is none, or it is not a calibration.
    """
    content = load_yaml(path)
    if is_camchain(content):
        return parse_camchain(content, str(path), kalibr_cameras or {})
    if is_muses_calibration(content):
        return parse_muses_calibration(content, str(path))
    if is_parameter_file(content):
        raise InputError(
            f"{path}: expected a calibration file, got a node's parameter file; give it with "
            '--params, or write a calibration with mle-sam calibration'
        )
    return parse_calibration(content, str(path))


def is_parameter_file(content: object) -> bool:
    """Whether this is what a ROS parameter file holds: parameters by node."""
    nodes = list(content.values()) if isinstance(content, Mapping) else []
    return any(isinstance(node, Mapping) and 'ros__parameters' in node for node in nodes)


def load_yaml(path: Path | str) -> object:
    """What a small YAML or JSON file holds.

    Raises:
        InputError: where there is none, or it is too large or damaged.
    """
    try:
        with Path(path).open(encoding='utf-8') as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f'more than {_MAX_BYTES} bytes')
        # JSON is YAML, but for the tabs that some indent it with.
        return yaml.safe_load(text.replace('\t', ' '))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected a calibration file (YAML), got {reason}; '
            'give the right path, or write one with mle-sam calibration'
        ) from None


def write_calibration(path: Path | str, calibration: Calibration) -> None:
    """Write a calibration file; `read_calibration` reads it back exactly."""
    text = yaml.safe_dump(calibration_mapping(calibration), default_flow_style=None)
    Path(path).write_text(text, encoding='utf-8')
