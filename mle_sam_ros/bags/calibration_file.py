"""Calibration as a YAML file, in the format of `core.calibration`."""

from pathlib import Path

from mle_sam_ros.core.calibration import Calibration, calibration_mapping, parse_calibration
from mle_sam_ros.core.errors import InputError
import yaml


def read_calibration(path: Path | str) -> Calibration:
    """Read a calibration file.

    Raises:
        InputError: where there is none, or it is not a calibration.
    """
    try:
        mapping = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected a calibration file (YAML), got {reason}; '
            'give the right path, or write one with mle-sam calibration'
        ) from None
    return parse_calibration(mapping, str(path))


def write_calibration(path: Path | str, calibration: Calibration) -> None:
    """Write a calibration file; `read_calibration` reads it back exactly."""
    text = yaml.safe_dump(calibration_mapping(calibration), default_flow_style=None)
    Path(path).write_text(text, encoding='utf-8')
