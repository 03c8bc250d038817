"""HDF5 files of data sets: opened, looked into, refused where they are something else."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """The `h5py.File`; what goes wrong inside while reading names the file.

    Raises:
        InputError: where h5py is not installed, the file is none, or its codec is missing.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: expected the package h5py, got none; pip install 'mle_sam_ros[convert]'"
        ) from None
    # The codecs of many event files; importing it makes HDF5 find them.
    with suppress(ModuleNotFoundError):
        import hdf5plugin  # noqa: F401
    try:
        file = h5py.File(path, 'r')
    except OSError as error:
        raise _unreadable(path, error) from None
    with file:
        try:
            yield file
        except OSError as error:
            # Other files that are read or written meanwhile set a number.
            if error.errno is not None:
                raise
            raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> InputError:
    reason = ' '.join(str(error).split())
    remedy = (
        "pip install hdf5plugin, which is part of 'mle_sam_ros[convert]'"
        if 'filter' in reason
        else 'complete the data set'
    )
    return InputError(
        f'{path}: expected an HDF5 file that can be read, got {reason[:160]!r}; {remedy}'
    )


def dataset_of(file: Any, name: str, path: Path, shape: tuple[int | None, ...], kinds: str) -> Any:
    """A data set of an HDF5 file; nothing is read yet.

    Args:
        file: of `open_hdf5`, or a group of it.
        name: within the file.
        path: of the file, for error messages.
        shape: what it must have; None for any length.
        kinds: letters of `numpy.dtype.kind` that it may have.

    Raises:
        InputError: where it is missing or of another shape or type.
    """
    found = file.get(name)
    got = 'nothing' if found is None else type(found).__name__
    if hasattr(found, 'shape') and hasattr(found, 'dtype'):
        got = f'{found.shape} {found.dtype}'
        fits = len(found.shape) == len(shape) and all(
            expected is None or length == expected
            for length, expected in zip(found.shape, shape, strict=True)
        )
        if fits and found.dtype.kind in kinds:
            return found
    wanted = ' x '.join('N' if length is None else str(length) for length in shape) or 'one value'
    raise InputError(
        f'{path}: expected {name} with {wanted} of type {kinds}, got {got}; '
        'the file is of another data set or version'
    )
