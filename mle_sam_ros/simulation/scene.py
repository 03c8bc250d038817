"""The town at one instant, ready for rays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open3d as o3d

from mle_sam_ros.simulation.classes import SKY
from mle_sam_ros.simulation.mesh import Mesh


@dataclass(frozen=True)
class Hits:
    """What N rays met. Rays that met nothing have triangle -1 and infinite range.

    Attributes:
        mesh: the triangles that could be met.
        origin: (3,) float32, where all rays start, world; or (N, 3).
        direction: (N, 3) float32, unit vectors, world.
        range_m: (N,) float32.
        triangle: (N,) int32, index into `mesh`.
        normal: (N, 3) float32, unit, towards the ray's origin.
        barycentric: (N, 2) float32, weights of the triangle's second and third corner.
    """

    mesh: Mesh
    origin: np.ndarray
    direction: np.ndarray
    range_m: np.ndarray
    triangle: np.ndarray
    normal: np.ndarray
    barycentric: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """(N,) uint8 class ids; sky where nothing was met."""
        return np.where(self.triangle >= 0, self.mesh.label[self.triangle], np.uint8(SKY))


class Scene:
    """Casts rays against a mesh on one thread: the same rays always give the same hits.

    Args:
        mesh: the triangles of the instant, world.
        lamps: (L, 3) world positions of street lights near by.
        headlights: (4, 4) world pose of the ego vehicle's front lights, x forward.
    """

    def __init__(self, mesh: Mesh, lamps: np.ndarray, headlights: np.ndarray):
        self.mesh = mesh
        self.lamps = lamps
        self.headlights = headlights
        self._caster = o3d.t.geometry.RaycastingScene(nthreads=1)
        corners = np.ascontiguousarray(mesh.corners.reshape(-1, 3))
        index = np.arange(len(corners), dtype=np.uint32).reshape(-1, 3)
        self._caster.add_triangles(o3d.core.Tensor(corners), o3d.core.Tensor(index))

    def cast(self, origin: np.ndarray, direction: np.ndarray) -> Hits:
        """First hits of rays from `origin` (3,) or (N, 3) along unit vectors (N, 3), world."""
        direction = np.ascontiguousarray(direction, np.float32)
        origin = np.asarray(origin, np.float32)
        rays = np.empty((len(direction), 6), np.float32)
        rays[:, :3], rays[:, 3:] = origin, direction
        answer = self._caster.cast_rays(o3d.core.Tensor(rays))
        triangle = answer['primitive_ids'].numpy().astype(np.int32)  # 2³² - 1 becomes -1
        normal = answer['primitive_normals'].numpy()
        away = np.einsum('ij,ij->i', normal, direction) > 0
        normal[away] *= -1
        return Hits(
            self.mesh,
            origin,
            direction,
            answer['t_hit'].numpy(),
            triangle,
            normal,
            answer['primitive_uvs'].numpy(),
        )

    def shadow(self, hits: Hits, towards: np.ndarray) -> np.ndarray:
        """(N,) bool: whether something stands between each hit and the light `towards` (3,)."""
        shaded = np.zeros(len(hits.triangle), bool)
        lit = (hits.triangle >= 0) & (hits.normal @ np.float32(towards) > 0)
        rays = np.empty((int(lit.sum()), 6), np.float32)
        rays[:, :3] = hits.origin + hits.direction[lit] * hits.range_m[lit, None]
        rays[:, :3] += hits.normal[lit] * np.float32(0.01)
        rays[:, 3:] = towards
        shaded[lit] = self._caster.test_occlusions(o3d.core.Tensor(rays)).numpy()
        return shaded
