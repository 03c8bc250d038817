"""Independent instants of many drives, for training: the sensors' data as a drive pairs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.events import Events
from mle_sam_ros.simulation.camera import FrameCamera
from mle_sam_ros.simulation.conditions import Condition, CONDITION_NAMES, typical
from mle_sam_ros.simulation.drive import Drive
from mle_sam_ros.simulation.events import EventCamera, EventSensor, noise_rate_hz
from mle_sam_ros.simulation.failures import Failure, FAILURE_NAMES
from mle_sam_ros.simulation.lidar import cast_sweep, measure
from mle_sam_ros.simulation.rig import LidarModel, standard_rig
import numpy as np

EVENT_STEP_NS = 10_000_000
EVENT_HISTORY_NS = 30_000_000
# What looks farther aside cannot fall into the camera's image; not casting it saves time.
LIDAR_HALF_VIEW_RAD = 1.15
# The newest sweep that is already here when a camera frame is used: its middle is this much older.
SWEEP_AGE_NS = (45_000_000, 150_000_000)
DRIVE_S = 20.0


@dataclass(frozen=True)
class Moment:
    """What the rig delivers for one camera frame, and the truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        events: of the last 30 ms until the stamp.
        cloud: the sweep that a vehicle would pair with the image, without its rear; not deskewed.
        label_map: (H, W) uint8 class ids at the camera's size.
        condition: name of light and weather.
        failure: name of what is wrong, or `none`.
        calibration: of the rig.
        stamp_ns: of the image.
    """

    image: np.ndarray
    events: Events
    cloud: PointCloud
    label_map: np.ndarray
    condition: str
    failure: str
    calibration: Calibration
    stamp_ns: int


@dataclass(frozen=True)
class Sensors:
    """The sensors of a rig."""

    camera: FrameCamera
    event_camera: EventCamera
    lidar: LidarModel


@cache
def standard_sensors() -> Sensors:
    """Those of the standard rig, made once: rays take longer to find than an image to render."""
    rig = standard_rig()
    return Sensors(FrameCamera(rig.camera), EventCamera(rig.event_camera), rig.lidar)


def moments(
    seed: int,
    count: int,
    conditions: Sequence[str] = CONDITION_NAMES,
    failures: Sequence[str] = ('none', *FAILURE_NAMES),
    failure_share: float = 0.3,
    variants: int = 3,
    instants_per_drive: int = 10,
) -> Iterator[Moment]:
    """Yield `count` moments; the same arguments give the same bytes.

    Args:
        seed: moments of different seeds have different towns.
        count: how many.
        conditions: names to choose from, each as likely.
        failures: names to choose from, besides `none`.
        failure_share: how many of the moments have a failure.
        variants: how many moments share one instant, in different light and with other noise.
        instants_per_drive: how many instants share one town.
    """
    faults = [name for name in failures if name != 'none']
    rng = np.random.default_rng([seed, 0x30])
    rig = standard_rig()
    sensors = standard_sensors()
    for number in range(count):
        if number % (variants * instants_per_drive) == 0:
            drive = Drive(int(rng.integers(1 << 31)), DRIVE_S, rig)
        if number % variants == 0:
            stamp_ns = int(rng.integers(10, int(DRIVE_S * 20))) * 50_000_000
            instant = Instant(drive, sensors, stamp_ns, int(rng.integers(*SWEEP_AGE_NS)))
        condition = typical(str(rng.choice(list(conditions))), rng)
        is_faulty = bool(faults) and rng.random() < failure_share
        failure = Failure.random(str(rng.choice(faults)) if is_faulty else 'none', rng)
        yield instant.sense(condition, failure, rng)


class Instant:
    """The rays of all sensors around one instant of a drive: cast once, sensed in any light."""

    def __init__(self, drive: Drive, sensors: Sensors, stamp_ns: int, sweep_age_ns: int):
        self._stamp_ns = stamp_ns
        self._calibration = drive.rig.calibration()
        self._camera, self._event_camera = sensors.camera, sensors.event_camera
        self._lidar = sensors.lidar
        scene = drive.scene_at(stamp_ns)
        twist = drive.ego.velocity(stamp_ns * 1e-9)
        self._view = self._camera.look(scene, drive.pose('camera', stamp_ns), twist)
        times = range(stamp_ns - EVENT_HISTORY_NS, stamp_ns + 1, EVENT_STEP_NS)
        scenes = [drive.scene_at(time) for time in times]
        self._event_views = [
            (time, scene, self._event_camera.look(scene, drive.pose('event', time)))
            for time, scene in zip(times, scenes, strict=True)
        ]
        start_ns = stamp_ns - sweep_age_ns - sensors.lidar.period_ns // 2
        self._sweep = cast_sweep(
            sensors.lidar,
            start_ns,
            drive.scene_at,
            lambda time: drive.pose('lidar', time),
            LIDAR_HALF_VIEW_RAD,
        )

    def sense(
        self,
        condition: Condition,
        failure: Failure,
        rng: np.random.Generator,
    ) -> Moment:
        """The sensors' data in this light, with this failure."""
        return Moment(
            self._camera.expose(self._view, condition, failure, rng),
            self._events(condition, failure, rng),
            measure(self._lidar, self._sweep, condition, failure, rng),
            self._camera.labels(self._view),
            condition.name,
            failure.name,
            self._calibration,
            self._stamp_ns,
        )

    def _events(self, condition: Condition, failure: Failure, rng) -> Events:
        sensor, parts = None, []
        for time, scene, hits in self._event_views:
            image = self._event_camera.log_intensity(scene, hits, condition)
            if sensor is None:
                sensor = EventSensor(image, time, failure, noise_rate_hz(condition), rng)
            else:
                parts.append(sensor.advance(image, time))
        return Events.concatenate(parts)
