"""Pictures that show a bad extrinsic: what a sensor saw, drawn over the camera's image."""

from collections.abc import Iterator, Sequence

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.events import Events
from mle_sam_ros.replay.extrinsics.edges import depth_edges
from mle_sam_ros.replay.report.sheet import Colour, FAINT, Sheet
import numpy as np

_NEAR_M, _FAR_M = 2.0, 60.0
_TURBO = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, np.newaxis], cv2.COLORMAP_TURBO)
_TURBO = _TURBO[:, 0, ::-1]
_TILE_WIDTH = 960
_GAP, _TOP = 10, 116
_BAR_WIDTH = 420


def lidar_picture(
    image: np.ndarray, cloud: PointCloud, camera: CameraModel, camera_from_lidar: np.ndarray
) -> np.ndarray:
    """LiDAR points over a darkened grey image, from red (2 m) to blue (60 m and beyond).

    Those that stand before something farther are large and white-rimmed: where they are not on an
    edge of the image, the extrinsic is wrong.

    Args:
        image: (H, W, 3) uint8.
        cloud: the sweep.
        camera: of this image.
        camera_from_lidar: (4, 4) float64.

    Returns:
        (h, w, 3) uint8, at the width of a tile.
    """
    picture, camera = _canvas(image, camera)
    points = cloud.xyz[np.isfinite(cloud.xyz).all(axis=1)].astype(np.float64)
    for centre, colour in _dots(points, camera, camera_from_lidar):
        cv2.circle(picture, centre, 1, colour, -1)
    for centre, colour in _dots(depth_edges(cloud)[0], camera, camera_from_lidar):
        cv2.circle(picture, centre, 4, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, centre, 3, colour, -1, cv2.LINE_AA)
    return picture


def _dots(
    points_lidar: np.ndarray, camera: CameraModel, camera_from_lidar: np.ndarray
) -> Iterator[tuple[tuple[int, int], Colour]]:
    """Pixels and colours of points, the nearest last: it is drawn over what it hides."""
    points = points_lidar @ camera_from_lidar[:3, :3].T + camera_from_lidar[:3, 3]
    points = points[camera.covers(points) & (points[:, 2] > 0.5)]
    range_m = np.linalg.norm(points, axis=1)
    colours = _colours(range_m)
    pixels = np.round(camera.project(points)).astype(np.int64)
    inside = np.abs(pixels).max(axis=1, initial=0) < 2 * _TILE_WIDTH
    for index in np.argsort(-range_m):
        if inside[index]:
            yield tuple(pixels[index].tolist()), tuple(colours[index].tolist())


def event_picture(
    image: np.ndarray,
    events: Events,
    points: np.ndarray,
    camera: CameraModel,
    camera_from_event: np.ndarray,
) -> np.ndarray:
    """Events over a darkened grey image: orange brighter, blue darker.

    Args:
        image: (H, W, 3) uint8.
        events: of the milliseconds around the image.
        points: (H, W, 3) float64 of `event_points`.
        camera: of this image.
        camera_from_event: (4, 4) float64.

    Returns:
        (h, w, 3) uint8, at the width of a tile.
    """
    picture, camera = _canvas(image, camera)
    inside = (events.x < points.shape[1]) & (events.y < points.shape[0])
    seen = points[events.y[inside], events.x[inside]]
    seen = seen @ camera_from_event[:3, :3].T + camera_from_event[:3, 3]
    covered = camera.covers(seen)
    columns, rows = np.floor(camera.project(seen[covered]) + 0.5).astype(np.int64).T
    height, width = picture.shape[:2]
    fits = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    polarity = events.polarity[inside][covered]
    for is_brighter, colour in ((0, (70, 150, 255)), (1, (255, 160, 40))):
        chosen = fits & (polarity == is_brighter)
        mask = np.zeros((height, width), np.uint8)
        mask[rows[chosen], columns[chosen]] = 1
        picture[cv2.dilate(mask, np.ones((2, 2), np.uint8)) > 0] = colour
    return picture


def contact_sheet(
    pictures: Sequence[np.ndarray],
    captions: Sequence[str],
    title: str,
    result: str,
    has_ranges: bool,
) -> np.ndarray:
    """Pictures of one size in two columns.

    Args:
        pictures: (h, w, 3) uint8.
        captions: of each.
        title: what they show.
        result: what came of it, in the line below.
        has_ranges: whether their colours are ranges, which a bar then explains.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = pictures[0].shape[:2]
    num_columns = min(2, len(pictures))
    num_rows = -(-len(pictures) // num_columns)
    step_y = height + 34
    size_hw = _TOP + num_rows * step_y + _GAP, num_columns * (width + _GAP) + _GAP
    sheet = Sheet(size_hw)
    sheet.text(title, _GAP + 6, 24, 22)
    sheet.text(result, _GAP + 6, 56, 20)
    if has_ranges:
        _range_bar(sheet, _GAP + 6, 84)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x = _GAP + index % num_columns * (width + _GAP)
        y = _TOP + index // num_columns * step_y
        sheet.paste(picture, x, y)
        sheet.text(caption, x + 6, y + height + 16, 17, FAINT)
    return sheet.pixels


def _range_bar(sheet: Sheet, x: int, y: int) -> None:
    """The colours of ranges, from near to far, with some of them in metres."""
    sheet.text('range', x, y, 17, FAINT)
    left = x + 60
    sheet.paste(
        _colours(np.geomspace(_NEAR_M, _FAR_M, _BAR_WIDTH))[None].repeat(12, 0), left, y - 6
    )
    for range_m in (2, 5, 10, 20, 60):
        share = np.log(range_m / _NEAR_M) / np.log(_FAR_M / _NEAR_M)
        place = left + round(float(share) * (_BAR_WIDTH - 1))
        sheet.text(f'{range_m} m', place, y + 18, 15, FAINT, 'mm')


def _colours(range_m: np.ndarray) -> np.ndarray:
    """(N, 3) uint8, from red for near to blue for far."""
    range_m = np.clip(range_m, _NEAR_M, _FAR_M)
    nearness = 1 - np.log(range_m / _NEAR_M) / np.log(_FAR_M / _NEAR_M)
    return _TURBO[(20 + 215 * nearness).astype(np.uint8)]


def _canvas(image: np.ndarray, camera: CameraModel) -> tuple[np.ndarray, CameraModel]:
    """The image in dark grey at the width of a tile, and its camera."""
    height, width = image.shape[:2]
    size_hw = max(1, round(height * _TILE_WIDTH / width)), _TILE_WIDTH
    shrink = cv2.INTER_AREA if width > _TILE_WIDTH else cv2.INTER_LINEAR
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    # Night scenes are stretched: what matters is where the edges are.
    low, high = np.quantile(grey, [0.01, 0.99])
    stretched = np.clip((grey - low) / max(high - low, 1.0), 0, 1) * 170
    resized = cv2.resize(stretched.astype(np.uint8), size_hw[::-1], interpolation=shrink)
    return cv2.cvtColor(resized, cv2.COLOR_GRAY2RGB), camera.scaled_to(size_hw)
