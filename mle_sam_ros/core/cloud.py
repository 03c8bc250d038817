"""LiDAR sweeps: `sensor_msgs/PointCloud2` to arrays."""

from dataclasses import dataclass
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.point_fields import read_points
from mle_sam_ros.core.stamp import stamp_ns
import numpy as np


@dataclass(frozen=True, eq=False)
class PointCloud:
    """The returns of one sweep.

    Attributes:
        xyz: (N, 3) float32, metres, LiDAR frame; may hold NaN where there was no return.
        intensity: (N,) float32, as the driver gives it; zeros where it gives none, or no number.
        time_ns: (N,) int64, when each point was measured, or None where the driver does not say.
    """

    xyz: np.ndarray
    intensity: np.ndarray
    time_ns: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        arrays = (self.xyz, self.intensity, self.time_ns)
        return sum(array.nbytes for array in arrays if array is not None)


def decode_cloud(message: Any, source: str) -> PointCloud:
    """Read a sweep; `t` (uint32, nanoseconds after the stamp) is taken as the per-point time.

    Raises:
        InputError: for a layout that cannot be read, coordinates that are not floating point, or
            points none of which is finite.
    """
    points = read_points(message, ('x', 'y', 'z'), source)
    kinds = [points.dtype[axis].kind for axis in 'xyz']
    if kinds != ['f'] * 3:
        raise InputError(
            f'{source}: expected floating-point x, y, z in metres, got '
            f'{[str(points.dtype[axis]) for axis in "xyz"]}; fix the driver'
        )
    names = points.dtype.names or ()
    xyz = np.empty((len(points), 3), np.float32)
    for column, axis in enumerate('xyz'):
        xyz[:, column] = points[axis]
    if len(points) and not np.isfinite(xyz).all(axis=1).any():
        raise InputError(
            f'{source}: expected finite coordinates, got NaN or infinity in each of the '
            f'{len(points)} points; check the LiDAR and its driver'
        )
    intensity = np.zeros(len(points), np.float32)
    if 'intensity' in names:
        if points.dtype['intensity'].shape:
            raise InputError(
                f'{source}: expected one intensity for each point, got '
                f'{points.dtype["intensity"].shape}; fix the driver'
            )
        # One intensity that is no number would reach every pixel through the network.
        intensity[:] = np.nan_to_num(points['intensity'], nan=0.0, posinf=0.0, neginf=0.0)
    time_ns = None
    if 't' in names and points.dtype['t'] == np.uint32:
        time_ns = stamp_ns(message.header) + points['t'].astype(np.int64)
    return PointCloud(xyz, intensity, time_ns)
