"""Events on the camera's image plane."""

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.manifest import EventEncoding
import numba
import numpy as np


class EventProjector:
    """Counts events per polarity where the camera would have seen them.

    Every event pixel is undistorted, rotated into the camera's frame and projected there once, in
    a lookup table. The distance of what it saw is unknown, so it is taken as infinite: only the
    rotation between the two cameras counts.
    """

    def __init__(
        self,
        event_camera: CameraModel,
        camera: CameraModel,
        camera_from_event: np.ndarray,
        encoding: EventEncoding,
    ) -> None:
        """Compute the table.

        Args:
            event_camera: at the size of the sensor.
            camera: at the size of the raster.
            camera_from_event: (4, 4) float64; only its rotation is used.
            encoding: of the manifest.
        """
        self._size_hw = camera.size_hw
        self._dilation_px = encoding.dilation_px
        self._pixel_of = pixel_table(event_camera, camera, camera_from_event)

    def raster(self, events: Events) -> np.ndarray:
        """Counts at each pixel.

        Args:
            events: of one window; may be empty. Those outside the sensor are ignored.

        Returns:
            (H, W, 3) uint8: positive events, negative events, zero; counts stop at 255.
        """
        counts = np.zeros((*self._size_hw, 3), np.uint8)
        _count(events.x, events.y, events.polarity, self._pixel_of, counts.reshape(-1, 3))
        if self._dilation_px == 1:
            return counts
        return cv2.dilate(counts, np.ones((self._dilation_px, self._dilation_px), np.uint8))


def pixel_table(
    event_camera: CameraModel, camera: CameraModel, camera_from_event: np.ndarray
) -> np.ndarray:
    """Where each event pixel falls in the camera image, at infinite distance.

    Returns:
        (H_event, W_event) int32, row * W + column of the nearest camera pixel; -1 outside.
    """
    rays = event_camera.rays().reshape(-1, 3) @ camera_from_event[:3, :3].T
    height, width = camera.size_hw
    table = np.full(len(rays), -1, np.int32)
    ahead = np.flatnonzero(camera.covers(rays))
    column, row = np.floor(camera.project(rays[ahead]) + 0.5).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    table[ahead[inside]] = (row * width + column)[inside]
    return table.reshape(event_camera.size_hw)


@numba.njit(nogil=True, cache=True)
def _count(x, y, polarity, pixel_of, counts):
    height, width = pixel_of.shape
    for i in range(len(x)):
        if x[i] < width and y[i] < height:
            pixel = pixel_of[y[i], x[i]]
            channel = 0 if polarity[i] else 1
            if pixel >= 0 and counts[pixel, channel] < 255:
                counts[pixel, channel] += 1
