"""What moves: other vehicles, people on foot, and the ego vehicle itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mle_sam_ros.simulation.mesh import Mesh
from mle_sam_ros.simulation.road import KERB_M, Road
import numpy as np


@dataclass(frozen=True)
class Mover:
    """A mesh that goes along the road at constant speed, and may sway across it.

    It re-enters at the road's other end, so that traffic never thins out.

    Attributes:
        mesh: about its own origin, x forward.
        start_s: metres along the road at time zero.
        speed: m/s along s; negative towards smaller s.
        d: metres left of the centre line, mean.
        sway_m: amplitude of the walk to and fro across; crossing people have metres of it.
        sway_hz: how often.
        phase: of the sway, radians.
    """

    mesh: Mesh
    start_s: float
    speed: float
    d: float
    sway_m: float = 0.0
    sway_hz: float = 0.1
    phase: float = 0.0


class Traffic:
    """All movers of a road, placed together."""

    def __init__(self, movers: list[Mover], road: Road):
        self._road = road
        self._mesh = Mesh.concatenate([mover.mesh for mover in movers])
        self._owner = np.repeat(np.arange(len(movers)), [len(mover.mesh) for mover in movers])
        columns = [(m.start_s, m.speed, m.d, m.sway_m, m.sway_hz, m.phase) for m in movers]
        self._start_s, self._speed, self._d, self._sway_m, self._sway_hz, self._phase = np.array(
            columns, np.float64
        ).T

    def mesh_at(self, time_s: float, from_s: float, to_s: float) -> Mesh:
        """The movers between two s (metres) at `time_s`: a mesh in the world, with velocities."""
        s = (self._start_s + self._speed * time_s) % self._road.length_m
        angle = 2 * np.pi * self._sway_hz * time_s + self._phase
        d = self._d + self._sway_m * np.sin(angle)
        d_rate = self._sway_m * 2 * np.pi * self._sway_hz * np.cos(angle)
        heading = self._road.heading(s)
        yaw = heading + np.arctan2(d_rate, self._speed)
        on_walk = np.abs(d) > self._road.half_width_m
        place = self._road.place(s, d, np.where(on_walk, KERB_M, 0.0))
        cosine, sine = np.cos(heading), np.sin(heading)
        velocity = np.zeros((len(s), 3), np.float32)
        velocity[:, 0] = self._speed * cosine - d_rate * sine
        velocity[:, 1] = self._speed * sine + d_rate * cosine
        near = ((s > from_s) & (s < to_s))[self._owner]
        mesh, owner = self._mesh.subset(near), self._owner[near]
        turn_x, turn_y = np.float32(np.cos(yaw))[owner, None], np.float32(np.sin(yaw))[owner, None]
        x, y = mesh.corners[..., 0], mesh.corners[..., 1]
        corners = np.stack(
            [turn_x * x - turn_y * y, turn_y * x + turn_x * y, mesh.corners[..., 2]], axis=-1
        )
        corners += place.astype(np.float32)[owner, None]
        return replace(mesh, corners=corners, velocity=velocity[owner])


@dataclass(frozen=True)
class EgoMotion:
    """How the ego vehicle drives: right lane, speed rising and falling, body rocking a little.

    Attributes:
        road: what it drives on.
        start_s: metres along the road at time zero.
        speed: mean speed, m/s.
        surge_m: amplitude of the distance gained and lost against the mean speed.
        surge_hz: how often.
        lane_d: metres left of the centre line, mean.
        weave_m: amplitude of the drift within the lane.
        phases: (6,) radians, of surge, weave, and rocking.
    """

    road: Road
    start_s: float
    speed: float
    surge_m: float
    surge_hz: float
    lane_d: float
    weave_m: float
    phases: np.ndarray

    @staticmethod
    def random(rng: np.random.Generator, road: Road, start_s: float) -> EgoMotion:
        """A driver of average temper: 6 to 12 m/s, changing by up to 2.5 m/s."""
        surge_hz = rng.uniform(0.05, 0.12)
        surge_m = rng.uniform(0.5, 2.5) / (2 * np.pi * surge_hz)
        return EgoMotion(
            road,
            start_s,
            rng.uniform(6, 12),
            surge_m,
            surge_hz,
            rng.uniform(-2.3, -1.4),
            rng.uniform(0, 0.35),
            rng.uniform(0, 2 * np.pi, 6),
        )

    def s(self, time_s: float) -> float:
        """Metres along the road."""
        surge = np.sin(2 * np.pi * self.surge_hz * time_s + self.phases[0])
        return self.start_s + self.speed * time_s + self.surge_m * surge

    def world_from_base(self, time_s: float) -> np.ndarray:
        """Pose (4, 4) of the middle of the rear axle on the ground; x forward, z up."""
        weave = 2 * np.pi * 0.11
        s = self.s(time_s)
        d = self.lane_d + self.weave_m * np.sin(weave * time_s + self.phases[1])
        d_rate = self.weave_m * weave * np.cos(weave * time_s + self.phases[1])
        yaw = self.road.heading(s) + d_rate / self.speed
        pitch = 0.005 * np.sin(2 * np.pi * 1.3 * time_s + self.phases[2])
        pitch += 0.002 * np.sin(2 * np.pi * 3.1 * time_s + self.phases[3])
        roll = 0.006 * np.sin(2 * np.pi * 0.9 * time_s + self.phases[4])
        pose = np.eye(4)
        pose[:3, :3] = rotation(yaw, pitch, roll)
        pose[:3, 3] = self.road.place(s, d)
        return pose

    def velocity(self, time_s: float) -> np.ndarray:
        """Twist (6,) in the world, m/s and rad/s: by central difference over 2 ms."""
        step = 1e-3
        before, after = self.world_from_base(time_s - step), self.world_from_base(time_s + step)
        spin = after[:3, :3] @ before[:3, :3].T
        angular = np.array(
            [spin[2, 1] - spin[1, 2], spin[0, 2] - spin[2, 0], spin[1, 0] - spin[0, 1]]
        )
        return np.concatenate([(after[:3, 3] - before[:3, 3]), angular / 2]) / (2 * step)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation (3, 3): roll about x, then pitch about y, then yaw about z; radians."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
