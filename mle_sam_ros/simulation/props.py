"""Things that stand or move in the town, each a mesh about its own origin with x forward."""

from __future__ import annotations

import colorsys

from mle_sam_ros.simulation.classes import BUILDING, PEDESTRIAN, POLE, SIGN, VEGETATION, VEHICLE
from mle_sam_ros.simulation.mesh import (
    blob,
    box,
    FACADE,
    FOLIAGE,
    GRAIN,
    Material,
    Mesh,
    prism,
    SIGN_FACE,
)
import numpy as np

GLASS = (0.04, 0.05, 0.07)
RUBBER = (0.02, 0.02, 0.02)
LAMP_LIGHT = (1.0, 0.8, 0.5)


def _colour(rng, hue, saturation, value) -> tuple[float, float, float]:
    """A random linear colour within (low, high) bounds of hue, saturation and value."""
    return colorsys.hsv_to_rgb(
        rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value)
    )


def building(rng: np.random.Generator, width: float, depth: float, height: float) -> Mesh:
    """A house `width` along the street, `depth` away from it, its walls full of windows."""
    wall = Material(
        BUILDING,
        _colour(rng, (-0.02, 0.16), (0.05, 0.5), (0.18, 0.75)),
        FACADE,
        reflectivity=rng.uniform(0.2, 0.4),
    )
    roof = Material(BUILDING, _colour(rng, (0, 0.08), (0.1, 0.6), (0.08, 0.25)), GRAIN, 0.15)
    seed = int(rng.integers(1 << 16))
    parts = [box((width, depth, height), wall, seed=seed, roof=roof)]
    if rng.random() < 0.5:  # a shop front, or a plinth
        front = Material(BUILDING, _colour(rng, (0, 1), (0.1, 0.5), (0.1, 0.5)), GRAIN, 0.3)
        parts.append(box((width + 0.2, depth + 0.2, rng.uniform(0.5, 1.0)), front))
    if rng.random() < 0.4:
        parts.append(box((width + 0.6, depth + 0.6, 0.4), roof, at=(0, 0, height)))
    return Mesh.concatenate(parts)


def tree(rng: np.random.Generator) -> Mesh:
    """A trunk and two or three lumps of leaves; all of it vegetation."""
    bark = Material(VEGETATION, (0.12, 0.08, 0.05), GRAIN, 0.25)
    leaf = Material(
        VEGETATION,
        _colour(rng, (0.2, 0.36), (0.45, 0.8), (0.12, 0.35)),
        FOLIAGE,
        rng.uniform(0.4, 0.6),
    )
    trunk, spread = rng.uniform(2.2, 3.2), rng.uniform(1.2, 2.2)
    parts = [prism(rng.uniform(0.14, 0.25), trunk + 0.5, bark, sides=6)]
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(-0.6, 0.6, 2)
        radii = tuple(spread * rng.uniform(0.7, 1.1, 3))
        parts.append(blob(radii, leaf, (x, y, trunk + spread * rng.uniform(0.6, 1.2)), rng))
    return Mesh.concatenate(parts)


def bush(rng: np.random.Generator) -> Mesh:
    """A knee- to chest-high lump of leaves."""
    leaf = Material(
        VEGETATION,
        _colour(rng, (0.2, 0.36), (0.45, 0.8), (0.1, 0.3)),
        FOLIAGE,
        rng.uniform(0.4, 0.6),
    )
    radius = rng.uniform(0.5, 1.1)
    return blob((radius * rng.uniform(1, 2), radius, radius), leaf, (0, 0, radius * 0.6), rng)


def _metal(rng) -> Material:
    return Material(POLE, _colour(rng, (0.5, 0.65), (0, 0.2), (0.1, 0.45)), reflectivity=0.3)


def lamp_post(rng: np.random.Generator) -> Mesh:
    """A street lamp with its arm to the left; the light itself hangs at (0, 1.6, 6)."""
    metal = _metal(rng)
    lamp = Material(POLE, LAMP_LIGHT, reflectivity=0.4, emission=2.0)
    return Mesh.concatenate(
        [
            prism(0.15, 6.1, metal, top_radius=0.11),
            box((0.12, 1.8, 0.12), metal, at=(0, 0.8, 6.0)),
            box((0.25, 0.6, 0.1), lamp, at=(0, 1.6, 5.9)),
        ]
    )


def bollard(rng: np.random.Generator) -> Mesh:
    """A thick waist-high post."""
    return prism(rng.uniform(0.1, 0.14), rng.uniform(0.9, 1.2), _metal(rng))


def utility_pole(rng: np.random.Generator) -> Mesh:
    """A wooden post with a cross arm."""
    wood = Material(POLE, (0.2, 0.14, 0.09), GRAIN, 0.3)
    return Mesh.concatenate(
        [prism(0.16, 7.5, wood), box((0.15, 1.8, 0.15), wood, at=(0, 0, rng.uniform(6.4, 7.2)))]
    )


