"""How the vehicle moved around an instant: from odometry, from a twist, or from `/tf`.

What is not known is an error, never a guess: whoever asks then compensates nothing, and says so.
"""

from dataclasses import dataclass
import math
from typing import Any, Protocol

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.pose import (
    angle_of,
    composed,
    IDENTITY,
    inverse,
    Pose,
    pose_from_twist,
    pose_of,
)
from mle_sam_ros.core.pose_track import PoseTrack
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.core.transform_buffer import TransformBuffer
from mle_sam_ros.core.transforms import inverted
import numpy as np

Twist = tuple[float, float, float, float, float, float]

_AT_REST: Twist = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

MOTION_SOURCES = ('none', 'odometry', 'twist', 'tf')

_BUFFER_NS = 5_000_000_000
# Samples further apart than this say nothing of the time between them.
_MAX_GAP_NS = 500_000_000
# Of a message older than the newest one: beyond, the clock went back; below, it came late.
_MAX_STEP_BACK_NS = 1_000_000_000
# A pose that jumps was corrected: no vehicle moves like that.
_MAX_SPEED = 100.0  # m/s
_MAX_SPIN = 20.0  # rad/s
# Below, a body stands still: m/s, rad/s.
_REST = 1e-3


@dataclass(frozen=True)
class MotionSettings:
    """Where the vehicle's own motion is taken from.

    Attributes:
        source: none, odometry (nav_msgs/Odometry), twist (geometry_msgs/TwistStamped or
            TwistWithCovarianceStamped), or tf.
        fixed_frame: for tf: a frame that stands still on the ground and never jumps, such as odom.
    """

    source: str = 'none'
    fixed_frame: str = ''

    def __post_init__(self) -> None:
        if self.source not in MOTION_SOURCES:
            raise InputError(
                f'motion: expected one of {", ".join(MOTION_SOURCES)}, got {self.source!r}; '
                'choose one'
            )
        if self.source == 'tf' and not self.fixed_frame:
            raise InputError(
                'motion tf: expected the frame in which the ground stands still, got none; '
                'name it as fixed_frame, such as odom'
            )


class EgoMotion(Protocol):
    """Motion of a frame that is fixed to the vehicle."""

    @property
    def body_frame(self) -> str | None:
        """Name of the frame; None before anything was heard."""
        ...

    def body_poses(self, reference_ns: int, times_ns: np.ndarray) -> np.ndarray:
        """The poses of the body frame, seen from where it was at the reference time.

        Args:
            reference_ns: on the common clock.
            times_ns: (K,) int64.

        Returns:
            (K, 4, 4) float64.

        Raises:
            InputError: where one of these times is too old, too new, or was never heard of.
        """
        ...


