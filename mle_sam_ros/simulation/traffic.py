"""What moves: other vehicles, people on foot, and the ego vehicle itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mle_sam_ros.simulation.mesh import Mesh
from mle_sam_ros.simulation.road import Road


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

    def s(self, time_s: float, road: Road) -> float:
        """Metres along the road at `time_s`."""
        return (self.start_s + self.speed * time_s) % road.length_m

    def mesh_at(self, time_s: float, road: Road) -> Mesh:
        """Its mesh in the world, with velocity, at `time_s`."""
        s = self.s(time_s, road)
        angle = 2 * np.pi * self.sway_hz * time_s + self.phase
        d = self.d + self.sway_m * np.sin(angle)
        d_rate = self.sway_m * 2 * np.pi * self.sway_hz * np.cos(angle)
        heading = road.heading(s)
        along = np.array([np.cos(heading), np.sin(heading), 0])
        across = np.array([-np.sin(heading), np.cos(heading), 0])
        x, y, _ = road.place(s, d)
        on_walk = abs(d) > road.half_width_m
        yaw = float(heading + np.arctan2(d_rate, self.speed))
        mesh = self.mesh.placed(x, y, 0.12 if on_walk else 0.0, yaw)
        return mesh.moving(self.speed * along + d_rate * across)


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
        angular = np.array([spin[2, 1] - spin[1, 2], spin[0, 2] - spin[2, 0], spin[1, 0] - spin[0, 1]])
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


