"""Sensor data to the rasters that the manifest describes, with the rig's calibration."""

from collections.abc import Sequence
from typing import Any

from mle_sam_ros.core.aligned_raster import aligned_raster
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.camera_raster import camera_raster
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.depth import GROUND, HhaProjector
from mle_sam_ros.core.ego_motion import MotionSettings
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_raster import EventProjector
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import (
    AlignedImageEncoding,
    DepthHhaEncoding,
    EventEncoding,
    LidarEncoding,
    Manifest,
)
from mle_sam_ros.core.rig import Rig
from mle_sam_ros.core.sweep import Sweep, whole
import numpy as np


class Projection:
    """The one path from a sensor to the network, in training, in replay and on the vehicle.

    What the calibration lacks is never assumed: `raster` says what is missing instead.

    Attributes:
        rig: where the sensors stand; what it hears takes effect at once.
        encodings: of the manifest, by modality.
    """

    def __init__(
        self, manifest: Manifest, calibration: Calibration, motion: MotionSettings | None = None
    ) -> None:
        """Set up.

        Args:
            manifest: says what each raster is.
            calibration: what is known beforehand.
            motion: where the vehicle's motion is taken from; nowhere by default.
        """
        self.rig = Rig(calibration.camera_from, motion)
        self._input_hw = manifest.input_hw
        self.encodings = {modality.name: modality.encoding for modality in manifest.modalities}
        self._projectors: dict[str, tuple[np.ndarray, EventProjector]] = {}
        self._hha_projectors: dict[str, tuple[np.ndarray, HhaProjector]] = {}
        self._latest: dict[str, tuple[Sequence[Sweep], np.ndarray]] = {}
        self._scaled_camera: CameraModel | None = None
        self._image_hw: tuple[int, int] | None = None
        self._cameras = dict(calibration.cameras)

    @property
    def camera(self) -> CameraModel | None:
        """The camera at the size of its images, where known."""
        return self._cameras.get('camera')

    @property
    def camera_names(self) -> frozenset[str]:
        """Those of `camera` and `event` whose intrinsics are known."""
        return frozenset(self._cameras)

    def size_hw(self, name: str) -> tuple[int, int] | None:
        """(height, width) of what `camera` or `event` sees, where known."""
        camera = self._cameras.get(name)
        return None if camera is None else camera.size_hw

    def set_camera(self, name: str, model: CameraModel) -> None:
        """Learn the intrinsics of `camera` or `event`, as a CameraInfo brings them."""
        known = self._cameras.get(name)
        if known is not None and known.agrees_with(model):
            return
        self._cameras[name] = model
        # What was computed with the one before is of no use.
        self._scaled_camera = None
        self._projectors.clear()
        self._hha_projectors.clear()
        self._latest.clear()

    def set_image_size(self, image_hw: tuple[int, int]) -> None:
        """Learn how large the camera's images are: the calibration must be of that size."""
        self._image_hw = image_hw

    def missing(self, stream: str) -> str | None:
        """What the calibration lacks for this stream, in one line; None if it is complete."""
        encoding = self.encodings[self.modality_of(stream)]
        if not isinstance(encoding, EventEncoding | LidarEncoding):
            return None
        cameras = ('camera', 'event') if isinstance(encoding, EventEncoding) else ('camera',)
        needs = [f'intrinsics of {name}' for name in cameras if name not in self._cameras]
        lack = self.rig.missing(stream)
        if lack:
            needs.append(f'camera_from.{stream} ({lack})')
        if not needs:
            return None
        return (
            f'{stream}: expected a calibration, got none for {" and ".join(needs)}; '
            'publish CameraInfo and transforms, or give a calibration file'
        )

    def raster(self, modality: str, data: Any) -> np.ndarray:
        """The modality's raster.

        Args:
            modality: of the manifest.
            data: (H, W, 3) image, Events of one window, or sweeps that fall on one raster; a
                bare PointCloud is a sweep during which nothing moved. Images are uint8, or what
                an aligned image's encoding says; of depth also (H, W) float32, metres.

        Returns:
            (height, width, 3) of `input_hw`: uint8 for images and events, float32 for LiDAR
            and for aligned images of that dtype. Of sweeps that were projected alike last time
            it is the very same array, so nobody may write to it.

        Raises:
            InputError: where the calibration does not suffice, or is of images of another size
                than the camera's, or an aligned image has another shape or dtype.
        """
        encoding = self.encodings[modality]
        is_swept = isinstance(encoding, LidarEncoding) and not isinstance(data, PointCloud)
        for stream in [sweep.stream for sweep in data] if is_swept else [modality]:
            lack = self.missing(stream)
            if lack:
                raise InputError(lack)
        if isinstance(encoding, EventEncoding | LidarEncoding) and self._image_hw is not None:
            self._cameras['camera'].check_image_size(self._image_hw, modality)
        if isinstance(encoding, EventEncoding):
            return self._event_projector(modality, encoding).raster(data)
        if isinstance(encoding, LidarEncoding):
            sweeps = data if is_swept else [whole(modality, data, self.rig.camera_from(modality))]
            return self._sweep_raster(modality, sweeps, encoding)
        if isinstance(encoding, AlignedImageEncoding):
            dtype, resize = encoding.dtype, encoding.resize
            return aligned_raster(data, self._input_hw, dtype, resize, modality)
        if isinstance(encoding, DepthHhaEncoding):
            if data.ndim == 2:
                data = self._hha_projector(modality).image(data)
            return aligned_raster(data, self._input_hw, 'uint8', 'area', modality)
        return camera_raster(data, self._input_hw)

    def modality_of(self, stream: str) -> str:
        """Of `lidar_2` it is `lidar`; a stream of no modality is its own."""
        modality, _, number = stream.rpartition('_')
        is_one_of_several = number.isdigit() and stream not in self.encodings
        return modality if is_one_of_several else stream

    def _camera_at_input(self) -> CameraModel:
        if self._scaled_camera is None:
            self._scaled_camera = self._cameras['camera'].scaled_to(self._input_hw)
        return self._scaled_camera

    def _sweep_raster(
        self, modality: str, sweeps: Sequence[Sweep], encoding: LidarEncoding
    ) -> np.ndarray:
        # A sweep serves several frames of a faster camera.
        latest = self._latest.get(modality)
        if latest is None or not _are_alike(latest[0], sweeps):
            raster = lidar_raster(sweeps, self._camera_at_input(), encoding)
            latest = self._latest[modality] = sweeps, raster
        return latest[1]

    def _event_projector(self, modality: str, encoding: EventEncoding) -> EventProjector:
        camera_from_event = self.rig.camera_from(modality)
        latest = self._projectors.get(modality)
        if latest is None or not np.array_equal(latest[0], camera_from_event):
            projector = EventProjector(
                self._cameras['event'], self._camera_at_input(), camera_from_event, encoding
            )
            latest = self._projectors[modality] = camera_from_event, projector
        return latest[1]

    def _hha_projector(self, modality: str) -> HhaProjector:
        """Of depth that is not HHA yet, which takes to know the ground."""
        if 'camera' not in self._cameras:
            raise InputError(
                f'{modality}: expected the intrinsics of camera to make HHA of depth, got none; '
                'publish CameraInfo, or HHA that is made already'
            )
        camera_from_ground = self.rig.camera_from(GROUND)
        latest = self._hha_projectors.get(modality)
        if latest is None or latest[0] is not camera_from_ground:
            projector = HhaProjector(self._cameras['camera'], camera_from_ground)
            latest = self._hha_projectors[modality] = camera_from_ground, projector
        return latest[1]


def _are_alike(first: Sequence[Sweep], second: Sequence[Sweep]) -> bool:
    return len(first) == len(second) and all(
        one.cloud is other.cloud and np.array_equal(one.camera_from_lidar, other.camera_from_lidar)
        for one, other in zip(first, second, strict=True)
    )
