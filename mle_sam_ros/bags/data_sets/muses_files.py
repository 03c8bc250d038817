"""The sensors' own files of MUSES: LiDAR sweeps and event streams."""

from pathlib import Path

from mle_sam_ros.bags.data_sets.hdf5_file import dataset_of, open_hdf5
from mle_sam_ros.bags.muses_calibration import EVENT_HW
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import EMPTY, Events
import numpy as np

_COLUMNS = 6
_ROW_BYTES = 8 * _COLUMNS


def read_rows(path: Path) -> np.ndarray:
    """Read a sweep.

    Returns:
        (N, 6) float64: x, y, z in metres, intensity, ring, time in seconds.

    Raises:
        InputError: for a file that holds no whole rows, or no finite point.
    """
    num_bytes = path.stat().st_size
    if num_bytes == 0 or num_bytes % _ROW_BYTES:
        raise InputError(
            f'{path}: expected rows of {_COLUMNS} float64 ({_ROW_BYTES} bytes), got {num_bytes} '
            'bytes; download it again'
        )
    rows = np.fromfile(path, np.float64).reshape(-1, _COLUMNS)
    if not np.isfinite(rows[:, :3]).all(axis=1).any():
        raise InputError(
            f'{path}: expected finite coordinates, got none in {len(rows)} points; '
            'download it again'
        )
    return rows


def read_events(path: Path, window_ns: int) -> Events:
    """Read the end of an event stream.

    The window ends at the last event of the file, as the SDK's does, and not at mid-exposure: the
    published statistics were measured so, and nothing says that the clock of the events is the
    one that the exposure is stamped with. Of events at its very start the SDK keeps those of the
    same microsecond; here the window is open there, as on the vehicle.

    Args:
        path: `.h5` with events/x, y, t (microseconds) and p (1 brighter, 0 darker).
        window_ns: length of the window.

    Raises:
        InputError: for a file that is no such stream.
    """
    with open_hdf5(path) as file:
        # Undistorting has moved events to places between pixels.
        columns = [dataset_of(file, f'events/{name}', path, (None,), 'iufb') for name in 'xytp']
        if len({len(column) for column in columns}) > 1:
            raise InputError(
                f'{path}: expected events/x, y, t and p of equal length, got '
                f'{[len(column) for column in columns]}; download it again'
            )
        t_us = columns[2][:].astype(np.int64)
        part = _end(t_us, window_ns)
        x, y, p = (columns[index][part] for index in (0, 1, 3))
    return _events(x, y, t_us[part], p, window_ns)


def _end(t_us: np.ndarray, window_ns: int) -> slice:
    """From the first event of the window on; before it nothing needs to be unpacked."""
    if not len(t_us):
        return slice(0)
    inside = np.flatnonzero((t_us.max() - t_us) * 1000 < window_ns)
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _events(
    x: np.ndarray, y: np.ndarray, t_us: np.ndarray, p: np.ndarray, window_ns: int
) -> Events:
    """In order of time, within the window, and on the sensor: undistorting moves some off it."""
    if not len(t_us):
        return EMPTY
    t_ns = t_us * 1000
    height, width = EVENT_HW
    column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    kept = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    kept &= t_ns > t_ns.max() - window_ns
    events = Events(
        column[kept].astype(np.uint16),
        row[kept].astype(np.uint16),
        t_ns[kept],
        (p[kept] > 0).astype(np.uint8),
    )
    return events.in_order()
