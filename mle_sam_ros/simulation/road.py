"""The road's course: from distance along and across it to a place in the world."""

from __future__ import annotations

import numpy as np

KERB_M = 0.12


class Road:
    """A gently winding centre line.

    A place on it is (s, d): metres along, and metres to the left of, the centre line.

    Attributes:
        length_m: how far it goes.
        half_width_m: from the centre line to the kerb.
        sidewalk_m: width of the walk on either side.
    """

    def __init__(self, rng: np.random.Generator, length_m: float):
        self.length_m = length_m
        self.half_width_m = rng.uniform(5.0, 5.8)
        self.sidewalk_m = rng.uniform(2.4, 4.0)
        self._s = np.arange(-150.0, length_m + 150.0, 0.5)
        bend = sum(
            rng.uniform(0.1, 0.3) * np.sin(2 * np.pi * self._s / wavelength + rng.uniform(0, 6.3))
            for wavelength in (rng.uniform(140, 220), rng.uniform(220, 500))
        )
        self._heading = bend + rng.uniform(-np.pi, np.pi)
        self._x = np.cumsum(np.cos(self._heading)) * 0.5
        self._y = np.cumsum(np.sin(self._heading)) * 0.5
        middle = len(self._s) // 2
        self._x -= self._x[middle]
        self._y -= self._y[middle]

    def heading(self, s: np.ndarray | float) -> np.ndarray:
        """Direction of the centre line at `s`, radians from the world's x axis."""
        return np.interp(s, self._s, self._heading)

    def place(self, s: np.ndarray | float, d: np.ndarray | float, z=0.0) -> np.ndarray:
        """World points (..., 3) of the places (s, d) at height `z`, metres."""
        heading = self.heading(s)
        x = np.interp(s, self._s, self._x) - d * np.sin(heading)
        y = np.interp(s, self._s, self._y) + d * np.cos(heading)
        return np.stack(np.broadcast_arrays(x, y, z), axis=-1)

    def strip(self, s: np.ndarray, from_d: float, to_d: float, z=0.0) -> np.ndarray:
        """Patches (len(s) - 1, 4, 3) that pave from `from_d` to `to_d` between successive s."""
        right, left = self.place(s, from_d, z), self.place(s, to_d, z)
        return np.stack([right[:-1], right[1:], left[1:], left[:-1]], axis=1)
