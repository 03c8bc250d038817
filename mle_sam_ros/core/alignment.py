"""How the streams of a rig are paired in time: the settings an integrator tunes."""

from dataclasses import dataclass, field, replace

from mle_sam_ros.core.manifest import EventEncoding, LidarEncoding, Manifest, RgbEncoding
from mle_sam_ros.core.streams import (
    CameraStream,
    MILLISECOND,
    NearestStream,
    SweepStream,
    WindowStream,
)


@dataclass(frozen=True)
class Alignment:
    """One entry per kind of stream.

    Attributes:
        camera: sets the pace; a camera that was never heard is stood in for at 10 Hz.
        event: its window always comes from the manifest, as the network was trained with it.
        lidar: of each LiDAR.
        aligned: of each modality whose images are aligned with the camera's: depth and others.
    """

    camera: CameraStream = CameraStream(default_period_ns=100 * MILLISECOND)
    event: WindowStream = WindowStream('event')
    lidar: SweepStream = field(default_factory=lambda: SweepStream('lidar'))
    aligned: NearestStream = NearestStream('aligned', max_age_ns=60 * MILLISECOND)

    def streams(
        self, manifest: Manifest, num_lidars: int = 1
    ) -> tuple[CameraStream, list[NearestStream | WindowStream]]:
        """The camera's stream, and those of the other modalities the model was trained with."""
        others: list[NearestStream | WindowStream] = []
        for modality in manifest.modalities:
            if isinstance(modality.encoding, EventEncoding):
                others.append(replace(self.event, window_ns=modality.encoding.window_ns))
            elif isinstance(modality.encoding, LidarEncoding):
                names = lidar_streams(modality.name, num_lidars)
                others += [replace(self.lidar, name=name) for name in names]
            elif not isinstance(modality.encoding, RgbEncoding):
                others.append(replace(self.aligned, name=modality.name))
        return self.camera, others


def lidar_streams(modality: str, num_lidars: int) -> list[str]:
    """`lidar`, `lidar_2` and so on: the streams that fall on the raster of one modality."""
    return [modality, *(f'{modality}_{number}' for number in range(2, num_lidars + 1))]
