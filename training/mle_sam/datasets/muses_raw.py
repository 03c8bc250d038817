"""The sensors' own files of MUSES, projected by the code that runs on the vehicle."""

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  the codec of the event files; importing it makes HDF5 find it
from mle_sam_ros.bags.data_sets.muses_index import read_json
from mle_sam_ros.bags.muses_calibration import EVENT_HW, parse_muses_calibration
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import EMPTY, Events
from mle_sam_ros.core.manifest import EventEncoding
from mle_sam_ros.core.projection import Projection
import numpy as np

from mle_sam.config import NetworkConfig

_COLUMNS = 6  # x, y, z in metres, intensity, ring, time in seconds: float64
_ROW_BYTES = 8 * _COLUMNS


class RawSensors:
    """LiDAR sweeps and event streams through `core.projection`, as on the vehicle.

    So they differ from the SDK's rasters: returns behind the camera are dropped, the nearest
    return wins, pixel centres are whole numbers, and counts stop at 255 instead of starting anew.
    """

    def __init__(self, root: Path, network: NetworkConfig):
        """Read the calibration of the sensors that the network has.

        Raises:
            InputError: for a `calib.json` that is missing or holds none.
        """
        self._root = root
        encodings = {spec.name: spec.encoding for spec in network.modalities}
        event = encodings.get('event')
        self._window_ns = event.window_ns if isinstance(event, EventEncoding) else 0
        sensors = [name for name in ('event', 'lidar') if name in encodings]
        calibration = _read_calibration(root / 'calib.json', sensors) if sensors else Calibration()
        self._projection = Projection(network, calibration)

    def file(self, path: Path) -> Path:
        """Where the file lies that `meta.json` names."""
        return self._root / path

    def raster(self, name: str, file: Path) -> np.ndarray:
        """(height, width, 3) of the network's input size.

        Raises:
            InputError: for a file that cannot be read.
        """
        data = read_events(file, self._window_ns) if name == 'event' else read_cloud(file)
        return self._projection.raster(name, data)


def _read_calibration(path: Path, sensors: list[str]) -> Calibration:
    return parse_muses_calibration(read_json(path), str(path), sensors)


def read_cloud(path: Path) -> PointCloud:
    """Read a sweep.

    Raises:
        InputError: for a file that holds no whole rows, or no finite point.
    """
    num_bytes = path.stat().st_size
    if num_bytes == 0 or num_bytes % _ROW_BYTES:
        raise InputError(
            f'{path}: expected rows of {_COLUMNS} float64 ({_ROW_BYTES} bytes), got {num_bytes} '
            'bytes; download it again'
        )
    points = np.fromfile(path, np.float64).reshape(-1, _COLUMNS)
    if not np.isfinite(points[:, :3]).all(axis=1).any():
        raise InputError(
            f'{path}: expected finite coordinates, got none in {len(points)} points; '
            'download it again'
        )
    xyz, intensity = np.ascontiguousarray(points[:, :3], np.float32), points[:, 3]
    return PointCloud(xyz, np.nan_to_num(intensity, nan=0, posinf=0, neginf=0).astype(np.float32))


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
    try:
        with h5py.File(path, 'r') as file:
            columns = [file[f'events/{name}'] for name in 'xytp']
            if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
                raise ValueError(f'columns of shapes {[column.shape for column in columns]}')
            t_us = columns[2][:].astype(np.int64)
            part = _end(t_us, window_ns)
            x, y, p = (columns[index][part] for index in (0, 1, 3))
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected events/x, y, t and p of equal length in HDF5, got {reason}; '
            'download it again'
        ) from None
    return _events(x, y, t_us[part], p, window_ns)


def _end(t_us: np.ndarray, window_ns: int) -> slice:
    """From the first event of the window on; before it nothing needs to be unpacked."""
    if not len(t_us):
        return slice(0)
    inside = np.flatnonzero((t_us.max() - t_us) * 1000 < window_ns)
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _events(x: Any, y: Any, t_us: Any, p: Any, window_ns: int) -> Events:
    """In order of time, within the window, and on the sensor: undistorting moves some off it."""
    if not len(t_us):
        return EMPTY
    t_ns = t_us * 1000
    height, width = EVENT_HW
    column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    kept = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    kept &= t_ns > t_ns.max() - window_ns
    order = np.flatnonzero(kept)[np.argsort(t_ns[kept], kind='stable')]
    return Events(
        column[order].astype(np.uint16),
        row[order].astype(np.uint16),
        t_ns[order],
        (p[order] > 0).astype(np.uint8),
    )
