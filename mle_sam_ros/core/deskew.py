"""Points of a sweep moved to where the LiDAR's motion shows them at one instant."""

from types import SimpleNamespace

from mle_sam_ros.core.cloud import decode_cloud, PointCloud
import numba
import numpy as np


def deskew(
    cloud: PointCloud, knots_ns: np.ndarray, reference_from_lidar: np.ndarray
) -> PointCloud:
    """Move each point by the LiDAR's pose at the point's own time.

    From knot to knot a point moves on a straight line. On a turn of w rad/s it falls short of its
    true arc by at most r (w d)² / 8, with r its distance from the axis of the turn and d the time
    between two knots: 1.3 mm at 100 m, 1 rad/s and 10 ms, an eightieth of a milliradian.

    Args:
        cloud: N points; with times if there are several knots.
        knots_ns: (K,) int64, rising, on the clock of the points' times; points before the first
            and after the last one go with that. Of a single one the time does not matter.
        reference_from_lidar: (K, 4, 4) float64, at each knot; the reference may be the LiDAR
            itself at some instant, a camera, or a map.

    Returns:
        The points in the reference's coordinates, in their order and as if measured at once,
        so without times; NaN or infinity where there was no return, zeros included.
    """
    xyz = np.empty_like(cloud.xyz)
    _move(cloud.xyz, *knots_of(cloud, knots_ns, reference_from_lidar), xyz)
    return PointCloud(xyz, cloud.intensity)


def knots_of(
    cloud: PointCloud, knots_ns: np.ndarray, reference_from_lidar: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What kernels need to call `segment_of` and `row_at`: times, knots, segments.

    Returns:
        (N,) int64 times, (0,) for a single knot; (K,) int64 knots; and (K, 2, 3, 4) float64:
        upper three rows at each knot, and what each nanosecond adds to them until the next one.
    """
    if len(knots_ns) != len(reference_from_lidar) or not len(knots_ns):
        raise ValueError(f'{len(knots_ns)} knots, but {len(reference_from_lidar)} poses')
    times_ns = np.zeros(0, np.int64)
    if len(knots_ns) > 1:
        if cloud.time_ns is None:
            raise ValueError('several knots, but points without times')
        times_ns = cloud.time_ns
    knots_ns = np.ascontiguousarray(knots_ns, np.int64)
    segments = np.zeros((len(knots_ns), 2, 3, 4))
    segments[:, 0] = reference_from_lidar[:, :3]
    lengths_ns = np.diff(knots_ns)[:, None, None]
    segments[:-1, 1] = np.diff(segments[:, 0], axis=0) / lengths_ns
    return times_ns, knots_ns, segments


def compile_kernels() -> None:
    """Compile what reads a sweep and what moves it."""
    points = np.ones((2, 4), np.float32)
    points[:, 3] = 0, 1e-3
    message = SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0)),
        fields=[
            SimpleNamespace(name=name, offset=4 * i, datatype=7, count=1)
            for i, name in enumerate(('x', 'y', 'z', 'time'))
        ],
        width=2,
        height=1,
        point_step=16,
        row_step=32,
        is_bigendian=False,
        data=points.tobytes(),
    )
    deskew(decode_cloud(message, 'lidar'), np.zeros(1, np.int64), np.eye(4)[None])


@numba.njit(nogil=True, cache=True)
def segment_of(i, times_ns, knots_ns, guess):
    """Number of the knot before point i, and nanoseconds from there, to the next one at most.

    Neighbours are measured at nearly the same time: the guess is the number of the point before.
    """
    last = len(knots_ns) - 1
    if last == 0:
        return 0, 0.0
    time_ns = times_ns[i]
    k = guess
    while k > 0 and time_ns < knots_ns[k]:
        k -= 1
    while k < last - 1 and time_ns >= knots_ns[k + 1]:
        k += 1
    return k, np.float64(min(max(time_ns, knots_ns[k]), knots_ns[k + 1]) - knots_ns[k])


@numba.njit(nogil=True, cache=True)
def row_at(segments, k, elapsed_ns, row, x, y, z):
    """One coordinate of a point in the reference's frame."""
    a = segments[k, 0, row]
    if elapsed_ns == 0:  # always, where nothing moves
        return a[0] * x + a[1] * y + a[2] * z + a[3]
    b = segments[k, 1, row]
    return (
        (a[0] + elapsed_ns * b[0]) * x
        + (a[1] + elapsed_ns * b[1]) * y
        + (a[2] + elapsed_ns * b[2]) * z
        + (a[3] + elapsed_ns * b[3])
    )


@numba.njit(nogil=True, cache=True)
def _move(xyz, times_ns, knots_ns, segments, moved):
    k = 0
    for i in range(len(xyz)):
        x, y, z = np.float64(xyz[i, 0]), np.float64(xyz[i, 1]), np.float64(xyz[i, 2])
        if x == 0 and y == 0 and z == 0:
            moved[i, 0] = moved[i, 1] = moved[i, 2] = np.nan
            continue
        k, elapsed_ns = segment_of(i, times_ns, knots_ns, k)
        for row in range(3):
            moved[i, row] = row_at(segments, k, elapsed_ns, row, x, y, z)
