"""A rosbag2 directory: which files belong to the recording."""

from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
import yaml

SUFFIXES = ('.mcap', '.db3')
_METADATA_NAME = 'metadata.yaml'


def storage_files(directory: Path) -> list[Path]:
    """The files that `metadata.yaml` lists, or, where there is none, those that lie there.

    Raises:
        InputError: for a directory without a recording, a file that is listed but missing, or
            a compressed one.
    """
    if (directory / _METADATA_NAME).is_file():
        files = [directory / name for name in _listed(directory / _METADATA_NAME)]
    else:
        files = sorted(item for item in directory.iterdir() if item.suffix in SUFFIXES)
    if not files:
        raise InputError(
            f'{directory}: expected .mcap or .db3 files in the directory, got none; '
            'give a ROS 2 recording'
        )
    for file in files:
        if file.suffix not in SUFFIXES:
            raise InputError(
                f'{file}: expected a .mcap or .db3 file, got {file.suffix}; '
                'unpack it with "ros2 bag convert"'
            )
        if not file.is_file():
            raise InputError(
                f'{file}: expected the file that {_METADATA_NAME} lists, got none; '
                'copy the whole recording again'
            )
    return files


def directory_custom_data(directory: Path) -> dict[str, str]:
    """What `ros2 bag record --custom-data` noted in `metadata.yaml`; often nothing."""
    path = directory / _METADATA_NAME
    noted = _information(path).get('custom_data') if path.is_file() else None
    return {str(k): str(v) for k, v in noted.items()} if isinstance(noted, dict) else {}


def _listed(path: Path) -> list[str]:
    information = _information(path)
    try:
        names = [Path(str(name)).name for name in information['relative_file_paths']]
        is_packed = str(information.get('compression_mode', '')).upper() == 'MESSAGE'
    except (KeyError, TypeError) as error:
        raise _no_metadata(path, error) from None
    if is_packed:
        raise InputError(
            f'{path}: expected messages that are not compressed one by one, got compression_mode '
            'MESSAGE; unpack them with "ros2 bag convert"'
        )
    return names


def _information(path: Path) -> dict[str, Any]:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding='utf-8'))
        return dict(content['rosbag2_bagfile_information'])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise _no_metadata(path, error) from None


def _no_metadata(path: Path, error: Exception) -> InputError:
    return InputError(
        f'{path}: expected the metadata of rosbag2, got {type(error).__name__}: '
        f'{" ".join(str(error).split())[:80]!r}; run "ros2 bag reindex"'
    )
