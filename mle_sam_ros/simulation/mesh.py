"""Painted triangles: what the town is made of, and the few shapes it is built from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PLAIN, GRAIN, FACADE, FOLIAGE, TILES, SIGN_FACE = range(6)


@dataclass(frozen=True)
class Material:
    """How a surface looks to the cameras and to the LiDAR.

    Attributes:
        label: class id.
        albedo: linear red, green, blue in 0..1.
        texture: PLAIN, GRAIN, FACADE, FOLIAGE, TILES or SIGN_FACE.
        reflectivity: LiDAR return of a perpendicular hit, 0..1; above 0.8 retro-reflective.
        emission: linear radiance given off where lamps are lit, in units of a white wall at noon.
    """

    label: int
    albedo: tuple[float, float, float]
    texture: int = PLAIN
    reflectivity: float = 0.2
    emission: float = 0.0


@dataclass(frozen=True)
class Mesh:
    """F triangles and their paint.

    Attributes:
        corners: (F, 3, 3) float32, metres: triangle, corner, xyz.
        uv: (F, 3, 2) float32, metres along the surface at each corner, for textures.
        paint: (F, 6) float32: albedo rgb, emission, reflectivity, texture seed.
        label: (F,) uint8 class ids.
        texture: (F,) uint8.
        velocity: (F, 3) float32, m/s in the world.
    """

    corners: np.ndarray
    uv: np.ndarray
    paint: np.ndarray
    label: np.ndarray
    texture: np.ndarray
    velocity: np.ndarray

    def __len__(self) -> int:
        return len(self.corners)

    @staticmethod
    def of(corners: np.ndarray, uv: np.ndarray, material: Material, seed: int = 0) -> Mesh:
        """Paint triangles (F, 3, 3) with texture coordinates (F, 3, 2) in one material."""
        count = len(corners)
        paint = (*material.albedo, material.emission, material.reflectivity, float(seed))
        return Mesh(
            np.asarray(corners, np.float32),
            np.asarray(uv, np.float32),
            np.tile(np.float32(paint), (count, 1)),
            np.full(count, material.label, np.uint8),
            np.full(count, material.texture, np.uint8),
            np.zeros((count, 3), np.float32),
        )

    @staticmethod
    def concatenate(meshes: list[Mesh]) -> Mesh:
        """All triangles of the meshes, in their order."""
        fields = Mesh.__dataclass_fields__
        return Mesh(*(np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in fields))

    def placed(self, x: float, y: float, z: float, yaw: float) -> Mesh:
        """Turn about the z axis by `yaw`, then shift; all in the world's metres and radians."""
        cosine, sine = np.cos(yaw), np.sin(yaw)
        turn = np.float32([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        return replace(self, corners=self.corners @ turn + np.float32([x, y, z]))

    def subset(self, mask: np.ndarray) -> Mesh:
        """The triangles where `mask` (F,) holds."""
        return Mesh(*(getattr(self, name)[mask] for name in Mesh.__dataclass_fields__))


def _box_template() -> tuple[np.ndarray, np.ndarray]:
    """Twelve triangles of the unit cube about the origin, and the two axes spanning each face."""
    triangles, axes = [], []
    for normal_axis, (first, second) in enumerate([(1, 2), (0, 2), (0, 1)]):
        for side in (-0.5, 0.5):
            quad = np.zeros((4, 3))
            quad[:, normal_axis] = side
            quad[:, first] = [-0.5, 0.5, 0.5, -0.5]
            quad[:, second] = [-0.5, -0.5, 0.5, 0.5]
            triangles += [quad[[0, 1, 2]], quad[[0, 2, 3]]]
            axes += [(first, second)] * 2
    return np.array(triangles), np.array(axes)


_BOX, _BOX_AXES = _box_template()


def box(
    size: tuple[float, float, float],
    material: Material,
    at: tuple[float, float, float] = (0, 0, 0),
    seed: int = 0,
    roof: Material | None = None,
) -> Mesh:
    """An axis-aligned box standing on `at` (the middle of its bottom face), sizes in metres."""
    local = _BOX * size
    local[..., 2] += size[2] / 2
    uv = np.take_along_axis(local, _BOX_AXES[:, None, :].repeat(3, axis=1), axis=2)
    # A wall's texture starts at its left end, so that windows are not cut at the middle.
    uv[:8, :, 0] += np.where(_BOX_AXES[:8, None, 0] == 0, size[0], size[1]) / 2
    corners = local + at
    if roof is None:
        return Mesh.of(corners, uv, material, seed)
    return Mesh.concatenate(
        [Mesh.of(corners[:8], uv[:8], material, seed), Mesh.of(corners[8:], uv[8:], roof, seed)]
    )


def prism(
    radius: float,
    height: float,
    material: Material,
    at: tuple[float, float, float] = (0, 0, 0),
    sides: int = 8,
    top_radius: float | None = None,
) -> Mesh:
    """An upright cylinder (or cone frustum) of `sides` faces standing on `at`, with a lid."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides + 1)], axis=1)
    bottom = ring * radius
    top = ring * (radius if top_radius is None else top_radius) + [0, 0, height]
    lid = np.broadcast_to([0, 0, height], (sides, 3))
    corners = np.concatenate(
        [
            np.stack([bottom[:-1], bottom[1:], top[1:]], axis=1),
            np.stack([bottom[:-1], top[1:], top[:-1]], axis=1),
            np.stack([top[:-1], top[1:], lid], axis=1),
        ]
    )
    return Mesh.of(corners + np.asarray(at), corners[..., [0, 2]], material)


def _icosphere() -> np.ndarray:
    """Eighty triangles (80, 3, 3) on the unit sphere: an icosahedron, each face cut in four."""
    golden = (1 + 5**0.5) / 2
    points = np.array(
        [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
        + [(a, b * golden, 0) for a in (-1, 1) for b in (-1, 1)]
        + [(b * golden, 0, a) for a in (-1, 1) for b in (-1, 1)]
    )
    near = np.linalg.norm(points[:, None] - points[None], axis=2) < 2.1
    faces = [
        (i, j, k)
        for i in range(12)
        for j in range(i + 1, 12)
        for k in range(j + 1, 12)
        if near[i, j] and near[j, k] and near[i, k]
    ]
    a, b, c = (points[[face[n] for face in faces]] for n in range(3))
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    soup = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
    return soup / np.linalg.norm(soup, axis=2, keepdims=True)


_SPHERE = _icosphere()


def blob(
    radii: tuple[float, float, float],
    material: Material,
    at: tuple[float, float, float],
    rng: np.random.Generator,
) -> Mesh:
    """A lumpy ellipsoid about `at`: tree crowns and bushes."""
    waves = rng.uniform(-3, 3, (4, 3))
    lump = 1 + 0.1 * np.sin(_SPHERE @ waves.T + rng.uniform(0, 6, 4)).sum(axis=2, keepdims=True)
    corners = _SPHERE * lump * radii
    # Height and a mixture of the two other axes: no direction is left without texture.
    uv = np.stack([corners[..., 0] + 0.7 * corners[..., 1], corners[..., 2]], axis=2)
    return Mesh.of(corners + np.asarray(at), uv, material, int(rng.integers(1 << 16)))


def quads(corners: np.ndarray, material: Material, uv: np.ndarray | None = None) -> Mesh:
    """Flat four-cornered patches (Q, 4, 3) in metres; texture follows x and y unless given."""
    corners = np.asarray(corners, np.float64).reshape(-1, 4, 3)
    uv = corners[..., :2] if uv is None else np.asarray(uv).reshape(-1, 4, 2)
    order = [[0, 1, 2], [0, 2, 3]]
    return Mesh.of(
        corners[:, order].reshape(-1, 3, 3), uv[:, order].reshape(-1, 3, 2), material, seed=1
    )
