"""The frame camera: radiance to pixels, with blur, exposure, noise and drops on the lens."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.simulation.conditions import Condition
from mle_sam_ros.simulation.failures import Failure
from mle_sam_ros.simulation.scene import Hits, Scene
from mle_sam_ros.simulation.shading import shade
from mle_sam_ros.simulation.visibility import PixelRays
from numba import njit
import numpy as np

MAX_GAIN = 14.0
MEAN_LEVEL = 0.2
FULL_WELL = 2500.0
READ_NOISE = 0.0022
NIGHT_EXPOSURE_S = 0.02
DAY_EXPOSURE_S = 0.004
_GAMMA = np.round(255 * (np.arange(4096) / 4095) ** (1 / 2.2)).astype(np.uint8)


@dataclass(frozen=True)
class View:
    """What a camera's rays met at one instant.

    Attributes:
        scene: the town at that instant.
        hits: one per pixel, row by row.
        world_from_camera: (4, 4) pose of the optical frame.
        twist_world: (6,) of the vehicle at the camera, m/s and rad/s, world.
    """

    scene: Scene
    hits: Hits
    world_from_camera: np.ndarray
    twist_world: np.ndarray


class FrameCamera:
    """A colour camera with automatic exposure."""

    def __init__(self, model: CameraModel):
        self.model = model
        self._rays = PixelRays(model.rays())
        self._pixels = np.indices(model.size_hw, dtype=np.float32)
        self._pixel_rad = 1.0 / model.matrix[0, 0]

    def look(self, scene: Scene, world_from_camera: np.ndarray, twist_world: np.ndarray) -> View:
        """Find what the ray through each pixel's centre meets."""
        hits = scene.see(self._rays, world_from_camera)
        return View(scene, hits, world_from_camera, twist_world)

    def labels(self, view: View) -> np.ndarray:
        """(H, W) uint8: the class of what each pixel's ray met."""
        return view.hits.label.reshape(self.model.size_hw)

    def expose(
        self, view: View, condition: Condition, failure: Failure, rng: np.random.Generator
    ) -> np.ndarray:
        """The image (H, W, 3) uint8 RGB that the camera delivers."""
        radiance = shade(view.scene, view.hits, condition, self._pixel_rad)
        image = radiance.reshape(*self.model.size_hw, 3)
        if condition.rain > 0:
            image = _rain_streaks(image, condition, rng)
        gain = min(MAX_GAIN, MEAN_LEVEL / max(1e-6, float(image.mean()))) * rng.uniform(0.85, 1.2)
        image = self._blur(image, view, gain, failure, rng)
        if condition.rain > 0:
            image = _drops(image, condition, rng)
        gain *= failure.exposure_factor
        return _develop(_bloom(image * np.float32(gain)), gain, rng)

    def _blur(self, image, view, gain, failure, rng) -> np.ndarray:
        """Smear along the image motion of the exposure, then a slight lens blur."""
        dark = np.clip((gain - 1.0) / 8.0, 0, 1)
        exposure_s = DAY_EXPOSURE_S + (NIGHT_EXPOSURE_S - DAY_EXPOSURE_S) * dark
        shake = np.zeros(3)
        if failure.shake_rad:
            exposure_s = max(exposure_s, 0.03)
            axis = rng.normal(size=3) * [1, 1, 0.3]
            shake = failure.shake_rad * axis / np.linalg.norm(axis)
        flow = self._flow_px(view, exposure_s, shake)
        steps = int(np.clip(np.percentile(np.abs(flow[::8, ::8]), 95), 1, 9)) | 1
        v, u = self._pixels
        blurred = np.zeros_like(image)
        for part in np.linspace(-0.5, 0.5, steps) if steps > 1 else [0.0]:
            shift = flow * np.float32(part)
            blurred += cv2.remap(
                image, u + shift[..., 0], v + shift[..., 1], cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
        return cv2.GaussianBlur(blurred / np.float32(steps), (3, 3), 0.6)

    def _flow_px(self, view: View, exposure_s: float, shake_rad: np.ndarray) -> np.ndarray:
        """(H, W, 2) float32: how far each surface moves in the exposure; of every second pixel."""
        hits, (height, width) = view.hits, self.model.size_hw
        every = np.arange(height * width).reshape(height, width)[::2, ::2].ravel()
        camera_from_world = view.world_from_camera[:3, :3].T
        flow = _flow(
            self._rays.unit[every],
            hits.range_m[every],
            hits.triangle[every],
            hits.mesh.velocity,
            camera_from_world.copy(),
            camera_from_world @ view.twist_world[:3] * exposure_s,
            camera_from_world @ view.twist_world[3:] * exposure_s + shake_rad,
            exposure_s,
            self.model.matrix[0, 0],
        )
        return cv2.resize(flow.reshape((height + 1) // 2, -1, 2), (width, height))


@njit(cache=True, nogil=True)
def _flow(rays, range_m, triangle, velocity, camera_from_world, shift, turn, exposure_s, focal_px):
    """Image motion (N, 2) of what each ray met while the camera shifts and turns; capped."""
    flow = np.empty((len(rays), 2), np.float32)
    motion, mover = np.empty(3), np.zeros(3)
    for n in range(len(rays)):
        point = rays[n] * min(range_m[n], 1e4)
        mover[:] = 0
        if triangle[n] >= 0:
            for c in range(3):
                for k in range(3):
                    mover[c] += camera_from_world[c, k] * velocity[triangle[n], k] * exposure_s
        motion[0] = mover[0] - shift[0] - (turn[1] * point[2] - turn[2] * point[1])
        motion[1] = mover[1] - shift[1] - (turn[2] * point[0] - turn[0] * point[2])
        motion[2] = mover[2] - shift[2] - (turn[0] * point[1] - turn[1] * point[0])
        depth = max(point[2], 0.1)
        for c in range(2):
            pixels = focal_px * (motion[c] - point[c] / depth * motion[2]) / depth
            flow[n, c] = min(60.0, max(-60.0, pixels))
    return flow


def _bloom(image: np.ndarray) -> np.ndarray:
    """Light scattered in the lens: bright parts glow, at a quarter of the resolution."""
    small = cv2.resize(np.minimum(image, 20), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    glow = cv2.GaussianBlur(small, (0, 0), 8)
    return image + np.float32(0.05) * cv2.resize(glow, image.shape[1::-1])


def _develop(image: np.ndarray, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Shot and read noise, saturation, gamma; `image` is already multiplied by `gain`."""
    gain = max(gain, 0.25)
    clipped = np.clip(image, 0, 4)
    sigma = np.sqrt(clipped * np.float32(gain / FULL_WELL) + np.float32((READ_NOISE * gain) ** 2))
    noisy = image + sigma * rng.standard_normal(image.shape, np.float32)
    return _GAMMA[(np.clip(noisy, 0, 1) * 4095).astype(np.int16)]


def _rain_streaks(image: np.ndarray, condition: Condition, rng: np.random.Generator) -> np.ndarray:
    """Falling drops close to the camera, smeared to streaks."""
    seeds = (rng.random(image.shape[:2], np.float32) < 0.0025 * condition.rain).astype(np.float32)
    length = int(rng.integers(9, 19))
    streaks = cv2.blur(seeds, (1, length)) * np.float32(length)
    light = np.float32(condition.horizon) * 1.6
    return image + streaks[..., None] * np.float32(0.35) * (light - image)


def _drops(image: np.ndarray, condition: Condition, rng: np.random.Generator) -> np.ndarray:
    """Drops on the lens: round patches out of focus."""
    mask = np.zeros(image.shape[:2], np.float32)
    for _ in range(rng.poisson(14 * condition.rain)):
        centre = (int(rng.integers(image.shape[1])), int(rng.integers(image.shape[0])))
        cv2.circle(mask, centre, int(rng.integers(6, 24)), float(rng.uniform(0.6, 1)), -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 2)[..., None]
    return image + mask * (cv2.blur(image, (25, 25)) - image)
