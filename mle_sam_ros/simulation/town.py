"""A seeded town: one winding street and all that stands and moves along it."""

from __future__ import annotations

from mle_sam_ros.simulation import props
from mle_sam_ros.simulation.classes import ROAD, ROAD_LINE, SIDEWALK, TERRAIN
from mle_sam_ros.simulation.mesh import GRAIN, Material, Mesh, quads, TILES
from mle_sam_ros.simulation.road import KERB_M, Road
from mle_sam_ros.simulation.traffic import Mover
import numpy as np

LINE_M = 0.28


class Town:
    """Everything but the ego vehicle and the light.

    Attributes:
        road: its street.
        movers: vehicles and people.
        lamps: (L, 3) float64, world positions of the street lights, metres.
    """

    def __init__(self, seed: int, length_m: float):
        rng = np.random.default_rng([seed, 0x70])
        self.road = Road(rng, length_m)
        self._meshes: list[Mesh] = []
        self._places: list[np.ndarray] = []  # s of each triangle, mesh by mesh
        self._side_streets = self._choose_side_streets(rng)
        self._pave(rng)
        self._paint_lines(rng)
        for side in (-1, 1):
            self._build_houses(rng, side)
            self._plant(rng, side)
            self._put_up_signs(rng, side)
            self._park(rng, side)
        self.lamps = self._put_up_lamps(rng)
        self.movers = self._send_out(rng)
        self._static = Mesh.concatenate(self._meshes)
        self._static_s = np.concatenate(self._places)

    def mesh_between(self, near: float, far: float) -> Mesh:
        """All that stands still between two s on the road, metres."""
        return self._static.subset((self._static_s > near) & (self._static_s < far))

    def _add(self, mesh: Mesh, s: float, d: float, z: float = KERB_M, yaw: float = 0.0) -> None:
        """Stand a mesh on the place (s, d), turned by `yaw` from the street's direction."""
        x, y, _ = self.road.place(s, d)
        self._meshes.append(mesh.placed(x, y, z, float(self.road.heading(s)) + yaw))
        self._places.append(np.full(len(mesh), s))

    def _lay(self, s: np.ndarray, patches: np.ndarray, mask, material: Material) -> None:
        """Lay those patches (len(s) - 1, 4, 3) between successive s for which `mask` holds."""
        chosen = np.broadcast_to(mask, len(patches))
        self._meshes.append(quads(patches[chosen], material))
        self._places.append(np.repeat(s[:-1][chosen], 2))

    def _free(self, s: float, margin_m: float) -> bool:
        """Whether no side street runs within `margin_m` of s."""
        return all(abs(s - street) > 4.5 + margin_m for street in self._side_streets)

    def _choose_side_streets(self, rng) -> np.ndarray:
        gaps = rng.uniform(55, 120, int(self.road.length_m / 55) + 1)
        streets = gaps.cumsum() - rng.uniform(20, 60)
        return np.round(streets[streets < self.road.length_m - 10] / 3) * 3

    def _pave(self, rng) -> None:
        """Carriageway, kerbs, walks and the ground behind them, in patches of 3 m."""
        road, s = self.road, np.arange(-120.0, self.road.length_m + 123.0, 3.0)
        grey = rng.uniform(0.06, 0.13)
        asphalt = Material(ROAD, (grey, grey, grey * 1.05), GRAIN, rng.uniform(0.08, 0.14))
        tone = rng.uniform(0.25, 0.42)
        paving = Material(
            SIDEWALK, (tone, tone * 0.95, tone * 0.88), TILES, rng.uniform(0.22, 0.32)
        )
        green = rng.uniform(0.5, 1.0)
        ground = Material(
            TERRAIN, (0.16 * (1.6 - green), 0.17, 0.05), GRAIN, rng.uniform(0.33, 0.45)
        )
        crossing = ~np.array([self._free(value + 1.5, 0) for value in s[:-1]])
        edge, walk = road.half_width_m, road.half_width_m + road.sidewalk_m
        self._lay(s, road.strip(s, -edge, edge), True, asphalt)
        for side in (-1, 1):
            near, far = side * edge, side * walk
            self._lay(s, road.strip(s, near, far, KERB_M), ~crossing, paving)
            self._lay(s, road.strip(s, far, side * 70, KERB_M), ~crossing, ground)
            self._lay(s, road.strip(s, near, side * 70), crossing, asphalt)
            self._lay(s, self._kerb(s, near), ~crossing, paving)

    def _kerb(self, s: np.ndarray, d: float) -> np.ndarray:
        low, high = self.road.place(s, d), self.road.place(s, d, KERB_M)
        return np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)

    def _paint_lines(self, rng) -> None:
        """Lane lines and zebra crossings, a centimetre above the asphalt."""
        road = self.road
        tone = rng.uniform(0.5, 0.8)
        white = Material(ROAD_LINE, (tone, tone, tone * 0.97), GRAIN, rng.uniform(0.45, 0.65))
        s = np.arange(-120.0, road.length_m + 123.0, 3.0)
        open_road = np.array([self._free(value + 1.5, 1) for value in s[:-1]])
        dashed = open_road & (np.arange(len(s) - 1) % 3 != 0)
        for d, mask in ((0.0, dashed), (-3.5, open_road), (3.5, open_road)):
            strip = road.strip(s, d - LINE_M / 2, d + LINE_M / 2, 0.012)
            self._lay(s, strip, mask, white)
        for street in self._side_streets:
            for offset in (-8.5, 5.5):
                ends = np.array([street + offset, street + offset + 3.0])
                for d in np.arange(-road.half_width_m + 0.4, road.half_width_m - 0.5, 1.0):
                    self._lay(ends, road.strip(ends, d, d + 0.5, 0.014), True, white)

    def _build_houses(self, rng, side: int) -> None:
        walk = self.road.half_width_m + self.road.sidewalk_m
        s = -110.0
        while s < self.road.length_m + 110:
            width, depth = rng.uniform(8, 20), rng.uniform(9, 14)
            height = rng.choice([rng.uniform(4, 7), rng.uniform(7, 20)])
            setback = rng.choice([0.3, rng.uniform(1.5, 7)], p=[0.35, 0.65])
            if self._free(s + width / 2, width / 2) and rng.random() < 0.85:
                house = props.building(rng, width, depth, height)
                self._add(house, s + width / 2, side * (walk + setback + depth / 2))
            s += width + rng.choice([0.0, rng.uniform(1, 12)])

    def _plant(self, rng, side: int) -> None:
        edge, walk = self.road.half_width_m, self.road.half_width_m + self.road.sidewalk_m
        for s in np.arange(-100, self.road.length_m + 100, 9.0) + rng.uniform(0, 5):
            s += rng.uniform(-2.5, 2.5)
            if not self._free(s, 1.5):
                continue
            if rng.random() < 0.5:
                self._add(props.tree(rng), s, side * rng.choice([edge + 0.9, walk + 1.6]))
            if rng.random() < 0.5:
                self._add(props.bush(rng), s + 3, side * (walk + rng.uniform(0.8, 4)))
            if rng.random() < 0.15:
                self._add(props.tree(rng), s + 4, side * (walk + rng.uniform(14, 30)))

    def _put_up_signs(self, rng, side: int) -> None:
        """Signs and posts at the kerb; signs face whoever drives on that side."""
        edge = self.road.half_width_m
        for s in np.arange(-90, self.road.length_m + 100, 11.0) + rng.uniform(0, 11):
            s += rng.uniform(-3, 3)
            if not self._free(s, 0.5):
                continue
            yaw = (0 if side < 0 else np.pi) + rng.normal(0, 0.08)
            if rng.random() < 0.75:
                self._add(props.sign(rng), s, side * (edge + 0.5), yaw=yaw)
            if rng.random() < 0.35:
                for step in range(rng.integers(1, 5)):
                    post = props.bollard(rng)
                    self._add(post, s + 3 + 1.5 * step, side * (edge + 0.35))
            if rng.random() < 0.2:
                pole_d = side * (edge + self.road.sidewalk_m + 0.4)
                self._add(props.utility_pole(rng), s + 5, pole_d)

    def _put_up_lamps(self, rng) -> np.ndarray:
        lamps = []
        side = 1
        for s in np.arange(-100, self.road.length_m + 130, rng.uniform(16, 22)):
            if not self._free(s, 1):
                continue
            d, turn = side * (self.road.half_width_m + 0.4), 0.0 if side < 0 else np.pi
            self._add(props.lamp_post(rng), s, d, yaw=turn)
            lamps.append(self.road.place(s, d - side * 1.6, 5.8 + KERB_M))
            side = -side
        return np.array(lamps)

    def _park(self, rng, side: int) -> None:
        """Vehicles at the kerb."""
        s = -90.0
        while s < self.road.length_m + 100:
            mesh, length = props.vehicle(rng)
            s += length + rng.choice([rng.uniform(1, 3), rng.uniform(6, 25)])
            if self._free(s, 10) and length < 7:
                yaw = (0 if side < 0 else np.pi) + rng.normal(0, 0.02)
                self._add(mesh, s, side * (self.road.half_width_m - 1.1), z=0.0, yaw=yaw)

    def _send_out(self, rng) -> list[Mover]:
        movers = []
        length = self.road.length_m
        for s in np.arange(0, length, 32.0):
            mesh, _ = props.vehicle(rng)
            speed = -rng.uniform(7.5, 8.5)
            movers.append(Mover(mesh, s + rng.uniform(0, 18), speed, 1.75))
        edge, walk = self.road.half_width_m, self.road.sidewalk_m
        for s in rng.uniform(0, length, int(length / 3.2)):
            side = rng.choice([-1, 1])
            d, speed = side * (edge + walk * rng.uniform(0.3, 0.9)), rng.normal(0, 1.2)
            mesh = props.pedestrian(rng)
            movers.append(Mover(mesh, s, speed, d, 0.15, 0.1, rng.uniform(0, 6)))
        for s in rng.uniform(0, length, int(length / 14)):  # people who cross the street
            mesh = props.pedestrian(rng)
            hertz = 1.4 / (2 * np.pi * (edge + 1.2)) * 1.3
            phase = rng.uniform(0, 6.3)
            movers.append(Mover(mesh, s, rng.normal(0, 0.1), 0, edge + 1.2, hertz, phase))
        return movers
