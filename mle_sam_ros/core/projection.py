"""Sensor data to the rasters that the manifest describes, with the rig's calibration."""

from dataclasses import replace
from typing import Any

from mle_sam_ros.core.aligned_raster import aligned_raster
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.camera_raster import camera_raster
from mle_sam_ros.core.cloud import PointCloud
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
import numpy as np


class Projection:
    """The one path from a sensor to the network, in training, in replay and on the vehicle.

    What the calibration lacks is never assumed: `raster` says what is missing instead.
    """

    def __init__(self, manifest: Manifest, calibration: Calibration) -> None:
        self._input_hw = manifest.input_hw
        self._encodings = {modality.name: modality.encoding for modality in manifest.modalities}
        self._projectors: dict[str, EventProjector] = {}
        self._sweeps: dict[str, tuple[PointCloud, np.ndarray]] = {}
        self._scaled_camera: CameraModel | None = None
        self._image_hw: tuple[int, int] | None = None
        self._calibration = calibration

    @property
    def camera(self) -> CameraModel | None:
        """The camera at the size of its images, where known."""
        return self._calibration.cameras.get('camera')

    def size_hw(self, name: str) -> tuple[int, int] | None:
        """(height, width) of what `camera` or `event` sees, where known."""
        camera = self._calibration.cameras.get(name)
        return None if camera is None else camera.size_hw

    def set_camera(self, name: str, model: CameraModel) -> None:
        """Learn the intrinsics of `camera` or `event`, as a CameraInfo brings them."""
        known = self._calibration.cameras.get(name)
        if known is not None and known.agrees_with(model):
            return
        cameras = self._calibration.cameras | {name: model}
        self._adopt(replace(self._calibration, cameras=cameras))

    def set_image_size(self, image_hw: tuple[int, int]) -> None:
        """Learn how large the camera's images are: the calibration must be of that size."""
        self._image_hw = image_hw

    def set_extrinsic(self, modality: str, camera_from_modality: np.ndarray) -> None:
        """Learn where a sensor stands: (4, 4) float64, into the camera's optical frame."""
        camera_from = self._calibration.camera_from | {modality: camera_from_modality}
        self._adopt(replace(self._calibration, camera_from=camera_from))

    def missing(self, modality: str) -> str | None:
        """What the calibration lacks for this modality, in one line; None if it is complete."""
        encoding = self._encodings[modality]
        if not isinstance(encoding, EventEncoding | LidarEncoding):
            return None
        cameras = ('camera', 'event') if isinstance(encoding, EventEncoding) else ('camera',)
        needs = [
            f'intrinsics of {name}' for name in cameras if name not in self._calibration.cameras
        ]
        if modality not in self._calibration.camera_from:
            needs.append(f'camera_from.{modality}')
        if not needs:
            return None
        return (
            f'{modality}: expected a calibration, got none for {" and ".join(needs)}; '
            'publish CameraInfo and static transforms, or give a calibration file'
        )

    def raster(self, modality: str, data: Any) -> np.ndarray:
        """The modality's raster.

        Args:
            modality: of the manifest.
            data: (H, W, 3) image, Events of one window, or PointCloud of one sweep. Images are
                uint8, or what an aligned image's encoding says.

        Returns:
            (height, width, 3) of `input_hw`: uint8 for images and events, float32 for LiDAR
            and for aligned images of that dtype. Of a sweep that was projected last time it is
            the very same array, so nobody may write to it.

        Raises:
            InputError: where the calibration does not suffice, or is of images of another size
                than the camera's, or an aligned image has another shape or dtype.
        """
        lack = self.missing(modality)
        if lack:
            raise InputError(lack)
        encoding = self._encodings[modality]
        if isinstance(encoding, EventEncoding | LidarEncoding) and self._image_hw is not None:
            self._calibration.cameras['camera'].check_image_size(self._image_hw, modality)
        if isinstance(encoding, EventEncoding):
            return self._event_projector(modality, encoding).raster(data)
        if isinstance(encoding, LidarEncoding):
            return self._sweep_raster(modality, data, encoding)
        if isinstance(encoding, AlignedImageEncoding):
            dtype, resize = encoding.dtype, encoding.resize
            return aligned_raster(data, self._input_hw, dtype, resize, modality)
        if isinstance(encoding, DepthHhaEncoding):
            return aligned_raster(data, self._input_hw, 'uint8', 'area', modality)
        return camera_raster(data, self._input_hw)

    def _adopt(self, calibration: Calibration) -> None:
        """Take over a calibration, and forget what was computed with the one before."""
        self._calibration = calibration
        self._scaled_camera = None
        self._projectors.clear()
        self._sweeps.clear()

    def _camera_at_input(self) -> CameraModel:
        if self._scaled_camera is None:
            self._scaled_camera = self._calibration.cameras['camera'].scaled_to(self._input_hw)
        return self._scaled_camera

    def _sweep_raster(
        self, modality: str, cloud: PointCloud, encoding: LidarEncoding
    ) -> np.ndarray:
        # A sweep serves several frames of a faster camera.
        latest = self._sweeps.get(modality)
        if latest is None or latest[0] is not cloud:
            camera_from_lidar = self._calibration.camera_from[modality]
            raster = lidar_raster(cloud, camera_from_lidar, self._camera_at_input(), encoding)
            latest = self._sweeps[modality] = cloud, raster
        return latest[1]

    def _event_projector(self, modality: str, encoding: EventEncoding) -> EventProjector:
        if modality not in self._projectors:
            self._projectors[modality] = EventProjector(
                self._calibration.cameras['event'],
                self._camera_at_input(),
                self._calibration.camera_from[modality],
                encoding,
            )
        return self._projectors[modality]
