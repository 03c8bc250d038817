"""A simulated drive as the messages that its vehicle would have recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mle_sam_ros.bags import messages
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import Events
from mle_sam_ros.simulation.drive import Drive
from mle_sam_ros.simulation.events import EventSensor, noise_rate_hz
from mle_sam_ros.simulation.lidar import Returns
from mle_sam_ros.simulation.renderer import EVENT_STEP_NS, Frame, Slot, SLOT_NS
from mle_sam_ros.simulation.scenario import Scenario
import numpy as np

EPOCH_NS = 1_700_000_000 * 10**9
FRAMES = {
    'camera': 'camera_optical_frame',
    'event': 'event_camera_optical_frame',
    'lidar': 'lidar_frame',
}
EVENT_TYPES = ('event_packet', 'point_cloud2')
# How long after its stamp, or after its last measurement, a message arrives.
_CAMERA_DELAY_NS = 8_000_000
_EVENT_DELAY_NS = 2_000_000
_LIDAR_DELAY_NS = 10_000_000
_ODOMETRY_DELAY_NS = 1_000_000
_ODOMETRY_PERIOD_NS = 20_000_000
_EVENT_INFO_PERIOD_NS = 1_000_000_000
_POINT = np.dtype(
    [
        ('x', '<f4'),
        ('y', '<f4'),
        ('z', '<f4'),
        ('intensity', '<f4'),
        ('t', '<u4'),
        ('ring', '<u2'),
    ]
)
_PIXELS = 0xC1

Item = tuple[int, str, Any]


class Recording:
    """Turns slots, given in order, into (log time, topic, message).

    Stamps and log times count from a fixed instant: the wall clock never enters.
    """

    def __init__(self, scenario: Scenario, events_as: str) -> None:
        """Set up.

        Args:
            scenario: of the slots to come.
            events_as: one of EVENT_TYPES.

        Raises:
            InputError: for another `events_as`.
        """
        if events_as not in EVENT_TYPES:
            raise InputError(
                f'events: expected one of {", ".join(EVENT_TYPES)}, got {events_as!r}; choose one'
            )
        self._scenario = scenario
        self._events_as = events_as
        self._drive = Drive(scenario.seed, scenario.seconds)
        self._odom_from_world = np.linalg.inv(self._drive.ego.world_from_base(0.0))
        self._sensor: EventSensor | None = None

    def start(self) -> Iterator[Item]:
        """What stands before all else: how the sensors are mounted."""
        mounted = [
            messages.transform('base_link', FRAMES[name], pose, EPOCH_NS)
            for name, pose in self._drive.rig.base_from.items()
        ]
        yield EPOCH_NS, '/tf_static', messages.transforms(mounted)

    def slot(self, start_ns: int, slot: Slot) -> Iterator[Item]:
        """All that is measured in the slot from `start_ns`, topic by topic; log times interleave.

        No log time lies before the slot's start.
        """
        end_ns = min(start_ns + SLOT_NS, self._scenario.duration_ns)
        yield from self._event_info(start_ns)
        for frame in slot.frames:
            yield from self._frame(frame)
        for number, log_intensity in enumerate(slot.log_intensities):
            yield from self._events(start_ns + number * EVENT_STEP_NS, log_intensity)
        if slot.sweep is not None:
            yield self._sweep(slot.sweep_start_ns, slot.sweep)
        for time_ns in range(start_ns, end_ns, _ODOMETRY_PERIOD_NS):
            yield self._odometry(time_ns)

    def _event_info(self, start_ns: int) -> Iterator[Item]:
        if start_ns % _EVENT_INFO_PERIOD_NS == 0:
            stamp_ns, camera = EPOCH_NS + start_ns, self._drive.rig.event_camera
            info = messages.camera_info(camera, stamp_ns, FRAMES['event'])
            yield stamp_ns + _EVENT_DELAY_NS, '/event_camera/camera_info', info

    def _frame(self, frame: Frame) -> Iterator[Item]:
        """Image, intrinsics and truth of one stamp; an outage takes the image alone."""
        stamp_ns, frame_id = EPOCH_NS + frame.stamp_ns, FRAMES['camera']
        log_ns = stamp_ns + _CAMERA_DELAY_NS
        info = messages.camera_info(self._drive.rig.camera, stamp_ns, frame_id)
        yield log_ns, '/camera/camera_info', info
        if frame.image is not None:
            image = messages.image(frame.image, 'rgb8', stamp_ns, frame_id)
            yield log_ns, '/camera/image', image
        labels = messages.image(frame.label_map, 'mono8', stamp_ns, frame_id)
        yield log_ns, '/ground_truth/labels', labels

    def _events(self, until_ns: int, log_intensity: np.ndarray) -> Iterator[Item]:
        """The packet of the 10 ms until a time; the pixels go on while the stream is out."""
        failure = self._scenario.failure('event', until_ns)
        if self._sensor is None:
            rng = np.random.default_rng([self._scenario.seed, _PIXELS])
            noise_hz = noise_rate_hz(self._scenario.light())
            self._sensor = EventSensor(log_intensity, until_ns, failure, noise_hz, rng)
            return
        self._sensor.failure = failure
        events = self._sensor.advance(log_intensity, until_ns)
        after_ns = until_ns - EVENT_STEP_NS
        if not self._scenario.is_out('event', after_ns):
            log_ns = EPOCH_NS + until_ns + _EVENT_DELAY_NS
            events = Events(events.x, events.y, EPOCH_NS + events.t_ns, events.polarity)
            yield log_ns, '/event_camera/events', self._event_message(events, after_ns, log_ns)

    def _event_message(self, events: Events, after_ns: int, log_ns: int) -> Any:
        if self._events_as == 'point_cloud2':
            return messages.event_cloud(events, EPOCH_NS + after_ns, FRAMES['event'])
        size_hw, seq = self._drive.rig.event_camera.size_hw, after_ns // EVENT_STEP_NS
        return messages.event_packet(events, size_hw, log_ns, FRAMES['event'], seq)

    def _sweep(self, start_ns: int, returns: Returns) -> Item:
        points = np.empty(len(returns), _POINT)
        for column, axis in enumerate('xyz'):
            points[axis] = returns.xyz[:, column]
        points['intensity'], points['ring'] = returns.intensity, returns.ring
        points['t'] = returns.time_ns - start_ns
        message = messages.point_cloud(points, EPOCH_NS + start_ns, FRAMES['lidar'])
        end_ns = start_ns + self._drive.rig.lidar.period_ns
        return EPOCH_NS + end_ns + _LIDAR_DELAY_NS, '/lidar/points', message

    def _odometry(self, time_ns: int) -> Item:
        ego, time_s = self._drive.ego, time_ns * 1e-9
        pose = ego.world_from_base(time_s)
        base_from_world = pose[:3, :3].T
        linear, angular = (base_from_world @ part for part in np.split(ego.velocity(time_s), 2))
        stamp_ns = EPOCH_NS + time_ns
        message = messages.odometry(self._odom_from_world @ pose, linear, angular, stamp_ns)
        return stamp_ns + _ODOMETRY_DELAY_NS, '/odometry', message
