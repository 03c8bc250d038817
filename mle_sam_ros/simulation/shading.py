"""Radiance of what rays met, under a condition's light."""

from __future__ import annotations

from mle_sam_ros.simulation.conditions import Condition
from mle_sam_ros.simulation.mesh import FACADE, GRAIN
from mle_sam_ros.simulation.scene import Hits, Scene
from mle_sam_ros.simulation.texture import (
    brightness,
    is_sign_white,
    is_window,
    is_window_lit,
    noise,
)
from numba import njit
import numpy as np

LAMP_POWER = 0.35
HEADLIGHT_POWER = 7.0
RETRO_GAIN = 6.0
_WARM = np.array([1.0, 0.78, 0.5])


def shade(
    scene: Scene, hits: Hits, condition: Condition, pixel_rad: float, cast_shadows: bool = True
) -> np.ndarray:
    """Linear radiance (N, 3) float32 of each hit; 1 is a white wall facing the noon sun.

    Lambert surfaces under sky, sun with hard shadows, street lamps and headlights, dimmed by fog.

    Args:
        scene: where the hits are from.
        hits: N hits of rays with one common origin.
        condition: light and weather.
        pixel_rad: angle between neighbouring rays, so that finer texture fades out.
        cast_shadows: trace a ray to the sun from each hit.
    """
    sun_on = max(condition.sun) > 0
    if sun_on and cast_shadows:
        shaded = scene.shadow(hits, condition.sun_direction)
    else:
        shaded = np.zeros(len(hits.triangle), bool)
    headlights = scene.headlights
    mesh = hits.mesh
    return _shade(
        hits.origin.astype(np.float64),
        hits.direction,
        hits.range_m,
        hits.triangle,
        hits.normal,
        hits.barycentric,
        shaded,
        mesh.uv,
        mesh.paint,
        mesh.texture,
        condition.sun_direction,
        np.array(condition.sun),
        np.array(condition.ambient),
        np.array(condition.zenith),
        np.array(condition.horizon),
        condition.extinction,
        condition.lamps,
        condition.headlights,
        condition.rain,
        scene.lamps,
        headlights[:3, 3].copy(),
        headlights[:3, :3].copy(),
        pixel_rad,
    )


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def _sky(direction, zenith, horizon, extinction, lamps, out):
    """Gradient from horizon to zenith with faint clouds; fog hides it."""
    up = max(0.0, direction[2])
    blend = 1.0 - (1.0 - min(1.0, up)) ** 3
    if extinction > 0.02:
        blend = 0.0
    cloud = 1.0
    if up > 0.02:
        scale = 1.5 / (up + 0.1)
        drift = noise(direction[0] * scale + 50, direction[1] * scale + 50, 11)
        cloud = 1.0 + 0.35 * (drift - 0.4) * min(1.0, up * 8)
    for c in range(3):
        out[c] = (horizon[c] * (1 - blend) + zenith[c] * blend) * cloud


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def _lamplight(point, normal, lamps, power):
    """Irradiance from street lamps, which shine downwards."""
    total = 0.0
    for n in range(lamps.shape[0]):
        x, y, z = lamps[n, 0] - point[0], lamps[n, 1] - point[1], lamps[n, 2] - point[2]
        square = x * x + y * y + z * z
        if square > 900.0 or z < 0:
            continue
        distance = np.sqrt(square)
        facing = (x * normal[0] + y * normal[1] + z * normal[2]) / distance
        total += power * max(0.0, facing) * (z / distance) / (square * 0.3 + 1.0)
    return total


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def _headlight(point, normal, place, axes, power):
    """Irradiance from the ego vehicle's low beam: wide, and cut off above the horizontal."""
    x, y, z = point[0] - place[0], point[1] - place[1], point[2] - place[2]
    ahead = x * axes[0, 0] + y * axes[1, 0] + z * axes[2, 0]
    if ahead < 0.5:
        return 0.0
    left = (x * axes[0, 1] + y * axes[1, 1] + z * axes[2, 1]) / ahead
    up = (x * axes[0, 2] + y * axes[1, 2] + z * axes[2, 2]) / ahead
    square = x * x + y * y + z * z
    distance = np.sqrt(square)
    facing = max(0.0, -(x * normal[0] + y * normal[1] + z * normal[2]) / distance)
    above = max(0.0, up + 0.01)
    beam = np.exp(-left * left / 0.25 - above * above / 0.01)
    return power * beam * facing / (square + 4.0)


