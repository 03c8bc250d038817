"""Every message to where it belongs: samples to the assembler, the rest to the rig."""

from typing import Any

from mle_sam_ros.core.alignment import lidar_streams
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.manifest import LidarEncoding, Manifest
from mle_sam_ros.core.modality_image import check_modality_image
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.core.rig import RIG_STREAMS
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.core.stamp import stamp_ns

_CAMERA_OF = {'camera_info': 'camera', 'event_camera_info': 'event'}


class Intake:
    """Reads messages as they arrive.

    Attributes:
        alignment: for the middle of sweeps whose points carry no times.
        frame_id: the camera's frame, as its images or else its CameraInfo name it.
    """

    def __init__(
        self,
        manifest: Manifest,
        assembler: Assembler,
        projection: Projection,
        settings: RigSettings,
    ) -> None:
        """Set up.

        Args:
            manifest: whose modalities the streams are.
            assembler: takes the samples.
            projection: takes the intrinsics, and its rig the transforms; cameras that it knows
                already stay as they are.
            settings: how the rig's messages are to be taken.
        """
        self.alignment = settings.alignment
        self.frame_id = ''
        self._assembler = assembler
        self._projection = projection
        self._camera_rectified = settings.camera_rectified
        self._given_cameras = projection.camera_names
        self._event_decoder = EventDecoder()
        self._lidar_settings = settings.lidar
        self._encodings = {modality.name: modality.encoding for modality in manifest.modalities}
        self._lidars = frozenset(
            stream
            for modality in manifest.modalities
            if isinstance(modality.encoding, LidarEncoding)
            for stream in lidar_streams(modality.name, settings.num_lidars)
        )
        self._unusable_times = dict.fromkeys(sorted(self._lidars), 0)

    def counters(self) -> dict[str, dict[str, int | float]]:
        """By stream, what its messages held, and what of it could not be used."""
        counters: dict[str, dict[str, int | float]] = {'event': self._event_decoder.to_mapping()}
        for stream, number in self._unusable_times.items():
            counters[stream] = {'unusable_times': number}
        return counters

    def receive(self, stream: str, message: Any) -> None:
        """Take in one message.

        Raises:
            InputError: where it cannot be used; a camera frame is counted as rejected.
        """
        rig = self._projection.rig
        if stream in RIG_STREAMS:
            rig.receive(stream, message)
            return
        rig.hear_frame(stream, message.header.frame_id)
        if stream in _CAMERA_OF:
            self._receive_camera_info(stream, message)
        elif stream == 'event':
            self._receive_events(message)
        elif stream in self._lidars:
            self._receive_sweep(stream, message)
        else:
            self._receive_image(stream, message)

    def _receive_image(self, stream: str, message: Any) -> None:
        """Of the camera, or aligned with it; unpacked only if a frame is made of it."""
        try:
            check_modality_image(message, stream, self._encodings.get(stream))
        except InputError:
            if stream == 'camera':
                self._assembler.account.reject_arrival('unreadable')
            raise
        if stream == 'camera':
            self.frame_id = message.header.frame_id
        self._assembler.push(stream, stamp_ns(message.header), message, len(message.data))

    def _receive_events(self, message: Any) -> None:
        sensor_hw = self._projection.size_hw('event')
        events = self._event_decoder.decode(message, 'event', sensor_hw)
        end_ns = self._event_decoder.end_ns
        if end_ns is not None:
            self._assembler.push('event', end_ns, events, events.nbytes)

    def _receive_sweep(self, stream: str, message: Any) -> None:
        # Decoded once here, although one sweep serves several frames; and a sweep that cannot be
        # read is reported even if no frame would have used it.
        cloud = decode_cloud(message, stream, self._lidar_settings)
        self._unusable_times[stream] += bool(cloud.time_fault)
        stamp = stamp_ns(message.header)
        middle_ns = stamp + self.alignment.lidar.middle_ns
        if cloud.span_ns is not None:
            middle_ns = sum(cloud.span_ns) // 2
        # A stamp of nothing stays one, to be counted as such.
        self._assembler.push(stream, middle_ns if stamp > 0 else stamp, cloud, cloud.nbytes)

    def _receive_camera_info(self, stream: str, message: Any) -> None:
        name = _CAMERA_OF[stream]
        if name == 'camera':
            self.frame_id = self.frame_id or message.header.frame_id
        if name not in self._given_cameras:
            is_rectified = name == 'camera' and self._camera_rectified
            model = CameraModel.from_camera_info(message, stream, is_rectified)
            self._projection.set_camera(name, model)
