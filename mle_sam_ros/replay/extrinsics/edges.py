"""Edges that two sensors should share: of an image, of depth, of events."""

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.events import Events
import numpy as np

# Points of one LiDAR row differ less in elevation, and neighbours less in azimuth.
_ROW_RAD, _NEIGHBOUR_RAD = np.deg2rad(0.1), np.deg2rad(1.0)
# A wall seen at a slant: range changes by its tangent times the step.
_OBLIQUE = 5.0
_MIN_JUMP_M, _MAX_JUMP_M = 0.5, 5.0
# How far an edge reaches: near enough to tell good from better, far enough to be found.
_NEAR_RAD, _FAR_RAD = np.deg2rad(0.12), np.deg2rad(0.5)
_MAX_COUNT = 4


def edge_nearness(image: np.ndarray, camera: CameraModel) -> np.ndarray:
    """How near each pixel is to edges of the image.

    Args:
        image: (H, W, 3) uint8.
        camera: of this image; its focal length turns angles into pixels.

    Returns:
        (H, W) float32, with mean 0 and standard deviation 1, so that moments weigh alike.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = cv2.GaussianBlur(grey, (0, 0), 1.0)
    slope = cv2.magnitude(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
    # Most of an image has no edges: what slopes there is the noise of the night.
    noise, edge = 2 * float(np.median(slope)), float(np.quantile(slope, 0.95))
    strength = np.clip((slope - noise) / max(edge - noise, 1.0), 0, 1)
    focal_px = float(camera.matrix[0, 0])
    near, far = (
        cv2.GaussianBlur(strength, (0, 0), max(reach * focal_px, 0.8))
        for reach in (_NEAR_RAD, _FAR_RAD)
    )
    nearness = near / max(float(near.std()), 1e-6) + far / max(float(far.std()), 1e-6)
    return (nearness - nearness.mean()) / max(float(nearness.std()), 1e-6)


def depth_edges(cloud: PointCloud) -> tuple[np.ndarray, np.ndarray]:
    """Points that stand before something farther, left or right of them in their row.

    Returns:
        (K, 3) float64 points in the LiDAR frame, and (K,) float64 weights.
    """
    points = cloud.xyz[np.isfinite(cloud.xyz).all(axis=1)].astype(np.float64)
    range_m = np.linalg.norm(points, axis=1)
    points, range_m = points[range_m > 1], range_m[range_m > 1]
    azimuth = np.arctan2(points[:, 1], points[:, 0])
    row = np.floor(np.arcsin(points[:, 2] / range_m) / _ROW_RAD)
    order = np.lexsort((azimuth, row))
    points, range_m, azimuth, row = points[order], range_m[order], azimuth[order], row[order]
    step, rise = np.diff(azimuth), np.diff(range_m)
    is_neighbour = (np.diff(row) == 0) & (step < _NEIGHBOUR_RAD)
    is_oblique = np.abs(rise) < _OBLIQUE * step * np.minimum(range_m[:-1], range_m[1:])
    rise = np.where(is_neighbour & ~is_oblique, rise, 0.0)
    jump = np.maximum(np.append(rise, 0.0), np.append(0.0, -rise))
    kept = jump > _MIN_JUMP_M
    return points[kept], np.sqrt(np.minimum(jump[kept], _MAX_JUMP_M))


def event_edges(events: Events, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where events came from.

    Args:
        events: of a short time.
        points: (H, W, 3) float64 of `event_points`.

    Returns:
        (K, 3) float64 of these points, and (K,) float64 weights.
    """
    height, width = points.shape[:2]
    inside = (events.x < width) & (events.y < height)
    pixels = events.y[inside].astype(np.int64) * width + events.x[inside]
    counts = np.bincount(pixels, minlength=height * width)
    hit = np.flatnonzero(counts)
    edges = points.reshape(-1, 3)[hit]
    weights = np.minimum(counts[hit], _MAX_COUNT).astype(np.float64)
    has_ray = np.isfinite(edges[:, 0])
    return edges[has_ray], weights[has_ray]