class MeasuredMotion:
    """What odometry and twist messages tell, put together from step to step.

    A step between two messages is the difference of their poses; without poses, or where the
    pose stands still while the twist does not, the mean of their two twists, held for the time
    between them. Messages further apart than half a second are not connected, nor are two between
    which the pose jumped: nothing is known across such a seam.
    """

    def __init__(self) -> None:
        self.body_frame: str | None = None
        self._track = PoseTrack(_BUFFER_NS)
        # Of the newest message; and where the body is, seen from where it was first heard of.
        self._twist: Twist = _AT_REST
        self._pose: Pose | None = None
        self._place: Pose = IDENTITY

    def receive_odometry(self, message: Any, source: str) -> None:
        """Take in a `nav_msgs/Odometry`: the pose of its child frame, and the twist in it.

        Raises:
            InputError: for a pose or a twist that is none, or without a child frame.
        """
        place = message.pose.pose
        q = place.orientation
        try:
            # All zeros are what a driver sends that knows no more than the twist.
            pose = pose_of(place.position, q) if any((q.x, q.y, q.z, q.w)) else None
        except InputError as error:
            raise InputError(f'{source}: {error}') from None
        twist = _twist(message.twist.twist, source)
        self._receive(stamp_ns(message.header), message.child_frame_id, twist, pose, source)

    def receive_twist(self, message: Any, source: str) -> None:
        """Take in a `geometry_msgs/TwistStamped` or `TwistWithCovarianceStamped`.

        The twist is that of the header's frame, in that frame.

        Raises:
            InputError: for a twist that is none, or without a frame.
        """
        twist = getattr(message.twist, 'twist', message.twist)
        stamp, frame = stamp_ns(message.header), message.header.frame_id
        self._receive(stamp, frame, _twist(twist, source), None, source)

    def body_poses(self, reference_ns: int, times_ns: np.ndarray) -> np.ndarray:
        """As `EgoMotion.body_poses`."""
        times_ns = np.append(times_ns, reference_ns)
        poses = self._track.at(times_ns)
        if poses is None:
            raise InputError(
                f'motion: expected it from {times_ns.min() / 1e9:.3f} to '
                f'{times_ns.max() / 1e9:.3f} s, got it {self._track}; publish it at 10 Hz or '
                'more, stamped on the clock of the sensors'
            )
        return inverted(poses[-1]) @ poses[:-1]

    def _receive(
        self, time_ns: int, frame: str, twist: Twist, pose: Pose | None, source: str
    ) -> None:
        if not frame:
            raise InputError(
                f'{source}: expected the frame that moves, got none; '
                'set child_frame_id of the odometry, or frame_id of the twist'
            )
        if frame != self.body_frame:
            self.body_frame = frame
            self._forget()
        newest_ns = self._track.newest_ns
        if newest_ns is not None and newest_ns - _MAX_STEP_BACK_NS < time_ns <= newest_ns:
            return  # late, or a second time
        step = None
        if newest_ns is not None and 0 < time_ns - newest_ns <= _MAX_GAP_NS:
            step = self._step((time_ns - newest_ns) * 1e-9, twist, pose)
        if step is None:
            self._forget()
        else:
            self._place = composed(self._place, step)
        self._twist, self._pose = twist, pose
        self._track.push(time_ns, self._place)

    def _step(self, seconds: float, twist: Twist, pose: Pose | None) -> Pose | None:
        """From this body to the last one; None where the two are not connected."""
        mean = [(before + now) / 2 for before, now in zip(self._twist, twist, strict=True)]
        # A pose that nobody fills in stands still while the twist does not.
        is_still = pose == self._pose and max(map(abs, mean)) > _REST
        if pose is None or self._pose is None or is_still:
            vx, vy, vz, wx, wy, wz = mean
            return pose_from_twist((vx, vy, vz), (wx, wy, wz), seconds)
        step = composed(inverse(self._pose), pose)
        way_m, turn_rad = math.hypot(*step[:3]), angle_of(step)
        jumps = way_m > _MAX_SPEED * seconds or turn_rad > _MAX_SPIN * seconds
        return None if jumps else step

    def _forget(self) -> None:
        self._track.clear()
        self._place = IDENTITY


class TransformMotion:
    """What `/tf` tells of a frame's motion in a fixed one.

    Attributes:
        body_frame: any frame of the vehicle that hangs on the fixed one; its owner sets it.
    """

    def __init__(self, transforms: TransformBuffer, fixed_frame: str) -> None:
        self.body_frame: str | None = None
        self._transforms = transforms
        self._fixed_frame = fixed_frame

    def body_poses(self, reference_ns: int, times_ns: np.ndarray) -> np.ndarray:
        """As `EgoMotion.body_poses`."""
        body = self.body_frame or ''
        return self._transforms.lookup_through(
            body, reference_ns, body, times_ns, self._fixed_frame
        )


def _twist(twist: Any, source: str) -> Twist:
    """Metres and radians per second."""
    v, w = twist.linear, twist.angular
    is_possible = (
        math.hypot(v.x, v.y, v.z) <= _MAX_SPEED and math.hypot(w.x, w.y, w.z) <= _MAX_SPIN
    )
    if not is_possible:  # NaN is not, either
        raise InputError(
            f'{source}: expected a twist of at most {_MAX_SPEED:g} m/s and {_MAX_SPIN:g} rad/s, '
            f'got linear {v.x, v.y, v.z} and angular {w.x, w.y, w.z}; fix its publisher'
        )
    return v.x, v.y, v.z, w.x, w.y, w.z
