"""A directory of results that exists whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import tempfile

from mle_sam_ros.core.errors import InputError


@contextmanager
def output_directory(path: Path, names: frozenset[str]) -> Iterator[Path]:
    """Collect results in a temporary directory beside `path` and rename it when all went well.

    Args:
        path: the directory to make. One that exists is replaced if it holds nothing but `names`,
            which are then taken for the results of an earlier run.
        names: of every file or directory that a run may write.

    Yields:
        The directory to write to.

    Raises:
        InputError: where `path` holds anything else, or its parent cannot be written.
    """
    path = path.absolute()
    _check_replaceable(path, names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        room = tempfile.TemporaryDirectory(prefix=f'.{path.name}-', dir=path.parent)
    except OSError as error:
        raise InputError(
            f'{path}: expected a directory that can be written, got {error.strerror}; '
            'choose another output directory'
        ) from None
    with room:
        draft = Path(room.name) / 'draft'
        draft.mkdir()
        yield draft
        _check_replaceable(path, names)  # it may have changed since
        if path.exists():
            path.rename(Path(room.name) / 'replaced')
        draft.rename(path)


def _check_replaceable(path: Path, names: frozenset[str]) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f'{path}: expected a directory, got a file; choose another one')
    foreign = sorted({item.name for item in path.iterdir()} - names) if path.exists() else []
    if foreign:
        raise InputError(
            f'{path}: expected nothing, or only results of an earlier run, got {foreign[0]}; '
            'choose another output directory or remove this one'
        )