def sign(rng: np.random.Generator) -> Mesh:
    """A traffic sign on its post, facing against x (towards those who drive along x)."""
    colours = [(0.7, 0.02, 0.03), (0.02, 0.08, 0.55), (0.8, 0.55, 0.02), (0.01, 0.3, 0.08)]
    plate = Material(SIGN, colours[rng.integers(4)], SIGN_FACE, reflectivity=rng.uniform(0.9, 1))
    height, size = rng.uniform(2.2, 2.9), rng.uniform(0.85, 1.2)
    parts = [prism(0.1, height + size * 0.9, _metal(rng))]
    parts.append(box((0.04, size, size), plate, at=(-0.14, 0, height), seed=rng.integers(1 << 16)))
    if rng.random() < 0.35:
        parts.append(box((0.04, size, 0.4), plate, at=(-0.14, 0, height - 0.5), seed=3))
    return Mesh.concatenate(parts)


def vehicle(rng: np.random.Generator) -> tuple[Mesh, float]:
    """A car, van or bus about its middle on the ground; also its length in metres."""
    kind = rng.choice(['car', 'van', 'bus'], p=[0.72, 0.2, 0.08])
    length, width, waist, top = {
        'car': (4.4, 1.8, 0.85, 1.5),
        'van': (5.2, 2.0, 1.15, 2.2),
        'bus': (9.5, 2.4, 1.2, 3.0),
    }[kind]
    length *= rng.uniform(0.92, 1.08)
    chroma = (0.5, 0.9) if rng.random() < 0.55 else (0.0, 0.08)
    paint = Material(
        VEHICLE, _colour(rng, (0, 1), chroma, (0.04, 0.8)), reflectivity=rng.uniform(0.1, 0.7)
    )
    glass = Material(VEHICLE, GLASS, reflectivity=0.03)
    tyre = Material(VEHICLE, RUBBER, reflectivity=0.06)
    front = Material(VEHICLE, (0.9, 0.9, 0.8), reflectivity=0.7, emission=2.5)
    rear = Material(VEHICLE, (0.7, 0.02, 0.02), reflectivity=0.85, emission=0.4)
    plate = Material(VEHICLE, (0.8, 0.8, 0.75), reflectivity=0.95)
    cabin = (0.55 if kind == 'car' else 0.92) * length
    shift = -0.06 * length if kind == 'car' else -0.02 * length
    parts = [
        box((length, width, waist - 0.28), paint, at=(0, 0, 0.28)),
        box((cabin, width * 0.9, top - waist - 0.1), glass, at=(shift, 0, waist)),
        box((cabin * 0.94, width * 0.9, 0.12), paint, at=(shift, 0, top - 0.12)),
    ]
    for x in (-0.31 * length, 0.31 * length):
        parts.append(box((0.62, width + 0.02, 0.62), tyre, at=(x, 0, 0)))
    for y in (-0.36 * width, 0.36 * width):
        parts.append(box((0.06, 0.34, 0.16), front, at=(length / 2, y, 0.6)))
        parts.append(box((0.06, 0.3, 0.16), rear, at=(-length / 2, y, 0.68)))
    for x in (-length / 2 - 0.02, length / 2 + 0.02):
        parts.append(box((0.03, 0.5, 0.12), plate, at=(x, 0, 0.45)))
    return Mesh.concatenate(parts), length


def pedestrian(rng: np.random.Generator) -> Mesh:
    """A grown-up or a child: two legs, a torso with arms, a head."""
    scale = rng.uniform(0.92, 1.1) if rng.random() < 0.85 else rng.uniform(0.65, 0.8)
    cloth = [
        Material(
            PEDESTRIAN,
            _colour(rng, (0, 1), (0.1, 0.9), (0.05, 0.7)),
            GRAIN,
            rng.uniform(0.2, 0.6),
        )
        for _ in range(2)
    ]
    tone = rng.uniform(0.25, 1.0)
    skin = Material(PEDESTRIAN, (0.6 * tone, 0.4 * tone, 0.3 * tone), reflectivity=0.35)
    stride = rng.uniform(0.05, 0.25)
    parts = [
        prism(0.1, 0.85, cloth[0], at=(stride, 0.11, 0), sides=6),
        prism(0.1, 0.85, cloth[0], at=(-stride, -0.11, 0), sides=6),
        prism(0.2, 0.65, cloth[1], at=(0, 0, 0.82), top_radius=0.25),
        box((0.14, 0.12, 0.6), cloth[1], at=(-stride / 2, 0.3, 0.82)),
        box((0.14, 0.12, 0.6), cloth[1], at=(stride / 2, -0.3, 0.82)),
        prism(0.12, 0.28, skin, at=(0, 0, 1.48), sides=6),
    ]
    mesh = Mesh.concatenate(parts)
    return Mesh(mesh.corners * np.float32(scale), *list(vars(mesh).values())[1:])
