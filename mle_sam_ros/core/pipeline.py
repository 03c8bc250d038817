"""The whole algorithm: assemble, project, encode, infer, decode.

The node and the replay both drive this class, so what a replay scores is what a vehicle runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.image import check_image, decode_image
from mle_sam_ros.core.inference import Engine
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.outputs import resize_confidence, resize_label_map
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.core.sensor_set import SensorSet
from mle_sam_ros.core.stamp import stamp_ns
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
        ages_ns: by stream, how much older than the instant its sample was.
        faults: by modality that could have taken part, why it did not, in one line.
        rasters: by modality that took part, what the network saw.
        image: (H, W, 3) uint8 camera image, or None.
        timings_ms: by stage.
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
        """
        self.manifest = manifest
        self.assembler = Assembler(*alignment.streams(manifest))
        self.projection = Projection(manifest, calibration)
        self._engine = engine
        self._clock_ns = clock_ns
        self._ready: SensorSet | None = None
        self._frame_id = ''
        self._given_cameras = frozenset(calibration.cameras)
        self._camera_rectified = camera_rectified
        self._event_decoder = EventDecoder()

    @property
    def account(self) -> FrameAccount:
        """What became of every camera frame."""
        return self.assembler.account

    def input_counters(self) -> dict[str, dict[str, int | float]]:
        """By stream, what its messages held, and what of it could not be used."""
        return {'event': self._event_decoder.to_mapping()}

    def receive(self, stream: str, message: Any, arrival_ns: int) -> None:
        """Take in one message.

        Args:
            stream: `camera`, `camera_info`, `event`, `event_camera_info`, `lidar`.
            message: the sensor_msgs (or event_camera_msgs) message.
            arrival_ns: when it arrived, on the clock of the stamps.

        Raises:
            InputError: where the message cannot be used; a camera frame is counted as rejected.
        """
        self._advance(arrival_ns)
        if stream == 'camera':
            self._receive_camera(message)
        elif stream == 'event':
            self._receive_events(message)
        elif stream in ('camera_info', 'event_camera_info'):
            self._receive_camera_info(stream, message)
        else:
            # Decoded once here, although one sweep serves several frames; and a sweep that cannot
            # be read is reported even if no frame would have used it.
            cloud = decode_cloud(message, stream)
            self.assembler.push(stream, stamp_ns(message.header), cloud, cloud.nbytes)

    def poll(self, now_ns: int) -> SensorSet | None:
        """The newest complete SensorSet that was not yet handed out, or None."""
        self._advance(now_ns)
        ready, self._ready = self._ready, None
        return ready

    def retune(self, alignment: Alignment) -> None:
        """Pair the streams otherwise from now on."""
        self.assembler.retune(*alignment.streams(self.manifest))

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
        return Prediction(
            sensor_set.stamp_ns,
            self._frame_id,
            label_map,
            confidence,
            inference.router_weights,
            frozenset(rasters),
            sensor_set.ages_ns,
            faults,
            rasters,
            image,
            timings_ms,
        )

    def _output_hw(self, image: np.ndarray | None) -> tuple[int, int]:
        """The camera image's size; without an image, its CameraInfo's."""
        if image is not None:
            return image.shape[0], image.shape[1]
        camera = self.projection.camera
        return camera.size_hw if camera is not None else self.manifest.input_hw

    def _decode(self, sensor_set: SensorSet) -> tuple[dict[str, Any], dict[str, str]]:
        """Data by modality; and of an image that proves to be damaged when unpacked, why."""
        data = {name: sample.payload for name, sample in sensor_set.samples.items()}
        if 'camera' not in data:
            return data, {}
        try:
            data['camera'] = decode_image(data['camera'], 'camera')
        except InputError as error:
            del data['camera']
            return data, {'camera': str(error)}
        self.projection.set_image_size(data['camera'].shape[:2])
        return data, {}

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

    def _receive_camera(self, message: Any) -> None:
        try:
            check_image(message, 'camera')
        except InputError:
            self.account.reject_arrival('unreadable')
            raise
        self._frame_id = message.header.frame_id
        self.assembler.push('camera', stamp_ns(message.header), message, len(message.data))

    def _receive_events(self, message: Any) -> None:
        sensor_hw = self.projection.size_hw('event')
        events = self._event_decoder.decode(message, 'event', sensor_hw)
        end_ns = self._event_decoder.end_ns
        if end_ns is not None:
            self.assembler.push('event', end_ns, events, events.nbytes)

    def _receive_camera_info(self, stream: str, message: Any) -> None:
        name = 'camera' if stream == 'camera_info' else 'event'
        if name == 'camera':
            self._frame_id = self._frame_id or message.header.frame_id
        if name not in self._given_cameras:
            is_rectified = name == 'camera' and self._camera_rectified
            model = CameraModel.from_camera_info(message, stream, is_rectified)
            self.projection.set_camera(name, model)

    def _advance(self, now_ns: int) -> None:
        """Take every SensorSet that is due; of several, only the newest is worth running."""
        while (sensor_set := self.assembler.poll(now_ns)) is not None:
            if self._ready is not None:
                self.account.supersede_emitted(has_frame='camera' in self._ready.present)
            self._ready = sensor_set

    def _reject(self, sensor_set: SensorSet, reason: str) -> None:
        self.account.reject_emitted(reason, has_frame='camera' in sensor_set.present)
