"""A directory with a recording: which files belong to it."""

from pathlib import Path
from typing import Any

from mle_sam_ros.bags import packed
from mle_sam_ros.bags.metadata import noted_pairs
from mle_sam_ros.core.errors import InputError
import yaml

# MCAP and sqlite3 as rosbag2 writes them, and ROS 1.
SUFFIXES = ('.mcap', '.db3', '.bag')
METADATA_NAME = 'metadata.yaml'


def storage_suffix(path: Path) -> str | None:
    """One of `SUFFIXES`, whether or not the file is compressed as a whole; None for another."""
    plain = path.with_suffix('') if path.suffix == packed.SUFFIX else path
    return plain.suffix if plain.suffix in SUFFIXES else None


def storage_files(directory: Path) -> list[Path]:
    """The files that `metadata.yaml` lists, or, where there is none, those that lie there.

    Raises:
        InputError: for a directory without a recording, or with several kinds of them, or a file
            that is listed but missing or of another kind.
    """
    if (directory / METADATA_NAME).is_file():
        files = [directory / name for name in _listed(directory / METADATA_NAME)]
    else:
        files = sorted(item for item in directory.iterdir() if storage_suffix(item))
    if not files:
        raise InputError(
            f'{directory}: expected .mcap, .db3 or .bag files in the directory, got none; '
            'give a recording'
        )
    for file in files:
        if storage_suffix(file) is None:
            raise InputError(
                f'{file}: expected a .mcap or .db3 file, perhaps with {packed.SUFFIX} behind it, '
                f'got {file.suffix}; unpack it with "ros2 bag convert"'
            )
        if not file.is_file():
            raise InputError(
                f'{file}: expected the file that {METADATA_NAME} lists, got none; '
                'copy the whole recording again'
            )
    kinds = sorted({str(storage_suffix(file)) for file in files})
    if len(kinds) > 1:
        raise InputError(
            f'{directory}: expected the files of one recording, got {" and ".join(kinds)}; '
            'give one of the files'
        )
    return files


def directory_custom_data(directory: Path) -> dict[str, str]:
    """What `ros2 bag record --custom-data` noted in `metadata.yaml`; often nothing."""
    path = directory / METADATA_NAME
    return noted_pairs(_information(path).get('custom_data')) if path.is_file() else {}


def _listed(path: Path) -> list[str]:
    try:
        # Older releases list them with the name of the directory.
        return [Path(str(name)).name for name in _information(path)['relative_file_paths']]
    except (KeyError, TypeError) as error:
        raise _no_metadata(path, error) from None


def _information(path: Path) -> dict[str, Any]:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding='utf-8'))
        return dict(content['rosbag2_bagfile_information'])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise _no_metadata(path, error) from None
    except RecursionError:
        raise _no_metadata(path, ValueError('nested too deep')) from None


def _no_metadata(path: Path, error: Exception) -> InputError:
    return InputError(
        f'{path}: expected the metadata of rosbag2, got {type(error).__name__}: '
        f'{" ".join(str(error).split())[:80]!r}; run "ros2 bag reindex"'
    )
