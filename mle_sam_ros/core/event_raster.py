"""Events on the camera's image plane."""

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.lens import distort, undistort
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
        self._size_hw = height, width = camera.size_hw
        self._dilation_px = encoding.dilation_px
        self._sensor_hw = event_camera.size_hw
        table = pixel_table(event_camera, camera, camera_from_event).reshape(-1)
        # What lies outside goes to a pixel behind the last one, which nobody looks at.
        self._first_of = 3 * np.where(table < 0, height * width, table).astype(np.uint32)

    def raster(self, events: Events) -> np.ndarray:
        """Counts at each pixel.

        Args:
            events: of one window; may be empty. Those outside the sensor are ignored.

        Returns:
            (H, W, 3) uint8: positive events, negative events, zero; counts stop at 255.
        """
        height, width = self._size_hw
        by_pixel = np.zeros((height * width + 1, 3), np.uint8)
        _count(
            events.x,
            events.y,
            events.polarity,
            *self._sensor_hw,
            self._first_of,
            by_pixel.reshape(-1),
        )
        counts = by_pixel[:-1].reshape(height, width, 3)
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
    table = np.empty(event_camera.size_hw, np.int32)
    _fill(
        np.linalg.inv(event_camera.matrix),
        event_camera.lens_kind,
        event_camera.coefficients,
        event_camera.fold,
        camera.rotation @ camera_from_event[:3, :3] @ event_camera.rotation.T,
        np.ascontiguousarray(camera.matrix, np.float64),
        camera.lens_kind,
        camera.coefficients,
        camera.squared_radius_limit,
        camera.size_hw,
        table,
    )
    return table


@numba.njit(nogil=True, cache=True)
def _fill(
    event_inverse, event_lens_kind, event_coefficients, event_fold, plane_from_event,
    matrix, lens_kind, coefficients, squared_radius_limit, size_hw, table,
):  # fmt: skip
    height, width = size_hw
    distorted = np.empty((table.shape[1], 2))
    for row in range(table.shape[0]):
        for column in range(table.shape[1]):
            for i in range(2):
                a, b, c = event_inverse[i]
                distorted[column, i] = a * column + b * row + c
        ideal = undistort(event_lens_kind, event_coefficients, event_fold, distorted)
        for column in range(table.shape[1]):
            table[row, column] = -1
            x, y = ideal[column]
            a, b, c = plane_from_event[2]
            z = a * x + b * y + c
            a, b, c = plane_from_event[0]
            d, e, f = plane_from_event[1]
            x, y = a * x + b * y + c, d * x + e * y + f
            if not (z > 0 and x * x + y * y <= squared_radius_limit * z * z):  # NaN fails too
                continue
            x, y = distort(lens_kind, coefficients, x / z, y / z)
            u = np.floor(matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + 0.5)
            v = np.floor(matrix[1, 1] * y + matrix[1, 2] + 0.5)
            if 0 <= u < width and 0 <= v < height:
                table[row, column] = np.int32(v) * width + np.int32(u)


@numba.njit(nogil=True, cache=True)
def _count(x, y, polarity, height, width, first_of, counts):
    """Add events to counts, of which each event pixel knows the first of its camera pixel."""
    # Unsigned, so that no index is tested for being negative; and nothing hangs on a comparison
    # but the two that always hold, so that the memory of many events is fetched at a time.
    rows, columns = np.uint64(height), np.uint64(width)
    for i in range(len(x)):
        column, row = np.uint64(x[i]), np.uint64(y[i])
        if column < columns and row < rows:
            place = np.uint64(first_of[row * columns + column]) + np.uint64(polarity[i] == 0)
            counts[place] += np.uint8(counts[place] < 255)
