"""LiDAR sweeps: `sensor_msgs/PointCloud2` to arrays."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.point_fields import read_points
from mle_sam_ros.core.point_times import read_times
from mle_sam_ros.core.stamp import stamp_ns
import numba
import numpy as np

# A number of 16 bits is taken to fill them.
_SCALE_OF_16_BITS = 255 / 65535


@dataclass(frozen=True)
class LidarSettings:
    """How a LiDAR's driver is to be read.

    Attributes:
        intensity_scale: brings the driver's intensity to the 0 to 255 that networks are trained
            with; 0 for the scale that the layout suggests: 1, or 1/257 for 16-bit integers.
    """

    intensity_scale: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.intensity_scale < np.inf):
            raise InputError(
                f'lidar: expected an intensity_scale of 0 or more, got {self.intensity_scale}; '
                'give 0 to go by the layout'
            )


@dataclass(frozen=True, eq=False)
class PointCloud:
    """The returns of one sweep.

    Attributes:
        xyz: (N, 3) float32, metres, LiDAR frame; where there was no return NaN, infinity, or
            zeros, as the driver likes.
        intensity: (N,) float32, 0 to 255 by the driver's scale; zeros where it gives none, or no
            number.
        time_ns: (N,) int64, when each point was measured, on the clock of the stamps, or None
            where the driver does not say. Of points that are no return, some time of the sweep.
        time_fault: why the times that the driver gives are not used, in one line; empty if they
            are, or if it gives none.
    """

    xyz: np.ndarray
    intensity: np.ndarray
    time_ns: np.ndarray | None = None
    time_fault: str = ''

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        arrays = (self.xyz, self.intensity, self.time_ns)
        return sum(array.nbytes for array in arrays if array is not None)

    @cached_property
    def span_ns(self) -> tuple[int, int] | None:
        """Times of the first and of the last point; None where they are not known."""
        if self.time_ns is None or not len(self):
            return None
        return int(self.time_ns.min()), int(self.time_ns.max())


def decode_cloud(
    message: Any, source: str, settings: LidarSettings = LidarSettings()
) -> PointCloud:
    """Read a sweep, of whatever driver.

    Args:
        message: PointCloud2 with x, y, z in metres, float32 or float64; with `reflectivity` or
            `intensity`, and with one of `point_times.TIME_FIELDS`, or without.
        source: its topic, for error messages.
        settings: of its driver.

    Raises:
        InputError: for a layout that cannot be read, coordinates that are not floating point, or
            points none of which is finite. Times that cannot be used are no error, but
            `time_fault`.
    """
    points = read_points(message, ('x', 'y', 'z'), source)
    kinds = [points.dtype[axis].kind for axis in 'xyz']
    if kinds != ['f'] * 3:
        raise InputError(
            f'{source}: expected floating-point x, y, z in metres, got '
            f'{[str(points.dtype[axis]) for axis in "xyz"]}; fix the driver'
        )
    with np.errstate(invalid='ignore', over='ignore'):  # a float64 too large becomes infinite
        x, y, z = (points[axis].astype(np.float32) for axis in 'xyz')
        intensity, scale = _intensity(points, source, settings)
    xyz = np.empty((len(points), 3), np.float32)
    num_finite = _put_together(x, y, z, intensity, np.float32(scale), xyz)
    if len(points) and not num_finite:
        raise InputError(
            f'{source}: expected finite coordinates, got NaN or infinity in each of the '
            f'{len(points)} points; check the LiDAR and its driver'
        )
    time_ns, time_fault = read_times(points, xyz, stamp_ns(message.header))
    return PointCloud(xyz, intensity, time_ns, time_fault)


def _intensity(
    points: np.ndarray, source: str, settings: LidarSettings
) -> tuple[np.ndarray, float]:
    """(N,) float32 as the driver gives it, and its scale."""
    # Where both are given, intensity is the strength of the echo, which falls with the range;
    # reflectivity is corrected for that, as what networks are trained with.
    names = points.dtype.names or ()
    name = next((name for name in ('reflectivity', 'intensity') if name in names), None)
    if name is None:
        return np.zeros(len(points), np.float32), 1.0
    dtype = points.dtype[name]
    if dtype.shape:
        raise InputError(
            f'{source}: expected one {name} for each point, got {dtype.shape}; fix the driver'
        )
    scale = _SCALE_OF_16_BITS if dtype == np.uint16 and name == 'intensity' else 1.0
    return points[name].astype(np.float32), settings.intensity_scale or scale


@numba.njit(nogil=True, cache=True)
def _put_together(x, y, z, intensity, scale, xyz):
    """Fill xyz, scale the intensity in place, and count the finite points."""
    num_finite = 0
    for i in range(len(x)):
        xyz[i, 0], xyz[i, 1], xyz[i, 2] = x[i], y[i], z[i]
        if np.isfinite(x[i]) and np.isfinite(y[i]) and np.isfinite(z[i]):
            num_finite += 1
        # One intensity that is no number would reach every pixel through the network.
        scaled = intensity[i] * scale
        intensity[i] = scaled if np.isfinite(scaled) else np.float32(0)
    return num_finite
