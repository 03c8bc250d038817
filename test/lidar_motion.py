"""How a LiDAR moves during a sweep, exactly."""

import cv2
from mle_sam_ros.core.cloud import PointCloud
import numpy as np

TURN = np.array([0.2, -0.4, 0.9])  # rad/s: 1 rad/s in all
WAY = np.array([15.0, -1.0, 0.5])  # m/s
SPAN_NS = 100_000_000
FIRST_NS = 1_750_000_000_000_000_000


def screw(seconds, turn=TURN, way=WAY):
    """(4, 4) where a body gets to at a constant twist in its own frame."""
    angle = np.linalg.norm(turn)
    matrix = np.eye(4)
    if angle * abs(seconds) < 1e-12:
        matrix[:3, 3] = way * seconds
        return matrix
    axis, moment = turn / angle, way / angle
    matrix[:3, :3] = cv2.Rodrigues(turn * seconds)[0]
    # Round the axis the way goes on a circle, along it straight on.
    along = axis * (axis @ moment)
    aside = np.cross(axis, moment)
    a = angle * seconds
    matrix[:3, 3] = along * a + np.cross(aside, axis) * np.sin(a) + aside * (1 - np.cos(a))
    return matrix


def knots(number, turn=TURN, way=WAY):
    """Times and poses, seen from where the LiDAR is in the middle of the sweep."""
    offsets_ns = np.linspace(0, SPAN_NS, number).astype(np.int64)
    middle = np.linalg.inv(screw(SPAN_NS / 2e9, turn, way))
    return FIRST_NS + offsets_ns, np.stack(
        [middle @ screw(o * 1e-9, turn, way) for o in offsets_ns]
    )


def cloud(random, num_points, reach_m=100.0):
    """Points all around at any time of the sweep, some of them no return."""
    xyz = random.uniform(-1, 1, (num_points, 3)).astype(np.float32) * np.float32(reach_m / 3**0.5)
    kind = random.random(num_points)
    xyz[kind < 0.05] = np.nan
    xyz[(0.05 <= kind) & (kind < 0.1)] = 0
    xyz[(0.1 <= kind) & (kind < 0.12)] = np.inf
    time_ns = FIRST_NS + random.integers(0, SPAN_NS + 1, num_points)
    if random.random() < 0.5:
        time_ns.sort()
    return PointCloud(xyz, random.random(num_points, dtype=np.float32), time_ns)
