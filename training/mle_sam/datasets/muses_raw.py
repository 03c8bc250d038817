"""The sensors' own files of MUSES, projected by the code that runs on the vehicle."""

from pathlib import Path

from mle_sam_ros.bags.data_sets.muses_files import read_events, read_rows
from mle_sam_ros.bags.data_sets.muses_index import read_json
from mle_sam_ros.bags.muses_calibration import parse_muses_calibration
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.manifest import EventEncoding
from mle_sam_ros.core.projection import Projection
import numpy as np

from mle_sam.config import NetworkConfig


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
    rows = read_rows(path)
    xyz, intensity = np.ascontiguousarray(rows[:, :3], np.float32), rows[:, 3]
    return PointCloud(xyz, np.nan_to_num(intensity, nan=0, posinf=0, neginf=0).astype(np.float32))
