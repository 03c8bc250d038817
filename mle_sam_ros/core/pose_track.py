"""Poses of one moving frame in another: bounded in seconds, interpolated between samples."""

from bisect import bisect_left, bisect_right

from mle_sam_ros.core.pose import composed, inverse, Pose, pose_from_twist, twist_between
from mle_sam_ros.core.transforms import matrices_from_poses
import numpy as np

# A stamp further behind the newest one belongs to a clock that went back.
_MAX_STEP_BACK_NS = 1_000_000_000
# How far beyond the newest sample the motion is taken to go on as it was.
MAX_AHEAD_NS = 100_000_000


class PoseTrack:
    """Samples in order of time. Not thread-safe.

    Between two samples the translation is linear in time and the rotation turns at a constant
    rate about one axis (slerp), as in tf2. Past the newest sample the frame goes on, for at most
    `MAX_AHEAD_NS`, at a constant twist of its own: that of a stretch of samples at least as long
    as what is extrapolated, so that the noise of two samples close together is not blown up.
    Elsewhere nothing is known.
    """

    def __init__(self, buffer_ns: int) -> None:
        """Set up, with no sample.

        Args:
            buffer_ns: time span of the samples kept.
        """
        self._buffer_ns = buffer_ns
        self._times_ns: list[int] = []
        self._poses: list[Pose] = []

    def __str__(self) -> str:
        """The time that the samples tell of, for people."""
        if not self._times_ns:
            return 'never'
        return f'from {self._times_ns[0] / 1e9:.3f} to {self._times_ns[-1] / 1e9:.3f} s'

    @property
    def newest_ns(self) -> int | None:
        """Time of the newest sample; None without any."""
        return self._times_ns[-1] if self._times_ns else None

    def clear(self) -> None:
        """Forget all samples."""
        self._times_ns.clear()
        self._poses.clear()

    def push(self, time_ns: int, pose: Pose) -> None:
        """Keep a sample; a late one finds its place, a second one of the same time is left out.

        A sample more than a second older than the newest is of a clock that went back: all others
        are forgotten.

        Args:
            time_ns: of the sample.
            pose: of the frame in its parent.
        """
        times_ns, poses = self._times_ns, self._poses
        if times_ns and time_ns < times_ns[-1] - _MAX_STEP_BACK_NS:
            self.clear()
        place = bisect_left(times_ns, time_ns)
        if place < len(times_ns) and times_ns[place] == time_ns:
            return
        times_ns.insert(place, time_ns)
        poses.insert(place, pose)
        num_old = bisect_left(times_ns, times_ns[-1] - self._buffer_ns)
        if num_old:
            del times_ns[:num_old], poses[:num_old]

    def at(self, times_ns: np.ndarray) -> np.ndarray | None:
        """The poses at some times.

        Args:
            times_ns: (K,) int64.

        Returns:
            (K, 4, 4) float64; None where one of the times is beyond what the samples tell.
        """
        known_ns, poses = self._times_ns, self._poses
        if not known_ns:
            return None
        wanted_ns = times_ns.tolist()
        last, ahead_ns = len(known_ns) - 1, max(wanted_ns) - known_ns[-1]
        if ahead_ns > MAX_AHEAD_NS or min(wanted_ns) < known_ns[0]:
            return None
        if ahead_ns > 0:
            base = bisect_right(known_ns, known_ns[-1] - ahead_ns) - 1
            if base < 0:
                return None
            span_ns = known_ns[-1] - known_ns[base]
            twist = twist_between(composed(inverse(poses[base]), poses[-1]))
        starts, ends, blends = [], [], []
        for time_ns in wanted_ns:
            before = bisect_right(known_ns, time_ns) - 1
            after = min(before + 1, last)
            elapsed_ns = time_ns - known_ns[before]
            start, end, blend = poses[before], poses[after], 0.0
            if before < last:
                blend = elapsed_ns / (known_ns[after] - known_ns[before])
            elif elapsed_ns > 0:
                start = composed(start, pose_from_twist(*twist, elapsed_ns / span_ns))
            starts.append(start)
            ends.append(end)
            blends.append(blend)
        return _blended(np.array(starts), np.array(ends), np.array(blends))


def _blended(first: np.ndarray, second: np.ndarray, blend: np.ndarray) -> np.ndarray:
    """(K, 4, 4) between poses (K, 7), from `first` (blend 0) to `second` (blend 1)."""
    translations = first[:, :3] + blend[:, None] * (second[:, :3] - first[:, :3])
    return matrices_from_poses(translations, _slerp(first[:, 3:], second[:, 3:], blend))


def _slerp(first: np.ndarray, second: np.ndarray, blend: np.ndarray) -> np.ndarray:
    """(K, 4) quaternions on the shorter way from `first` (blend 0) to `second` (blend 1)."""
    cosine = np.einsum('ij,ij->i', first, second)
    second = np.where(cosine[:, None] < 0, -second, second)
    # From the chord, which is exact for small angles, where the arc cosine is not.
    half_chord = np.linalg.norm(second - first, axis=1) / 2
    angle = 2 * np.arcsin(np.minimum(half_chord, 1.0))
    is_turned = angle > 1e-9
    sine = np.where(is_turned, np.sin(angle), 1.0)
    weight_first = np.where(is_turned, np.sin((1 - blend) * angle) / sine, 1 - blend)
    weight_second = np.where(is_turned, np.sin(blend * angle) / sine, blend)
    mixed = weight_first[:, None] * first + weight_second[:, None] * second
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
