"""Procedural textures: hashes and value noise, compiled."""

from __future__ import annotations

from mle_sam_ros.simulation.mesh import FACADE, FOLIAGE, GRAIN, SIGN_FACE, TILES
from numba import njit
import numpy as np


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def lattice(i: int, j: int, seed: int) -> float:
    """A fixed pseudo-random number in 0..1 for each lattice point and seed."""
    value = (i * 374761393 + j * 668265263 + seed * 974634541) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((value ^ (value >> 16)) & 0xFFFFFF) / 16777215.0


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def noise(u: float, v: float, seed: int) -> float:
    """Smooth noise in 0..1 with features one unit wide."""
    i, j = int(np.floor(u)), int(np.floor(v))
    a, b = u - i, v - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    low = lattice(i, j, seed) * (1 - a) + lattice(i + 1, j, seed) * a
    high = lattice(i, j + 1, seed) * (1 - a) + lattice(i + 1, j + 1, seed) * a
    return low * (1 - b) + high * b


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def visible(feature_m: float, footprint_m: float) -> float:
    """How much contrast of a feature is left when a pixel covers `footprint_m` of it."""
    return min(1.0, max(0.0, 1.5 - footprint_m / feature_m))


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def ripple(u: float, v: float, seed: int, feature_m: float, footprint_m: float) -> float:
    """Noise in -0.5..0.5 with features of a size in metres, as far as they can be resolved."""
    contrast = visible(feature_m, footprint_m)
    if contrast == 0:
        return 0.0
    return (noise(u / feature_m, v / feature_m, seed) - 0.5) * contrast


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def brightness(texture: int, u: float, v: float, seed: int, footprint_m: float) -> float:
    """By what a texture multiplies the albedo at (u, v) metres; about 1 on average."""
    if texture == GRAIN:
        fine = ripple(u, v, seed + 1, 0.14, footprint_m)
        return 1.0 + 0.35 * ripple(u, v, seed, 1.1, footprint_m) + 0.25 * fine
    if texture == FOLIAGE:
        fine = ripple(u, v, seed + 1, 0.11, footprint_m)
        return max(0.15, 1.0 + 1.1 * ripple(u, v, seed, 0.45, footprint_m) + fine)
    if texture == TILES:
        joint = u % 1.0 < 0.05 or v % 1.0 < 0.05
        tone = 0.25 * (lattice(int(np.floor(u)), int(np.floor(v)), seed) - 0.5)
        tone -= 0.4 if joint else 0.0
        return 1.0 + tone * visible(0.3, footprint_m)
    if texture == FACADE:
        return 1.0 + 0.3 * ripple(u, v * 2.5, seed, 0.5, footprint_m)
    return 1.0


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def is_window(u: float, v: float, seed: int) -> bool:
    """Whether a facade has glass at (u, v); the seed decides the grid."""
    pitch = 2.0 + 1.6 * lattice(seed, 1, 7)
    floor = 2.9 + 0.6 * lattice(seed, 2, 7)
    width = 0.35 + 0.3 * lattice(seed, 3, 7)
    return v > 0.8 and (u / pitch) % 1.0 < width and 0.3 < (v / floor) % 1.0 < 0.78


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def is_window_lit(u: float, v: float, seed: int) -> bool:
    """Whether someone is at home behind the window at (u, v): one in six."""
    pitch = 2.0 + 1.6 * lattice(seed, 1, 7)
    floor = 2.9 + 0.6 * lattice(seed, 2, 7)
    return lattice(int(np.floor(u / pitch)), int(np.floor(v / floor)), seed + 5) < 0.16


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def is_sign_white(texture: int, u: float, v: float, seed: int) -> bool:
    """Whether a sign's face is white here: a disc, a bar or a frame; u, v in 0..1 m."""
    if texture != SIGN_FACE:
        return False
    kind = seed % 3
    across, up = abs(u - 0.5), v
    if kind == 0:
        return across * across + (up - 0.5) ** 2 < 0.08
    if kind == 1:
        return abs(up - 0.5) < 0.12 and across < 0.36
    return across > 0.4 or abs(up - 0.5) > 0.42
