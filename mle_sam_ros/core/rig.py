"""Where the sensors stand to each other, and how that moves: frames, transforms, ego motion."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.ego_motion import (
    EgoMotion,
    MeasuredMotion,
    MotionSettings,
    TransformMotion,
)
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.sensor_set import Sample, SensorSet
from mle_sam_ros.core.sweep import lost, Sweep, whole
from mle_sam_ros.core.transform_buffer import TransformBuffer
from mle_sam_ros.core.transforms import inverted
import numpy as np

# Frame to its parent and (4, 4) float64 parent_from_frame.
Mounts = Mapping[str, tuple[str, np.ndarray]]
# Brings `Misplacement`, which no sensor sends: replays do, to see what it costs.
MISPLACED = 'misplaced'
# The streams that say where things are, and hold no samples.
RIG_STREAMS = frozenset({'tf', 'tf_static', 'odometry', 'twist', MISPLACED})
# The frame that odometry and twists speak of, as the calibration file names it.
BASE = 'base'

# How long a place on a moving mount is good for, after its newest transform.
_HOLD_NS = 1_000_000_000
# From knot to knot a vehicle's motion is as good as uniform.
_KNOT_NS = 10_000_000
# Whose CameraInfo names a sensor's frame where its own messages do not.
_INFO_OF = {'camera': 'camera_info', 'event': 'event_camera_info'}


@dataclass(frozen=True, eq=False)
class Misplacement:
    """A calibration gone wrong, from now on.

    Attributes:
        stream: of the sensor.
        error: (4, 4) float64; what is known as `camera_from` becomes `camera_from @ error`.
    """

    stream: str
    error: np.ndarray


class Rig:
    """Answers where a sensor stands in the camera's frame. Nothing is assumed, nothing waited for.

    What the given calibration names wins over transforms. Frames are those of the message
    headers.

    Attributes:
        motion_source: odometry, twist or tf; empty where sweeps stay as measured.
        num_moved: sweeps that were moved to their frame's exposure.
        num_unmoved: sweeps that should have been, but the vehicle's motion was not known.
    """

    def __init__(
        self, camera_from: Mapping[str, np.ndarray], motion: MotionSettings | None = None
    ) -> None:
        """Set up.

        Args:
            camera_from: given beforehand: stream (or `base`) to (4, 4) float64.
            motion: where the vehicle's motion is taken from; nowhere by default.
        """
        self.motion_source = ''
        self.num_moved = self.num_unmoved = 0
        self._given = dict(camera_from)
        self._transforms = TransformBuffer()
        self._errors: dict[str, np.ndarray] = {}
        self._frames: dict[str, str] = {}
        self._static: dict[str, np.ndarray | None] = {}
        self._mounts: Mounts | None = None
        self._version = 0
        self._measured = MeasuredMotion()
        self._motion: EgoMotion | None = None
        if motion is not None and motion.source == 'tf':
            self._motion = TransformMotion(self._transforms, motion.fixed_frame)
        elif motion is not None and motion.source != 'none':
            self._motion = self._measured
        if motion is not None and self._motion is not None:
            self.motion_source = motion.source

    # What is heard

    def receive(self, stream: str, message: Any) -> None:
        """Take in a message of one of the `RIG_STREAMS`.

        Raises:
            InputError: where it cannot be used.
        """
        if stream == 'odometry':
            self._measured.receive_odometry(message, stream)
        elif stream == 'twist':
            self._measured.receive_twist(message, stream)
        elif stream == MISPLACED:
            self._errors[message.stream] = message.error
            self._forget_places()
        else:
            self._transforms.receive(message, stream, is_static=stream == 'tf_static')

    def hear_frame(self, stream: str, frame_id: str) -> None:
        """Learn a sensor's frame from a message header."""
        if self._frames.get(stream) != frame_id:
            self._frames[stream] = frame_id
            self._forget_places()

    # What is told

    def missing(self, stream: str) -> str | None:
        """What keeps a sensor from being placed, in words that name the frames; None if nothing.

        Of a sensor on a moving mount it tells only whether the frames hang together.
        """
        if stream in self._given or stream in self._known_static():
            return None
        camera, frame = self._frame('camera'), self._frame(stream)
        for name, heard in (('camera', camera), (stream, frame)):
            if not heard:
                return f'no message has named the frame of {name}'
        if not self._transforms.connects(camera, frame):
            return f'no transform from {frame!r} to {camera!r}'
        self._static[stream] = self._transforms.static(camera, frame)
        return None

    def camera_from(self, stream: str, reference_ns: int | None = None) -> np.ndarray:
        """(4, 4) float64 from a sensor's frame to the camera's; the same array while all stands.

        Args:
            stream: of the sensor.
            reference_ns: when, if it stands on a moving mount; None for the newest.

        Raises:
            InputError: as `missing` says, or where a moving mount has not been heard of for a
                second.
        """
        lack = self.missing(stream)
        if lack:
            raise InputError(
                f'{stream}: expected to know its place, got {lack}; publish it on /tf_static, or '
                f'give camera_from.{stream} in a calibration file'
            )
        return self._misplaced(stream, self._right_place(stream, reference_ns))

    def _misplaced(self, stream: str, matrix: np.ndarray) -> np.ndarray:
        """What a sensor's place is taken for."""
        error = self._errors.get(stream)
        return matrix if error is None else matrix @ error

    def _right_place(self, stream: str, reference_ns: int | None) -> np.ndarray:
        """As `camera_from`, of what `missing` does not name, and before any misplacement."""
        matrix = self._given.get(stream)
        matrix = self._static[stream] if matrix is None else matrix
        if matrix is not None:
            return matrix
        camera, frame = self._frame('camera'), self._frame(stream)
        newest_ns = self._transforms.newest_ns(camera, frame) or 0
        reference_ns = newest_ns if reference_ns is None else reference_ns
        if reference_ns - newest_ns > _HOLD_NS:
            raise InputError(
                f'{stream}: expected the transform from {frame!r} to {camera!r} of the last '
                f'second, got one {(reference_ns - newest_ns) / 1e9:.1f} s old; publish it more '
                'often, or on /tf_static if it never changes'
            )
        return self._transforms.lookup(camera, frame, np.array([min(reference_ns, newest_ns)]))[0]

    def place(
        self, stream: str, cloud: PointCloud, reference_ns: int, middle_ns: int, offset_ns: int
    ) -> Sweep:
        """A sweep with what takes its points to the camera at the exposure.

        Args:
            stream: of the LiDAR.
            cloud: the points.
            reference_ns: the exposure, on the common clock.
            middle_ns: when the sweep was measured as a whole, on the common clock.
            offset_ns: from the clock of the points' times to the common clock.
        """
        try:
            mounting = self.camera_from(stream, reference_ns)
        except InputError as error:
            return lost(stream, cloud, str(error))
        if self._motion is None:
            return whole(stream, cloud, mounting)
        knots_ns = _knots(cloud, offset_ns, middle_ns)
        try:
            moved = self._camera_poses(self._motion, reference_ns, knots_ns) @ mounting
        except InputError as error:
            self.num_unmoved += 1
            return whole(stream, cloud, mounting, str(error))
        self.num_moved += 1
        fault = f'{stream}: {cloud.time_fault}' if cloud.time_fault else ''
        return Sweep(stream, cloud, moved, knots_ns - offset_ns, is_moved=True, fault=fault)

    def placed(self, sensor_set: SensorSet) -> SensorSet:
        """The same instant with sweeps in the place of clouds, as `place` makes them."""
        reference_ns, samples = sensor_set.reference_ns, dict(sensor_set.samples)
        for stream, sample in sensor_set.samples.items():
            if isinstance(sample.payload, PointCloud):
                middle_ns = reference_ns - sensor_set.ages_ns[stream]
                offset_ns = middle_ns - sample.stamp_ns
                sweep = self.place(stream, sample.payload, reference_ns, middle_ns, offset_ns)
                samples[stream] = Sample(sample.stamp_ns, sweep)
        return replace(sensor_set, samples=samples)

    def mounts(self) -> Mounts:
        """What stands for good, as it is used: frame to its parent and (4, 4) parent_from_frame.

        The sensors hang on the camera, and the camera on the root of its static transforms. The
        same mapping while all stands.
        """
        self._known_static()
        if self._mounts is None:
            self._mounts = self._found_mounts()
        return self._mounts

    def to_mapping(self) -> dict[str, int | float]:
        """What became of the sweeps."""
        return {'moved': self.num_moved, 'unmoved': self.num_unmoved}

    def _camera_poses(
        self, motion: EgoMotion, reference_ns: int, times_ns: np.ndarray
    ) -> np.ndarray:
        """(K, 4, 4): the camera at some times, seen from where it was at the reference time."""
        if isinstance(motion, TransformMotion):
            motion.body_frame = self._frame('camera')
            return motion.body_poses(reference_ns, times_ns)
        poses = motion.body_poses(reference_ns, times_ns)
        self.hear_frame(BASE, motion.body_frame or '')
        camera_from_base = self.camera_from(BASE, reference_ns)
        return camera_from_base @ poses @ inverted(camera_from_base)

    def _found_mounts(self) -> Mounts:
        camera = self._frame('camera').removeprefix('/')
        if not camera:
            return {}
        root = self._transforms.static_root(camera)
        mounts: dict[str, tuple[str, np.ndarray]] = {}
        if root != camera:
            base_from_camera = self._transforms.static(root, camera)
            assert base_from_camera is not None, 'the way to a static root is static'
            mounts[camera] = root, base_from_camera
        for stream in self._frames:
            frame = self._frame(stream).removeprefix('/')
            if frame in (camera, root, '') or stream.endswith('_info'):
                continue
            if self.missing(stream) is None:
                matrix = self._given.get(stream, self._static.get(stream))
                if matrix is not None:
                    mounts[frame] = camera, self._misplaced(stream, matrix)
        return mounts

    def _known_static(self) -> dict[str, np.ndarray | None]:
        """Places that were looked up since the last change; None where something moves."""
        if self._version != self._transforms.version:
            self._version = self._transforms.version
            self._forget_places()
        return self._static

    def _forget_places(self) -> None:
        self._static.clear()
        self._mounts = None

    def _frame(self, stream: str) -> str:
        """A sensor's frame: a sensor that is silent may still send its CameraInfo."""
        return self._frames.get(stream) or self._frames.get(_INFO_OF.get(stream, ''), '')


def _knots(cloud: PointCloud, offset_ns: int, middle_ns: int) -> np.ndarray:
    """(K,) int64 on the common clock: from the first point's time to the last one's."""
    if cloud.span_ns is None:
        return np.array([middle_ns])
    first_ns, last_ns = cloud.span_ns
    number = -(-(last_ns - first_ns) // _KNOT_NS) + 1
    return first_ns + offset_ns + np.linspace(0, last_ns - first_ns, number).astype(np.int64)
