"""Rigid transforms as seven numbers: x, y, z in metres and the unit quaternion x, y, z, w.

For the single poses that messages bring, on which plain numbers are ten times as fast as arrays.
"""

import math
from typing import Any

from mle_sam_ros.core.errors import InputError

Pose = tuple[float, float, float, float, float, float, float]
Vector = tuple[float, float, float]

IDENTITY: Pose = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)

# Of the squared length of a quaternion, from one: what tf2 lets pass.
_TOLERANCE = 1e-2


def pose_of(translation: Any, rotation: Any) -> Pose:
    """The pose of a message's translation (or position) and rotation (or orientation).

    Raises:
        InputError: for numbers that are not finite, or a quaternion that is not of length one
            (within 5e-3, as in tf2).
    """
    t, q = translation, rotation
    if not all(map(math.isfinite, (t.x, t.y, t.z, q.x, q.y, q.z, q.w))):
        raise InputError(
            f'expected finite numbers, got translation {t.x, t.y, t.z} and quaternion '
            f'{q.x, q.y, q.z, q.w}; fix the publisher'
        )
    squared = q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w
    if not abs(squared - 1) <= _TOLERANCE:
        raise InputError(
            f'expected a unit quaternion, got length {math.sqrt(squared):.4g}; fix the publisher'
        )
    norm = math.sqrt(squared)
    return t.x, t.y, t.z, q.x / norm, q.y / norm, q.z / norm, q.w / norm


def pose_from_twist(linear: Vector, angular: Vector, seconds: float) -> Pose:
    """Where a body gets to, seen from where it was, at a constant twist in its own frame."""
    turn_x, turn_y, turn_z = (rate * seconds for rate in angular)
    way = tuple(rate * seconds for rate in linear)
    angle = math.sqrt(turn_x * turn_x + turn_y * turn_y + turn_z * turn_z)
    if angle < 1e-6:
        half_sine, first, second = 0.5, 0.5, 1 / 6
    else:
        half_sine = math.sin(angle / 2) / angle
        first = (1 - math.cos(angle)) / angle**2
        second = (angle - math.sin(angle)) / angle**3
    turn = turn_x, turn_y, turn_z
    aside = _cross(turn, way)
    back = _cross(turn, aside)
    x, y, z = (w + first * a + second * b for w, a, b in zip(way, aside, back, strict=True))
    return _unit(
        x, y, z, half_sine * turn_x, half_sine * turn_y, half_sine * turn_z, math.cos(angle / 2)
    )


def twist_between(pose: Pose) -> tuple[Vector, Vector]:
    """The linear and angular twist that leads to a pose within a second: of less than a turn."""
    x, y, z, w = pose[3:] if pose[6] >= 0 else tuple(-value for value in pose[3:])
    sine = math.sqrt(x * x + y * y + z * z)
    angle = 2 * math.atan2(sine, w)
    if angle < 1e-6:
        scale, second = 2.0, 1 / 12
    else:
        scale = angle / sine
        second = (1 - angle / 2 / math.tan(angle / 2)) / angle**2
    turn = scale * x, scale * y, scale * z
    way = pose[:3]
    aside = _cross(turn, way)
    back = _cross(turn, aside)
    vx, vy, vz = (v - a / 2 + second * b for v, a, b in zip(way, aside, back, strict=True))
    return (vx, vy, vz), turn


def composed(first: Pose, second: Pose) -> Pose:
    """`a_from_c` of `a_from_b` and `b_from_c`."""
    ax, ay, az, aw = first[3:]
    bx, by, bz, bw = second[3:]
    x, y, z = rotated(first, second[:3])
    return _unit(
        first[0] + x,
        first[1] + y,
        first[2] + z,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def inverse(pose: Pose) -> Pose:
    """`b_from_a` of `a_from_b`."""
    x, y, z, qx, qy, qz, qw = pose
    turned = (0.0, 0.0, 0.0, -qx, -qy, -qz, qw)
    x, y, z = rotated(turned, (-x, -y, -z))
    return x, y, z, -qx, -qy, -qz, qw


def rotated(pose: Pose, vector: Vector) -> Vector:
    """The vector turned by the pose's rotation."""
    axis, w = pose[3:6], pose[6]
    aside = _cross(axis, vector)
    again = _cross(axis, aside)
    x, y, z = (v + 2 * (w * a + b) for v, a, b in zip(vector, aside, again, strict=True))
    return x, y, z


def angle_of(pose: Pose) -> float:
    """The angle of the pose's rotation, 0 to pi."""
    x, y, z, w = pose[3:]
    return 2 * math.atan2(math.sqrt(x * x + y * y + z * z), abs(w))


def _cross(first: tuple[float, ...], second: tuple[float, ...]) -> Vector:
    ax, ay, az = first
    bx, by, bz = second
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


def _unit(x: float, y: float, z: float, qx: float, qy: float, qz: float, qw: float) -> Pose:
    """Keeps rounding from growing over a day of steps."""
    norm = math.sqrt(qx * qx + qy * qy + qz * qz + qw * qw)
    return x, y, z, qx / norm, qy / norm, qz / norm, qw / norm
