"""The whole algorithm: assemble, project, encode, infer, decode.

The node and the replay both drive this class, so what a replay scores is what a vehicle runs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.depth import GROUND
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.inference import Engine
from mle_sam_ros.core.instant import Instant
from mle_sam_ros.core.intake import Intake
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.outputs import resize_confidence, resize_label_map
from mle_sam_ros.core.prediction import Prediction
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.core.sensor_set import SensorSet
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.core.unpacking import unpack
import numpy as np

# From a frame's stamp and its rasters by modality to rasters of the same shapes and dtypes.
Retouch = Callable[[int, dict[str, np.ndarray]], dict[str, np.ndarray]]


class Pipeline:
    """Messages in, predictions out.

    One thread calls `receive` for every message in the order of arrival, `poll` for the newest
    complete SensorSet, and `run` to segment it. A SensorSet depends only on what had arrived when
    it was due, never on how late the caller polled.
    """

    def __init__(
        self,
        manifest: Manifest,
        engine: Engine,
        calibration: Calibration,
        settings: RigSettings,
        clock_ns: Callable[[], int],
        retouch: Retouch | None = None,
    ) -> None:
        """Set up.

        Args:
            manifest: of the bundle that the engine runs.
            engine: runs the bundle.
            calibration: what is known of the rig beforehand; messages complete it, but do not
                change what it names.
            settings: how the rig's messages are to be taken.
            clock_ns: monotonic clock that stages are timed with.
            retouch: gives rasters in the place of those projected, to show the network what a
                disturbed sensor had shown; only replays do that.

        Raises:
            InputError: for settings of the motion that cannot be.
        """
        self.manifest = manifest
        self.assembler = Assembler(*settings.alignment.streams(manifest, settings.num_lidars))
        self.projection = Projection(manifest, calibration, settings.motion_settings)
        self.projection.rig.hear_frame(GROUND, settings.ground_frame)
        self._intake = Intake(manifest, self.assembler, self.projection, settings)
        self._num_lidars = settings.num_lidars
        self._engine = engine
        self._clock_ns = clock_ns
        self._retouch = retouch
        self._ready: SensorSet | None = None

    @property
    def account(self) -> FrameAccount:
        """What became of every camera frame."""
        return self.assembler.account

    def input_counters(self) -> dict[str, dict[str, int | float]]:
        """By stream, what its messages held, and what of it could not be used."""
        counters = self._intake.counters()
        rig = self.projection.rig
        return counters | ({rig.motion_source: rig.to_mapping()} if rig.motion_source else {})

    def prime(self, stream: str, message: Any) -> None:
        """Take in what stood before the first sample: transforms and CameraInfo, no samples.

        Raises:
            InputError: as `receive`.
        """
        self._intake.receive(stream, message)

    def receive(self, stream: str, message: Any, arrival_ns: int) -> None:
        """Take in one message.

        Args:
            stream: `camera`, `camera_info`, `event`, `event_camera_info`, `lidar`, `lidar_2` and
                so on, the name of any other modality, `tf_static`, `tf`, `odometry`, `twist`.
            message: of the ROS type that the stream has.
            arrival_ns: when it arrived, on the clock of the stamps.

        Raises:
            InputError: where the message cannot be used; a camera frame is counted as rejected.
        """
        self._advance(arrival_ns)
        self._intake.receive(stream, message)

    def poll(self, now_ns: int) -> SensorSet | None:
        """The newest complete SensorSet that was not yet handed out, or None."""
        self._advance(now_ns)
        ready, self._ready = self._ready, None
        return ready

    def retune(self, alignment: Alignment) -> None:
        """Pair the streams otherwise from now on."""
        self.assembler.retune(*alignment.streams(self.manifest, self._num_lidars))
        self._intake.alignment = alignment

    def run(self, sensor_set: SensorSet) -> Prediction:
        """Segment one instant.

        Raises:
            InputError: where none of the sensors could be used; the frame is counted as rejected.
            Exception: what the engine raised; the frame is counted as rejected.
        """
        instant = self.prepare(sensor_set)
        try:
            return self.infer(instant)
        except Exception:
            self.reject(instant.has_frame)
            raise

    def prepare(self, sensor_set: SensorSet) -> Instant:
        """The first half of `run`: decode and project, by what is known of the rig by now.

        Raises:
            InputError: where none of the sensors could be used; the frame is counted as rejected.
        """
        has_frame = 'camera' in sensor_set.present
        start_ns = self._clock_ns()
        data, faults = unpack(sensor_set, self.projection)
        decoded_ns = self._clock_ns()
        try:
            rasters = self._project(data, faults)
        except InputError:
            self.account.reject_emitted('no_usable_sensor', has_frame=has_frame)
            raise
        if self._retouch is not None:
            rasters = self._retouch(sensor_set.stamp_ns, rasters)
        projected_ns = self._clock_ns()
        ages_ns, sweeps = dict(sensor_set.ages_ns), []
        for modality in rasters:
            if isinstance(data[modality], list):  # several LiDARs count as their nearest
                sweeps += data[modality]
                near_ns = [sensor_set.ages_ns[sweep.stream] for sweep in data[modality]]
                ages_ns[modality] = min(near_ns, key=abs)
        image = data.get('camera')
        planes = (data[name] for name in rasters if isinstance(data[name], np.ndarray))
        return Instant(
            sensor_set.stamp_ns,
            has_frame,
            self._intake.frame_id,
            self._output_hw(image),
            rasters,
            ages_ns,
            faults,
            image,
            self.projection.camera,
            self.projection.rig.mounts(),
            tuple(sweeps),
            next((plane for plane in planes if plane.ndim == 2), None),  # only depth is flat
            {
                'decode': (decoded_ns - start_ns) / 1e6,
                'project': (projected_ns - decoded_ns) / 1e6,
            },
        )

    def infer(self, instant: Instant) -> Prediction:
        """The second half of `run`, which may go on while another thread receives and prepares.

        Raises:
            Exception: what the engine raised; the frame is left to `reject`.
        """
        start_ns = self._clock_ns()
        present = frozenset(instant.rasters)
        inference = self._engine.infer(instant.rasters, present)
        inferred_ns = self._clock_ns()
        label_map = resize_label_map(inference.label_map, instant.size_hw)
        confidence = resize_confidence(inference.confidence, instant.size_hw)
        timings_ms = {
            **instant.timings_ms,
            'infer': (inferred_ns - start_ns) / 1e6,
            **{f'infer/{part}': value for part, value in inference.timings_ms.items()},
            'resize': (self._clock_ns() - inferred_ns) / 1e6,
        }
        return Prediction(
            instant.stamp_ns,
            instant.frame_id,
            label_map,
            confidence,
            inference.router_weights,
            present,
            instant.ages_ns,
            instant.faults,
            instant.rasters,
            instant.image,
            timings_ms,
            instant.sweeps,
            instant.camera,
            instant.mounts,
            instant.depth_m,
        )

    def reject(self, has_frame: bool) -> None:
        """Count an instant as rejected that the engine failed on, with or without a frame."""
        self.account.reject_emitted('engine_failed', has_frame=has_frame)

    def _output_hw(self, image: np.ndarray | None) -> tuple[int, int]:
        """The camera image's size; without an image, its CameraInfo's."""
        if image is not None:
            return image.shape[0], image.shape[1]
        camera = self.projection.camera
        return camera.size_hw if camera is not None else self.manifest.input_hw

    def _project(self, data: Mapping[str, Any], faults: dict[str, str]) -> dict[str, np.ndarray]:
        """Rasters by modality; and, added to the faults, why others could not be projected."""
        rasters = {}
        for modality in self.manifest.modality_names:
            if modality in data:
                try:
                    rasters[modality] = self.projection.raster(modality, data[modality])
                except InputError as error:
                    faults[modality] = str(error)
        if not rasters:
            reasons = '; '.join(faults.values()) or 'no sensor of this bundle'
            raise InputError(f'sensors: expected at least one that can be used, got {reasons}')
        return rasters

    def _advance(self, now_ns: int) -> None:
        """Take every SensorSet that is due; of several, only the newest is worth running."""
        while (sensor_set := self.assembler.poll(now_ns)) is not None:
            if self._ready is not None:
                self.account.supersede_emitted(has_frame='camera' in self._ready.present)
            # By what is known now of the motion, however late it is run.
            self._ready = self.projection.rig.placed(sensor_set)
