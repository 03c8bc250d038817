"""The whole algorithm: assemble, project, encode, infer, decode.

The node and the replay both drive this class, so what a replay scores is what a vehicle runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.cloud import LidarSettings, PointCloud
from mle_sam_ros.core.ego_motion import MotionSettings
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.inference import Engine
from mle_sam_ros.core.intake import Intake
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.modality_image import decode_modality_image
from mle_sam_ros.core.outputs import resize_confidence, resize_label_map
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.core.sensor_set import Sample, SensorSet
from mle_sam_ros.core.sweep import Sweep
import numpy as np


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the pipeline says of one instant.

    Attributes:
        stamp_ns: the camera frame's stamp, or, camera absent, where its next frame was due.
        frame_id: the camera's optical frame.
        label_map: (H, W) uint8 class ids at the size of the camera image.
        confidence: (H, W) uint8, 255 times the probability of the class chosen.
        router_weights: (levels, M) float32, modalities in the manifest's order.
        present: modalities that took part.
        ages_ns: by stream, how much older than the instant its sample was; of a modality of
            several LiDARs, the nearest one's.
        faults: by stream that could have taken part, why it did not, in one line; by the motion's
            source, why a sweep could not be moved to the instant.
        rasters: by modality that took part, what the network saw.
        image: (H, W, 3) uint8 camera image, or None.
        timings_ms: by stage.
        sweeps: that took part, with what takes their points into the camera's frame.
    """

    stamp_ns: int
    frame_id: str
    label_map: np.ndarray
    confidence: np.ndarray
    router_weights: np.ndarray
    present: frozenset[str]
    ages_ns: Mapping[str, int]
    faults: Mapping[str, str]
    rasters: Mapping[str, np.ndarray]
    image: np.ndarray | None
    timings_ms: Mapping[str, float]
    sweeps: tuple[Sweep, ...] = ()


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
        alignment: Alignment,
        clock_ns: Callable[[], int],
        camera_rectified: bool = False,
        motion: MotionSettings | None = None,
        num_lidars: int = 1,
        lidar: LidarSettings | None = None,
    ) -> None:
        """Set up.

        Args:
            manifest: of the bundle that the engine runs.
            engine: runs the bundle.
            calibration: what is known of the rig beforehand; messages complete it, but do not
                change what it names.
            alignment: how the streams are paired in time.
            clock_ns: monotonic clock that stages are timed with.
            camera_rectified: whether the camera's images are rectified, so that P and R of its
                CameraInfo count, not K and D.
            motion: where the vehicle's motion is taken from; by default sweeps stay as measured.
            num_lidars: that are merged into one raster.
            lidar: how they are read.
        """
        self.manifest = manifest
        self.assembler = Assembler(*alignment.streams(manifest, num_lidars))
        self.projection = Projection(manifest, calibration, motion)
        self._intake = Intake(
            manifest,
            self.assembler,
            self.projection,
            alignment,
            num_lidars,
            camera_rectified,
            lidar or LidarSettings(),
        )
        self._motion = motion or MotionSettings()
        self._num_lidars = num_lidars
        self._engine = engine
        self._clock_ns = clock_ns
        self._ready: SensorSet | None = None

    @property
    def account(self) -> FrameAccount:
        """What became of every camera frame."""
        return self.assembler.account

    def input_counters(self) -> dict[str, dict[str, int | float]]:
        """By stream, what its messages held, and what of it could not be used."""
        counters = self._intake.counters()
        if self._motion.source != 'none':
            counters[self._motion.source] = self.projection.rig.to_mapping()
        return counters

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
        try:
            return self._predict(sensor_set)
        except InputError:
            self._reject(sensor_set, 'no_usable_sensor')
            raise
        except Exception:
            self._reject(sensor_set, 'engine_failed')
            raise

    def _predict(self, sensor_set: SensorSet) -> Prediction:
        start_ns = self._clock_ns()
        data, faults = self._decode(sensor_set)
        decoded_ns = self._clock_ns()
        rasters = self._project(data, faults)
        projected_ns = self._clock_ns()
        inference = self._engine.infer(rasters, frozenset(rasters))
        inferred_ns = self._clock_ns()

        image = data.get('camera')
        size_hw = self._output_hw(image)
        label_map = resize_label_map(inference.label_map, size_hw)
        confidence = resize_confidence(inference.confidence, size_hw)
        timings_ms = {
            'decode': (decoded_ns - start_ns) / 1e6,
            'project': (projected_ns - decoded_ns) / 1e6,
            'infer': (inferred_ns - projected_ns) / 1e6,
            **{f'infer/{part}': value for part, value in inference.timings_ms.items()},
            'resize': (self._clock_ns() - inferred_ns) / 1e6,
        }
        ages_ns, sweeps = dict(sensor_set.ages_ns), []
        for modality in rasters:
            if isinstance(data[modality], list):  # several LiDARs count as their nearest
                sweeps += data[modality]
                near_ns = [sensor_set.ages_ns[sweep.stream] for sweep in data[modality]]
                ages_ns[modality] = min(near_ns, key=abs)
        return Prediction(
            sensor_set.stamp_ns,
            self._intake.frame_id,
            label_map,
            confidence,
            inference.router_weights,
            frozenset(rasters),
            ages_ns,
            faults,
            rasters,
            image,
            timings_ms,
            tuple(sweeps),
        )

    def _output_hw(self, image: np.ndarray | None) -> tuple[int, int]:
        """The camera image's size; without an image, its CameraInfo's."""
        if image is not None:
            return image.shape[0], image.shape[1]
        camera = self.projection.camera
        return camera.size_hw if camera is not None else self.manifest.input_hw

    def _decode(self, sensor_set: SensorSet) -> tuple[dict[str, Any], dict[str, str]]:
        """Data by modality; and of what proves to be of no use, why."""
        data: dict[str, Any] = {}
        faults: dict[str, str] = {}
        for stream, sample in sensor_set.samples.items():
            if isinstance(sample.payload, Sweep):
                self._add_sweep(sample.payload, data, faults)
            elif isinstance(sample.payload, Events):
                data[stream] = sample.payload
            else:
                try:
                    encoding = self.projection.encodings.get(stream)
                    data[stream] = decode_modality_image(sample.payload, stream, encoding)
                except InputError as error:
                    faults[stream] = str(error)
        if 'camera' in data:
            self.projection.set_image_size(data['camera'].shape[:2])
        return data, faults

    def _add_sweep(self, sweep: Sweep, data: dict[str, Any], faults: dict[str, str]) -> None:
        """To those that fall on the same raster, if it is known where."""
        lack = self.projection.missing(sweep.stream)
        if lack or not len(sweep.camera_from_lidar):
            faults[sweep.stream] = lack or sweep.fault
            return
        if sweep.fault:
            faults[self._motion.source] = sweep.fault
        data.setdefault(self.projection.modality_of(sweep.stream), []).append(sweep)

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
            self._ready = self._placed(sensor_set)

    def _placed(self, sensor_set: SensorSet) -> SensorSet:
        """With sweeps for clouds: by what is known now of the motion, however late it is run."""
        reference_ns, samples = sensor_set.reference_ns, dict(sensor_set.samples)
        for stream, sample in sensor_set.samples.items():
            if isinstance(sample.payload, PointCloud):
                middle_ns = reference_ns - sensor_set.ages_ns[stream]
                offset_ns = middle_ns - sample.stamp_ns
                rig, cloud = self.projection.rig, sample.payload
                sweep = rig.place(stream, cloud, reference_ns, middle_ns, offset_ns)
                samples[stream] = Sample(sample.stamp_ns, sweep)
        return replace(sensor_set, samples=samples)

    def _reject(self, sensor_set: SensorSet, reason: str) -> None:
        self.account.reject_emitted(reason, has_frame='camera' in sensor_set.present)
