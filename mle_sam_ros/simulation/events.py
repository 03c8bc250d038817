"""The event camera: reports each step of a pixel's log intensity."""

from __future__ import annotations

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.events import Events
from mle_sam_ros.simulation.conditions import Condition
from mle_sam_ros.simulation.failures import Failure
from mle_sam_ros.simulation.scene import Hits, Scene
from mle_sam_ros.simulation.shading import shade
from mle_sam_ros.simulation.visibility import PixelRays
from numba import njit
import numpy as np

THRESHOLD = 0.22
THRESHOLD_SPREAD = 0.025
DARK_CURRENT = 0.0006
NOISE_RATE_HZ = 0.4
NOISE_RATE_NIGHT_HZ = 1.5
_LUMINANCE = np.float32([0.299, 0.587, 0.114])


class EventCamera:
    """The optics: log intensity of a scene on the event camera's pixels."""

    def __init__(self, model: CameraModel):
        self.model = model
        self._rays = PixelRays(model.rays())
        self._pixel_rad = 1.0 / model.matrix[0, 0]

    def look(self, scene: Scene, world_from_event: np.ndarray) -> Hits:
        """What the ray through each pixel's centre meets, row by row."""
        return scene.see(self._rays, world_from_event)

    def log_intensity(self, scene: Scene, hits, condition: Condition) -> np.ndarray:
        """(H, W) float32 natural logarithm of what the pixels receive, plus dark current."""
        radiance = shade(scene, hits, condition, self._pixel_rad)
        return np.log(radiance @ _LUMINANCE + np.float32(DARK_CURRENT)).reshape(self.model.size_hw)


class EventSensor:
    """The pixels: each remembers the level of its last event.

    Args:
        log_intensity: (H, W) float32 at `stamp_ns`; the pixels start in the midst of steps.
        stamp_ns: time of the first image.
        failure: blocks of pixels may be reported as one.
        noise_rate_hz: false events per pixel.
        rng: of thresholds, start levels and noise.
    """

    def __init__(self, log_intensity, stamp_ns: int, failure: Failure, noise_rate_hz: float, rng):
        shape = log_intensity.shape
        spread = THRESHOLD_SPREAD * rng.standard_normal((2, *shape), np.float32)
        self._thresholds = np.maximum(np.float32(THRESHOLD) + spread, np.float32(0.1))
        up, down = self._thresholds
        self._level = log_intensity - up + rng.random(shape, np.float32) * (up + down)
        self._before = log_intensity
        self._stamp_ns = stamp_ns
        self.failure = failure  # it may begin and end between two calls of `advance`
        self._noise_rate_hz = noise_rate_hz
        self._rng = rng

    def advance(self, log_intensity: np.ndarray, stamp_ns: int) -> Events:
        """Events in (last stamp, stamp_ns], the intensity taken as linear in between."""
        step_ns = stamp_ns - self._stamp_ns
        x, y, part, polarity = _cross(
            self._before, log_intensity, self._level, self._thresholds[0], self._thresholds[1]
        )
        x, y, part, polarity = self._with_noise(x, y, part, polarity, step_ns)
        if self.failure.event_block_px > 1:
            x, y, part, polarity = self._coarsened(x, y, part, polarity)
        # Whole microseconds, as the sensor's clock counts; never at the last stamp itself.
        t_us = np.ceil(part * (step_ns / 1000)).clip(1).astype(np.int64)
        order = np.argsort(t_us, kind='stable')
        events = Events(x[order], y[order], self._stamp_ns + t_us[order] * 1000, polarity[order])
        self._before, self._stamp_ns = log_intensity, stamp_ns
        return events

    def _with_noise(self, x, y, part, polarity, step_ns: int):
        height, width = self._level.shape
        mean = self._noise_rate_hz * height * width * step_ns * 1e-9
        count = self._rng.poisson(mean)
        return (
            np.concatenate([x, self._rng.integers(0, width, count, np.uint16)]),
            np.concatenate([y, self._rng.integers(0, height, count, np.uint16)]),
            np.concatenate([part, self._rng.random(count, np.float32)]),
            np.concatenate([polarity, self._rng.integers(0, 2, count, np.uint8)]),
        )

    def _coarsened(self, x, y, part, polarity):
        """One address per block; a block reports as often as one of its rows would."""
        block = self.failure.event_block_px
        keep = self._rng.random(len(x)) < 1.0 / block
        middle = np.uint16(block // 2)
        height, width = self._level.shape
        x = np.minimum(x[keep] // block * block + middle, width - 1).astype(np.uint16)
        y = np.minimum(y[keep] // block * block + middle, height - 1).astype(np.uint16)
        return x, y, part[keep], polarity[keep]


def noise_rate_hz(condition: Condition) -> float:
    """False events per pixel and second: more in the dark."""
    return NOISE_RATE_NIGHT_HZ if max(condition.ambient) < 0.01 else NOISE_RATE_HZ


@njit(cache=True, nogil=True)
def _cross(before, after, level, up, down):
    """Threshold crossings; updates `level`. Returns x, y, part of the step (0..1], polarity."""
    height, width = before.shape
    count = 0
    for y in range(height):
        for x in range(width):
            rise = after[y, x] - level[y, x]
            count += int(rise / up[y, x]) if rise > 0 else int(-rise / down[y, x])
    xs, ys = np.empty(count + 1, np.uint16), np.empty(count + 1, np.uint16)
    parts, polarities = np.empty(count + 1, np.float32), np.empty(count + 1, np.uint8)
    n = 0
    for y in range(height):
        for x in range(width):
            rise = after[y, x] - level[y, x]
            step = up[y, x] if rise > 0 else -down[y, x]
            change = after[y, x] - before[y, x]
            for _ in range(int(rise / step)):
                level[y, x] += step
                part = (level[y, x] - before[y, x]) / change if change != 0 else 1.0
                xs[n], ys[n] = x, y
                parts[n] = min(1.0, max(0.0, part))
                polarities[n] = 1 if step > 0 else 0
                n += 1
    return xs[:n], ys[:n], parts[:n], polarities[:n]
