"""What the sensors of a scenario deliver, tenth by tenth of a second, in any order."""

from __future__ import annotations

from dataclasses import dataclass

from mle_sam_ros.simulation.drive import Drive
from mle_sam_ros.simulation.lidar import cast_sweep, measure, Returns
from mle_sam_ros.simulation.moments import standard_sensors
from mle_sam_ros.simulation.scenario import Scenario
import numpy as np

CAMERA_PERIOD_NS = 50_000_000
EVENT_STEP_NS = 10_000_000
SLOT_NS = 100_000_000
# The LiDAR turns as it was switched on: not in step with the camera.
SWEEP_PHASE_NS = 37_000_000
# Separate streams of random numbers, one per image and one per sweep.
_IMAGE, _SWEEP = 0xB1, 0xB2


@dataclass(frozen=True)
class Frame:
    """One exposure of the frame camera.

    Attributes:
        stamp_ns: since the start of the drive.
        image: (H, W, 3) uint8 RGB, or None while the camera is out.
        label_map: (H, W) uint8 class ids.
    """

    stamp_ns: int
    image: np.ndarray | None
    label_map: np.ndarray


@dataclass(frozen=True)
class Slot:
    """A tenth of a second.

    Attributes:
        frames: of the frame camera, in order of time.
        log_intensities: (H, W) float32 on the event camera's pixels, one each 10 ms.
        sweep_start_ns: of the sweep that begins in this slot, since the start of the drive.
        sweep: its returns, or None while the LiDAR is out or if the drive ends before the sweep.
    """

    frames: list[Frame]
    log_intensities: list[np.ndarray]
    sweep_start_ns: int
    sweep: Returns | None


class Renderer:
    """Renders any slot of a scenario on its own, so that several processes can share the work."""

    def __init__(self, scenario: Scenario):
        self._scenario = scenario
        self._light = scenario.light()
        self._drive = Drive(scenario.seed, scenario.seconds)
        sensors = standard_sensors()
        self._camera, self._event_camera = sensors.camera, sensors.event_camera

    def render(self, start_ns: int) -> Slot:
        """What begins in [start, start + 0.1 s); `start_ns` is a multiple of 0.1 s."""
        frames, log_intensities = [], []
        end_ns = min(start_ns + SLOT_NS, self._scenario.duration_ns)
        for time_ns in range(start_ns, end_ns, EVENT_STEP_NS):
            scene = self._drive.scene_at(time_ns)
            hits = self._event_camera.look(scene, self._drive.pose('event', time_ns))
            log_intensities.append(self._event_camera.log_intensity(scene, hits, self._light))
            if time_ns % CAMERA_PERIOD_NS == 0:
                frames.append(self._frame(time_ns))
        sweep_start_ns = start_ns + SWEEP_PHASE_NS
        return Slot(frames, log_intensities, sweep_start_ns, self._sweep(sweep_start_ns))

    def _frame(self, time_ns: int) -> Frame:
        twist = self._drive.ego.velocity(time_ns * 1e-9)
        scene, pose = self._drive.scene_at(time_ns), self._drive.pose('camera', time_ns)
        view = self._camera.look(scene, pose, twist)
        image = None
        if not self._scenario.is_out('camera', time_ns):
            failure = self._scenario.failure('camera', time_ns)
            image = self._camera.expose(view, self._light, failure, self._random(_IMAGE, time_ns))
        return Frame(time_ns, image, self._camera.labels(view))

    def _sweep(self, start_ns: int) -> Returns | None:
        model = self._drive.rig.lidar
        is_cut = start_ns + model.period_ns > self._scenario.duration_ns
        if is_cut or self._scenario.is_out('lidar', start_ns):
            return None
        sweep = cast_sweep(
            model, start_ns, self._drive.scene_at, lambda time: self._drive.pose('lidar', time)
        )
        failure = self._scenario.failure('lidar', start_ns)
        return measure(model, sweep, self._light, failure, self._random(_SWEEP, start_ns))

    def _random(self, purpose: int, time_ns: int) -> np.random.Generator:
        return np.random.default_rng([self._scenario.seed, purpose, time_ns])
