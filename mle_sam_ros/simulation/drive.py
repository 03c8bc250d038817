"""One drive through a town: poses and scenes at any time."""

from __future__ import annotations

from functools import lru_cache

from mle_sam_ros.simulation import props
from mle_sam_ros.simulation.mesh import Mesh
from mle_sam_ros.simulation.rig import Rig, standard_rig
from mle_sam_ros.simulation.scene import Scene
from mle_sam_ros.simulation.town import Town
from mle_sam_ros.simulation.traffic import EgoMotion, Mover, Traffic
import numpy as np

VIEW_AHEAD_M = 150.0
VIEW_BEHIND_M = 60.0


class Drive:
    """The ego vehicle, with its rig, going through a seeded town.

    Args:
        seed: of the town and of how it is driven through.
        seconds: how long the road must last.
        rig: the sensors; the standard ones unless given.
    """

    def __init__(self, seed: int, seconds: float, rig: Rig | None = None):
        rng = np.random.default_rng([seed, 0xD1])
        self.rig = rig or standard_rig()
        self.town = Town(seed, length_m=max(300.0, 13.0 * seconds + 220.0))
        self.ego = EgoMotion.random(rng, self.town.road, start_s=50.0)
        movers = self.town.movers + self._companions(rng)
        self._traffic = Traffic(movers, self.town.road)
        # The still part changes only every ten metres: kept from scene to scene.
        self._still_between = lru_cache(maxsize=2)(self.town.mesh_between)
        self.scene_at = lru_cache(maxsize=4)(self._scene_at)

    def pose(self, modality: str, time_ns: int) -> np.ndarray:
        """World from sensor (4, 4) of camera, event or lidar."""
        return self.ego.world_from_base(time_ns * 1e-9) @ self.rig.base_from[modality]

    def _scene_at(self, time_ns: int) -> Scene:
        time_s = time_ns * 1e-9
        s = self.ego.s(time_s)
        stretch = 10.0 * np.floor(s / 10.0)
        view = (stretch - VIEW_BEHIND_M, stretch + VIEW_AHEAD_M)
        still, moving = self._still_between(*view), self._traffic.mesh_at(time_s, *view)
        base = self.ego.world_from_base(time_s)
        lamps = self.town.lamps
        near = np.linalg.norm(lamps - base[:3, 3], axis=1) < 70
        return Scene(
            Mesh.concatenate([still, moving]), lamps[near], base @ self.rig.base_from_headlights
        )

    def _companions(self, rng: np.random.Generator) -> list[Mover]:
        """Vehicles in the ego vehicle's own lane, one ahead and one behind."""
        ego = self.ego
        companions = []
        for gap in (rng.uniform(9, 30) + ego.surge_m, -rng.uniform(10, 20) - ego.surge_m):
            if rng.random() < 0.75:
                mesh, length = props.vehicle(rng)
                s = ego.start_s + gap + np.sign(gap) * length / 2 + (3 if gap > 0 else 0)
                companions.append(Mover(mesh, s, ego.speed, -1.75))
        return companions
