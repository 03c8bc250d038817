"""The town at one instant, ready for rays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mle_sam_ros.simulation.classes import SKY
from mle_sam_ros.simulation.mesh import Mesh
from mle_sam_ros.simulation.visibility import PixelRays
from numba import njit
import numpy as np
import open3d as o3d


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

    @cached_property
    def _caster(self):
        caster = o3d.t.geometry.RaycastingScene(nthreads=1)
        corners = np.ascontiguousarray(self.mesh.corners.reshape(-1, 3))
        index = np.arange(len(corners), dtype=np.uint32).reshape(-1, 3)
        caster.add_triangles(o3d.core.Tensor(corners), o3d.core.Tensor(index))
        return caster

    def see(self, rays: PixelRays, world_from_camera: np.ndarray) -> Hits:
        """First hits of a camera's rays, one per pixel; `world_from_camera` is (4, 4)."""
        direction = _turned(rays.unit, world_from_camera[:3, :3].copy())
        range_m, triangle, barycentric = rays.first_hits(self.mesh.corners, world_from_camera)
        normal = _normals(self.mesh.corners, triangle)
        _turn_towards_origin(normal, direction)
        origin = world_from_camera[:3, 3].astype(np.float32)
        return Hits(self.mesh, origin, direction, range_m, triangle, normal, barycentric)

    def cast(self, origin: np.ndarray, direction: np.ndarray) -> Hits:
        """First hits of rays from `origin` (3,) or (N, 3) along unit vectors (N, 3), world."""
        direction = np.ascontiguousarray(direction, np.float32)
        origin = np.asarray(origin, np.float32)
        rays = np.empty((len(direction), 6), np.float32)
        rays[:, :3], rays[:, 3:] = origin, direction
        answer = self._caster.cast_rays(o3d.core.Tensor(rays))
        triangle = answer['primitive_ids'].numpy().astype(np.int32)  # 2³² - 1 becomes -1
        normal = answer['primitive_normals'].numpy()
        _turn_towards_origin(normal, direction)
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
        rays, index = _shadow_rays(
            hits.origin, hits.direction, hits.range_m, hits.triangle, hits.normal,
            towards.astype(np.float32),
        )  # fmt: skip
        shaded = np.zeros(len(hits.triangle), bool)
        shaded[index] = self._caster.test_occlusions(o3d.core.Tensor(rays)).numpy()
        return shaded


@njit(cache=True, nogil=True)
def _turned(rays, rotation):
    """Rays (N, 3) float32 seen from another frame: (N, 3) float32; rotation is (3, 3)."""
    result = np.empty((len(rays), 3), np.float32)
    for n in range(len(rays)):
        for c in range(3):
            result[n, c] = (
                rotation[c, 0] * rays[n, 0]
                + rotation[c, 1] * rays[n, 1]
                + rotation[c, 2] * rays[n, 2]
            )
    return result


@njit(cache=True, nogil=True, error_model='numpy')
def _normals(corners, triangle):
    """Unit normals (N, 3) float32 of the triangles met; zeros where none was."""
    normal = np.zeros((len(triangle), 3), np.float32)
    for n in range(len(triangle)):
        if triangle[n] < 0:
            continue
        a, b, c = corners[triangle[n]]
        x = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
        y = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
        z = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        length = np.sqrt(x * x + y * y + z * z)
        normal[n, 0], normal[n, 1], normal[n, 2] = x / length, y / length, z / length
    return normal


@njit(cache=True, nogil=True)
def _shadow_rays(origin, direction, range_m, triangle, normal, towards):
    """Rays (K, 6) from the hits that face the light, and which (K,) they are."""
    rays = np.empty((len(triangle), 6), np.float32)
    index = np.empty(len(triangle), np.int64)
    count = 0
    for n in range(len(triangle)):
        facing = 0.0
        for c in range(3):
            facing += normal[n, c] * towards[c]
        if triangle[n] < 0 or facing <= 0:
            continue
        for c in range(3):
            point = origin[c] + direction[n, c] * range_m[n]
            rays[count, c] = point + normal[n, c] * 0.01
            rays[count, 3 + c] = towards[c]
        index[count] = n
        count += 1
    return rays[:count], index[:count]


@njit(cache=True, nogil=True)
def _turn_towards_origin(normal, direction):
    """Flip, in place, the normals that point along their rays."""
    for n in range(len(normal)):
        along = 0.0
        for c in range(3):
            along += normal[n, c] * direction[n, c]
        if along > 0:
            for c in range(3):
                normal[n, c] = -normal[n, c]
