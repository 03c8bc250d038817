"""How the streams of a rig are paired in time: the settings an integrator tunes."""

from dataclasses import dataclass, replace

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import EventEncoding, LidarEncoding, Manifest, RgbEncoding
from mle_sam_ros.core.streams import CameraStream, MILLISECOND, NearestStream, WindowStream


@dataclass(frozen=True)
class Alignment:
    """One entry per stream.

    Attributes:
        camera: sets the pace; a camera that was never heard is stood in for at 10 Hz.
        event: its window always comes from the manifest, as the network was trained with it.
        lidar: the offset leads to the middle of a 10 Hz sweep that is stamped at its start.
    """

    camera: CameraStream = CameraStream(default_period_ns=100 * MILLISECOND)
    event: WindowStream = WindowStream('event')
    lidar: NearestStream = NearestStream('lidar', offset_ns=50 * MILLISECOND)

    def streams(
        self, manifest: Manifest
    ) -> tuple[CameraStream, list[NearestStream | WindowStream]]:
        """The camera's stream, and those of the other modalities the model was trained with.

        Raises:
            InputError: for a modality that no stream brings.
        """
        others: list[NearestStream | WindowStream] = []
        for modality in manifest.modalities:
            if isinstance(modality.encoding, EventEncoding):
                others.append(replace(self.event, window_ns=modality.encoding.window_ns))
            elif isinstance(modality.encoding, LidarEncoding):
                others.append(self.lidar)
            elif not isinstance(modality.encoding, RgbEncoding):
                raise InputError(
                    f'{modality.name}: expected rgb, event_polarity_counts or '
                    f'lidar_range_intensity_height, got {modality.encoding.kind}, which no stream '
                    'brings yet; use a bundle for camera, events and LiDAR'
                )
        return self.camera, others
