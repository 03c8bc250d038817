"""Poses of one moving frame in another: bounded in seconds, interpolated between samples."""

from bisect import bisect_left, bisect_right, insort

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
        self._samples: list[tuple[int, Pose]] = []

    def __str__(self) -> str:
        """The time that the samples tell of, for people."""
        if not self._samples:
            return 'never'
        return f'from {self._samples[0][0] / 1e9:.3f} to {self._samples[-1][0] / 1e9:.3f} s'

    @property
    def newest_ns(self) -> int | None:
        """Time of the newest sample; None without any."""
        return self._samples[-1][0] if self._samples else None

    def clear(self) -> None:
        """Forget all samples."""
        self._samples.clear()

    def push(self, time_ns: int, pose: Pose) -> None:
        """Keep a sample; a late one finds its place, a second one of the same time is left out.

        A sample more than a second older than the newest is of a clock that went back: all others
        are forgotten.

        Args:
            time_ns: of the sample.
            pose: of the frame in its parent.
        """
        samples = self._samples
        if samples and time_ns < samples[-1][0] - _MAX_STEP_BACK_NS:
            samples.clear()
        if not samples or time_ns > samples[-1][0]:
            samples.append((time_ns, pose))
        elif samples[bisect_left(samples, time_ns, key=_time)][0] != time_ns:
            insort(samples, (time_ns, pose), key=_time)
        oldest_ns = samples[-1][0] - self._buffer_ns
        if samples[0][0] < oldest_ns:
            del samples[: bisect_left(samples, oldest_ns, key=_time)]

    def at(self, times_ns: np.ndarray) -> np.ndarray | None:
        """The poses at some times.

        Args:
            times_ns: (K,) int64.

        Returns:
            (K, 4, 4) float64; None where one of the times is beyond what the samples tell.
        """
        samples = self._samples
        if not samples:
            return None
        ahead_ns = int(times_ns.max()) - samples[-1][0]
        if ahead_ns > MAX_AHEAD_NS or int(times_ns.min()) < samples[0][0]:
            return None
        last, twist = len(samples) - 1, None
        if ahead_ns > 0:
            base = bisect_right(samples, samples[-1][0] - ahead_ns, key=_time) - 1
            if base < 0:
                return None
            span_ns = samples[-1][0] - samples[base][0]
            twist = twist_between(composed(inverse(samples[base][1]), samples[-1][1]))
        first, second, blends = [], [], []
        for time_ns in times_ns.tolist():
            before = bisect_right(samples, time_ns, key=_time) - 1
            start_ns, start = samples[before]
            end_ns, end = samples[min(before + 1, last)]
            if twist is not None and time_ns > start_ns and before == last:
                start = composed(start, pose_from_twist(*twist, (time_ns - start_ns) / span_ns))
            first.append(start)
            second.append(end)
            blends.append((time_ns - start_ns) / (end_ns - start_ns) if before < last else 0.0)
        starts, ends, blend = np.array(first), np.array(second), np.array(blends)
        translations = starts[:, :3] + blend[:, None] * (ends[:, :3] - starts[:, :3])
        return matrices_from_poses(translations, _slerp(starts[:, 3:], ends[:, 3:], blend))


def _time(sample: tuple[int, Pose]) -> int:
    return sample[0]


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
