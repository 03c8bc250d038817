"""Light and weather."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mle_sam_ros.core.errors import InputError
import numpy as np

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Condition:
    """Light in units in which a white wall facing the noon sun shines with about 1.

    Attributes:
        name: what the user calls it.
        sun: linear rgb on a surface that faces the sun; zeros without sun.
        sun_elevation: radians above the horizon.
        sun_azimuth: radians from the world's x axis.
        ambient: linear rgb from the sky on a surface that faces up.
        zenith: radiance of the sky overhead.
        horizon: radiance of the sky at the horizon, and of fog.
        extinction: 1/m; light and laser fall with exp(-extinction * range).
        lamps: brightness of street lamps and lit windows; 0 by day.
        headlights: brightness of the ego vehicle's low beam; 0 by day.
        rain: 0 dry, 1 pouring: wet ground, streaks and drops on the lens.
    """

    name: str
    sun: Rgb = (0.0, 0.0, 0.0)
    sun_elevation: float = 0.8
    sun_azimuth: float = 0.0
    ambient: Rgb = (0.4, 0.42, 0.46)
    zenith: Rgb = (0.5, 0.5, 0.5)
    horizon: Rgb = (0.6, 0.6, 0.6)
    extinction: float = 0.0
    lamps: float = 0.0
    headlights: float = 0.0
    rain: float = 0.0

    @property
    def sun_direction(self) -> np.ndarray:
        """(3,) unit vector from the ground towards the sun."""
        level = np.cos(self.sun_elevation)
        return np.array(
            [
                level * np.cos(self.sun_azimuth),
                level * np.sin(self.sun_azimuth),
                np.sin(self.sun_elevation),
            ]
        )


_TYPICAL = {
    'day': Condition(
        'day', (0.85, 0.8, 0.7), 0.9, 0.0, (0.3, 0.34, 0.42), (0.18, 0.32, 0.65), (0.6, 0.68, 0.78)
    ),
    'dusk': Condition(
        'dusk',
        (0.16, 0.07, 0.03),
        0.12,
        0.0,
        (0.04, 0.045, 0.07),
        (0.03, 0.045, 0.11),
        (0.22, 0.13, 0.09),
        lamps=0.5,
        headlights=0.6,
    ),
    'night': Condition(
        'night',
        ambient=(0.0010, 0.0011, 0.0016),
        zenith=(0.0006, 0.0007, 0.0012),
        horizon=(0.0022, 0.0020, 0.0018),
        lamps=1.0,
        headlights=1.0,
    ),
    'fog': Condition(
        'fog',
        ambient=(0.34, 0.35, 0.36),
        zenith=(0.42, 0.43, 0.44),
        horizon=(0.42, 0.43, 0.44),
        extinction=0.035,
        lamps=0.2,
        headlights=0.3,
    ),
    'rain': Condition(
        'rain',
        ambient=(0.19, 0.2, 0.22),
        zenith=(0.2, 0.21, 0.23),
        horizon=(0.26, 0.27, 0.28),
        extinction=0.010,
        lamps=0.3,
        headlights=0.4,
        rain=1.0,
    ),
}

CONDITION_NAMES = tuple(_TYPICAL)


def typical(name: str, rng: np.random.Generator) -> Condition:
    """A random instance of the condition: its sun's place, its brightness, its density of fog.

    Raises:
        InputError: for an unknown name.
    """
    if name not in _TYPICAL:
        raise InputError(
            f'condition: expected one of {", ".join(CONDITION_NAMES)}, got {name!r}; choose one'
        )
    condition = _TYPICAL[name]
    strength = rng.uniform(0.75, 1.25)
    elevation = condition.sun_elevation * rng.uniform(0.6, 1.4)
    return replace(
        condition,
        sun=_times(condition.sun, rng.uniform(0.7, 1.15)),
        sun_elevation=elevation,
        sun_azimuth=rng.uniform(0, 2 * np.pi),
        ambient=_times(condition.ambient, strength),
        zenith=_times(condition.zenith, strength),
        horizon=_times(condition.horizon, strength),
        extinction=condition.extinction * rng.uniform(0.7, 1.4),
        rain=condition.rain * rng.uniform(0.6, 1.0),
    )


def _times(rgb: Rgb, factor: float) -> Rgb:
    return (rgb[0] * factor, rgb[1] * factor, rgb[2] * factor)
