"""The spinning LiDAR: ranges, intensities and times of one sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.simulation.conditions import Condition
from mle_sam_ros.simulation.failures import Failure
from mle_sam_ros.simulation.rig import LidarModel
from mle_sam_ros.simulation.scene import Scene
import numpy as np

NUM_SLICES = 4
RANGE_NOISE_M = 0.02
WEAKEST_RETURN = 2.0e-5


@dataclass(frozen=True)
class Sweep:
    """What the beams of one revolution met, before weather and noise.

    Attributes:
        direction: (N, 3) float32 unit vectors, LiDAR frame at each beam's own time.
        range_m: (N,) float32, inf where nothing was met.
        reflectivity: (N,) float32, 0..1.
        facing: (N,) float32, cosine of the angle of incidence.
        label: (N,) uint8 class ids, for tests; no message carries them.
        time_ns: (N,) int64.
    """

    direction: np.ndarray
    range_m: np.ndarray
    reflectivity: np.ndarray
    facing: np.ndarray
    label: np.ndarray
    time_ns: np.ndarray


@dataclass(frozen=True, eq=False)
class Returns(PointCloud):
    """What the LiDAR reports of a sweep.

    Attributes:
        ring: (N,) uint16, the beam of each point, 0 the highest.
    """

    ring: np.ndarray | None = None


def cast_sweep(
    model: LidarModel,
    start_ns: int,
    scene_at: Callable[[int], Scene],
    world_from_lidar: Callable[[int], np.ndarray],
    half_view_rad: float = np.pi,
) -> Sweep:
    """Cast one revolution; the vehicle moves all the while, the traffic in four steps.

    Args:
        model: the LiDAR.
        start_ns: when the first column is measured.
        scene_at: the town at a time in nanoseconds.
        world_from_lidar: pose (4, 4) at a time in nanoseconds.
        half_view_rad: leave out the columns that look farther aside from straight ahead.
    """
    directions, offsets = model.directions(), model.column_offsets_ns()
    parts = []
    is_wanted = np.abs(np.arctan2(directions[:, 0, 1], directions[:, 0, 0])) <= half_view_rad
    for columns in np.array_split(np.arange(model.num_columns), NUM_SLICES):
        middle_ns = start_ns + int(offsets[columns[len(columns) // 2]])
        columns = columns[is_wanted[columns]]
        if not len(columns):
            continue
        times = start_ns + offsets[columns]
        scene = scene_at(middle_ns)
        poses = np.stack([world_from_lidar(int(time)) for time in times[[0, -1]]])
        # Within 25 ms the pose is as good as linear in time.
        blend = ((times - times[0]) / (times[-1] - times[0]))[:, None, None]
        pose = poses[0] * (1 - blend) + poses[1] * blend
        rays = directions[columns]
        world = np.einsum('cij,cbj->cbi', pose[:, :3, :3], rays).reshape(-1, 3)
        origin = np.repeat(pose[:, :3, 3], model.num_beams, axis=0)
        hits = scene.cast(origin, world)
        paint = hits.mesh.paint[hits.triangle]
        parts.append(
            Sweep(
                rays.reshape(-1, 3).astype(np.float32),
                hits.range_m,
                paint[:, 4],
                -np.einsum('ij,ij->i', hits.normal, hits.direction),
                hits.label,
                np.repeat(times, model.num_beams),
            )
        )
    names = Sweep.__dataclass_fields__
    return Sweep(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def measure(
    model: LidarModel,
    sweep: Sweep,
    condition: Condition,
    failure: Failure,
    rng: np.random.Generator,
) -> Returns:
    """The returns of a sweep: weather, detection limit, noise, and the jitter failure.

    The power of a return falls with range and twice through the air; the intensity reported is
    corrected for the range, as drivers do, in 0..255.
    """
    count = len(sweep.range_m)
    range_m = sweep.range_m.copy()
    with np.errstate(invalid='ignore'):
        reach = np.exp(-2 * condition.extinction * np.minimum(range_m, 1e3))
        bright = sweep.reflectivity * np.sqrt(np.clip(sweep.facing, 0, 1))
        power = bright * reach / np.minimum(range_m, 1e6) ** 2
    speckle = np.exp(0.12 * rng.standard_normal(count, np.float32))
    intensity = 255 * bright * np.sqrt(reach) * speckle
    seen = (range_m < model.max_range_m) & (power * speckle > WEAKEST_RETURN)
    seen &= rng.random(count, np.float32) > 0.02
    range_m += RANGE_NOISE_M * rng.standard_normal(count, np.float32)
    if condition.extinction > 0:
        # Drops and fog scatter back, mostly near by, and hide what is behind them.
        echo = rng.exponential(6.0, count).astype(np.float32) + np.float32(1.0)
        chance = min(0.12, 1.2 * condition.extinction)
        scattered = (rng.random(count, np.float32) < chance) & (echo < range_m)
        range_m[scattered] = echo[scattered]
        intensity[scattered] = 6 * speckle[scattered]
        seen |= scattered
    direction = _jittered(model, sweep.direction, failure, rng)
    return Returns(
        (direction[seen] * range_m[seen, None]).astype(np.float32),
        np.clip(intensity[seen], 0, 255).astype(np.float32),
        sweep.time_ns[seen],
        ring=(np.flatnonzero(seen) % model.num_beams).astype(np.uint16),
    )


def _jittered(model: LidarModel, direction, failure: Failure, rng) -> np.ndarray:
    """Turn each column about three axes: a common error and one of its own."""
    if not failure.jitter_rad:
        return direction
    common = failure.jitter_rad * rng.standard_normal(3)
    own = 0.5 * failure.jitter_rad * rng.standard_normal((len(direction) // model.num_beams, 3))
    turn = np.repeat(common + own, model.num_beams, axis=0).astype(np.float32)
    turned = direction + np.cross(turn, direction)
    return turned / np.linalg.norm(turned, axis=1, keepdims=True)