@njit(cache=True, nogil=True, error_model='numpy', fastmath=True)
def _shade(
    origin, direction, range_m, triangle, normal, barycentric, shaded, uv, paint, texture,
    sun_direction, sun, ambient, zenith, horizon, extinction, lamps_on, headlights_on, rain,
    lamps, headlight_place, headlight_axes, pixel_rad,
):  # fmt: skip
    count = triangle.shape[0]
    radiance = np.empty((count, 3), np.float32)
    point = np.empty(3)
    sky = np.empty(3)
    sky_up = np.empty(3)
    albedo = np.empty(3)
    for n in range(count):
        face = triangle[n]
        if face < 0:
            _sky(direction[n], zenith, horizon, extinction, lamps_on, sky)
            for c in range(3):
                radiance[n, c] = sky[c]
            continue
        distance = range_m[n]
        for c in range(3):
            point[c] = origin[c] + direction[n, c] * distance
        surface = normal[n]
        facing = 0.0
        for c in range(3):
            facing -= surface[c] * direction[n, c]
        b, c2 = barycentric[n, 0], barycentric[n, 1]
        a = 1 - b - c2
        u = a * uv[face, 0, 0] + b * uv[face, 1, 0] + c2 * uv[face, 2, 0]
        v = a * uv[face, 0, 1] + b * uv[face, 1, 1] + c2 * uv[face, 2, 1]
        kind, seed = texture[face], int(paint[face, 5])
        footprint = distance * pixel_rad / max(0.15, np.sqrt(max(0.0, facing)))
        factor = brightness(kind, u, v, seed, footprint)
        for c in range(3):
            albedo[c] = paint[face, c] * factor
        emission = paint[face, 3] * lamps_on
        gloss = 0.0
        if kind == FACADE and is_window(u, v, seed):
            albedo[0], albedo[1], albedo[2] = 0.05, 0.06, 0.08
            gloss = 0.25
            if is_window_lit(u, v, seed):
                emission = 0.12 * lamps_on
        elif is_sign_white(kind, u, v, seed):
            albedo[0], albedo[1], albedo[2] = 0.75, 0.75, 0.75
        elif kind == GRAIN and surface[2] > 0.9 and rain > 0:  # wet ground: darker, glossy
            for c in range(3):
                albedo[c] *= 1 - 0.35 * rain
            gloss = rain * 0.5 * (1 - max(0.0, facing)) ** 3
        towards_sun = 0.0
        if not shaded[n]:
            for c in range(3):
                towards_sun += surface[c] * sun_direction[c]
        towards_sun = max(0.0, towards_sun)
        open_sky = 0.55 + 0.45 * surface[2]
        lamp = headlight = 0.0
        if lamps_on > 0:
            lamp = _lamplight(point, surface, lamps, LAMP_POWER * lamps_on)
        if headlights_on > 0:
            headlight = _headlight(
                point, surface, headlight_place, headlight_axes, HEADLIGHT_POWER * headlights_on
            )
            if paint[face, 4] > 0.8:
                headlight *= RETRO_GAIN
        if gloss > 0:
            _sky(
                np.array([0.0, 0.0, abs(direction[n, 2])]), zenith, horizon, 1.0, lamps_on, sky_up
            )
        through = np.exp(-extinction * distance)
        for c in range(3):
            light = ambient[c] * open_sky + sun[c] * towards_sun
            light += lamp * _WARM[c] + headlight
            value = albedo[c] * light + emission * (_WARM[c] if kind == FACADE else paint[face, c])
            if gloss > 0:
                value += gloss * sky_up[c]
            radiance[n, c] = value * through + horizon[c] * (1 - through)
    return radiance
