"""How the streams of a rig are paired in time: the settings an integrator tunes."""

from dataclasses import dataclass, replace

from mle_sam_ros.core.manifest import EventEncoding, Manifest, RgbEncoding
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
        """The camera's stream, and those of the other modalities the model was trained with."""
        others: list[NearestStream | WindowStream] = []
        for modality in manifest.modalities:
            if isinstance(modality.encoding, EventEncoding):
                others.append(replace(self.event, window_ns=modality.encoding.window_ns))
            elif not isinstance(modality.encoding, RgbEncoding):
                others.append(self.lidar)
        return self.camera, others
