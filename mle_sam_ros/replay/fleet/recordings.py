"""The recordings of a fleet, and what their results are called."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from glob import glob, has_magic
import os
from pathlib import Path

from mle_sam_ros.bags import packed
from mle_sam_ros.bags.directory import METADATA_NAME, storage_suffix
from mle_sam_ros.core.errors import InputError


def find_recordings(patterns: Sequence[str]) -> list[Path]:
    """Find the recordings that a user named.

    Args:
        patterns: recordings, directories of recordings, and patterns of both, as a shell knows
            them; `**` stands for directories at any depth. What is named twice counts once, and a
            file that `metadata.yaml` beside it makes part of a recording stands for all of that.

    Returns:
        Absolute paths in order.

    Raises:
        InputError: for a pattern that finds no recording.
    """
    found: list[Path] = []
    for pattern in patterns:
        recordings = [_whole(path) for path in _named(pattern) for path in _recordings_at(path)]
        if not recordings:
            raise InputError(
                f'{pattern}: expected .mcap, .db3 or .bag files, or rosbag2 directories, got '
                'none; correct the path, and quote a pattern'
            )
        found += recordings
    # Links may name a recording twice; of its names, the last one stays.
    return sorted({path.resolve(): path for path in sorted(found)}.values())


def result_names(recordings: Collection[Path], reserved: Iterable[str] = ()) -> dict[str, Path]:
    """Give each recording a name of its own for its results.

    That of the file without its suffix, where no other has it; else with as many directories as it
    takes: `drive`, `monday--drive`. Where recordings of one directory differ in nothing but the
    suffix, it stays: `drive.db3`, `drive.mcap`. The names depend on the paths alone.

    Args:
        recordings: absolute paths, without repetition.
        reserved: names that are none.

    Returns:
        Name to recording, in order of name.

    Raises:
        InputError: for paths that no such names tell apart.
    """
    # Some file systems do not tell upper from lower case.
    taken = {name.casefold() for name in reserved}
    twins = Counter((path.parent, _stem(path).casefold()) for path in recordings)
    parts = {
        path: [
            *path.parts[1:-1],
            _stem(path) if twins[path.parent, _stem(path).casefold()] == 1 else path.name,
        ]
        for path in recordings
    }
    names: dict[str, Path] = {}
    left, length = list(recordings), 1
    while left:
        if length > max(len(parts[path]) for path in left):
            raise InputError(
                f'{left[0]}: expected a path unlike the others, got {left[-1]}; rename one'
            )
        candidates: dict[str, list[Path]] = {}
        for path in left:
            candidates.setdefault('--'.join(parts[path][-length:]).casefold(), []).append(path)
        left = []
        for key, paths in candidates.items():
            if len(paths) == 1 and key not in taken:
                names['--'.join(parts[paths[0]][-length:])] = paths[0]
            else:
                left += paths
        taken |= candidates.keys()
        length += 1
    return dict(sorted(names.items()))


def _named(pattern: str) -> list[Path]:
    """What a pattern names; a path that exists is no pattern, whatever characters it has."""
    path = Path(pattern).expanduser()
    if path.exists() or not has_magic(pattern):
        return [path] if path.exists() else []
    return [Path(match) for match in glob(str(path), recursive=True)]


def _recordings_at(path: Path) -> list[Path]:
    """The recording there, or, in a directory that is none itself, the ones in it."""
    if _is_recording(path):
        return [path]
    return [item for item in path.iterdir() if _is_recording(item)] if path.is_dir() else []


def _is_recording(path: Path) -> bool:
    if path.is_dir():
        return (path / METADATA_NAME).is_file()
    return path.is_file() and storage_suffix(path) is not None


def _whole(path: Path) -> Path:
    path = Path(os.path.abspath(path))
    return path.parent if path.is_file() and _is_recording(path.parent) else path


def _stem(path: Path) -> str:
    """The name without the suffixes of recordings."""
    suffix = storage_suffix(path) if path.is_file() else None
    return path.name.removesuffix(packed.SUFFIX).removesuffix(suffix) if suffix else path.name
