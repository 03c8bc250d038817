"""Single pictures of a frame: the camera, the mask, the ground truth, each sensor's raster."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
from mle_sam_ros.core.manifest import Manifest, ModalitySpec
from mle_sam_ros.core.metrics import NO_CLASS
from mle_sam_ros.core.outputs import (
    colour_label_map,
    overlay,
    resize_confidence,
    resize_label_map,
)
from mle_sam_ros.replay.frame import Frame
import numpy as np

# One colour per modality, in the manifest's order; told apart by colour-blind eyes too.
MODALITY_COLOURS = ((86, 150, 235), (240, 155, 45), (40, 180, 140), (200, 110, 190))
BACKGROUND = (16, 20, 26)
_FAR_M = 80.0
_POSITIVE, _NEGATIVE = np.float32([255, 170, 60]), np.float32([70, 150, 255])
# Of wrong pixels, from those it was unsure of to those it was sure of.
ERROR_UNSURE, ERROR_SURE, UNKNOWN = (250, 200, 60), (225, 30, 60), (45, 95, 190)
_ERROR_COLOURS = np.linspace(ERROR_UNSURE, ERROR_SURE, 256).round().astype(np.uint8)[:, np.newaxis]
_SHADES = np.linspace(ERROR_UNSURE, BACKGROUND, 256).round().astype(np.uint8)[:, np.newaxis]
_FAINT = (np.arange(256) // 3 + 12).astype(np.uint8)


def _event_colours() -> np.ndarray:
    """(256, 1, 3) uint8: at 4 b + d the colour of b brighter and d darker events, 3 at most."""
    table = np.zeros((256, 1, 3), np.uint8)
    strengths = (0.0, 0.6, 0.8, 1.0)
    for index in range(16):
        brighter, darker = strengths[index // 4], strengths[index % 4]
        mixed = np.array(BACKGROUND) + brighter * _POSITIVE + darker * _NEGATIVE
        table[index, 0] = np.minimum(mixed, 255).astype(np.uint8)
    return table


def _range_colours() -> np.ndarray:
    """(256, 1, 3) uint8: from blue to red, but the background at 0."""
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
    table = np.ascontiguousarray(table[:, :, ::-1])
    table[0, 0] = BACKGROUND
    return table


_EVENT_COLOURS, _RANGE_COLOURS = _event_colours(), _range_colours()


def at_size(frame: Frame, tile_hw: tuple[int, int]) -> Frame:
    """The frame with camera image and maps of that size: several tiles of it cost less then."""
    return replace(
        frame,
        label_map=resize_label_map(frame.label_map, tile_hw),
        confidence=resize_confidence(frame.confidence, tile_hw),
        truth=None if frame.truth is None else resize_label_map(frame.truth, tile_hw),
        image=None if frame.image is None else camera_tile(frame, tile_hw),
    )


def camera_tile(frame: Frame, tile_hw: tuple[int, int]) -> np.ndarray:
    """The camera image, (h, w, 3) uint8; dark where the camera was absent."""
    if frame.image is None:
        return blank_tile(tile_hw)
    return _resized(frame.image, tile_hw, cv2.INTER_LINEAR)


def mask_tile(frame: Frame, manifest: Manifest, tile_hw: tuple[int, int]) -> np.ndarray:
    """The mask over the camera image, (h, w, 3) uint8; the mask alone where there is no image."""
    if frame.image is None:
        picture = colour_label_map(frame.label_map, manifest.palette)
    else:
        picture = overlay(frame.image, frame.label_map, manifest.palette, opacity=0.62)
    return _resized(picture, tile_hw, cv2.INTER_LINEAR)


def truth_tile(frame: Frame, manifest: Manifest, tile_hw: tuple[int, int]) -> np.ndarray:
    """The ground truth in the palette, (h, w, 3) uint8; dark where there is none."""
    if frame.truth is None:
        return blank_tile(tile_hw)
    picture = colour_label_map(frame.truth, manifest.palette)
    return _resized(picture, tile_hw, cv2.INTER_NEAREST)


def error_tile(frame: Frame, tile_hw: tuple[int, int]) -> np.ndarray:
    """Where the mask is wrong, (h, w, 3) uint8; dark where there is no ground truth.

    Right pixels are faint, wrong ones go from yellow to red with the confidence, and those whose
    truth is unknown are blue.
    """
    if frame.truth is None:
        return blank_tile(tile_hw)
    if frame.image is None:
        picture = np.full((*frame.label_map.shape, 3), BACKGROUND, np.uint8)
    else:
        grey = cv2.LUT(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), _FAINT)
        picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    # With the masks of OpenCV a tenth of the time that indexing takes: every frame has its tile.
    is_wrong = cv2.compare(frame.truth, frame.label_map, cv2.CMP_NE)
    picture = cv2.copyTo(cv2.applyColorMap(frame.confidence, _ERROR_COLOURS), is_wrong, picture)
    is_unknown = cv2.compare(frame.truth, NO_CLASS, cv2.CMP_EQ)
    if cv2.countNonZero(is_unknown):
        picture = cv2.copyTo(np.full_like(picture, UNKNOWN), is_unknown, picture)
    return _resized(picture, tile_hw, cv2.INTER_NEAREST)


def confidence_tile(frame: Frame, tile_hw: tuple[int, int]) -> np.ndarray:
    """How sure each pixel is, (h, w, 3) uint8: from yellow, not at all, to dark."""
    return _resized(cv2.applyColorMap(frame.confidence, _SHADES), tile_hw, cv2.INTER_LINEAR)


def raster_tile(frame: Frame, modality: ModalitySpec, tile_hw: tuple[int, int]) -> np.ndarray:
    """What the network got from one sensor, (h, w, 3) uint8; dark where it was absent."""
    raster = frame.rasters.get(modality.name)
    if raster is None:
        return blank_tile(tile_hw)
    pictures = {
        'event_polarity_counts': event_picture,
        'lidar_range_intensity_height': lidar_picture,
    }
    picture = pictures.get(modality.encoding.kind, np.asarray)(raster)
    return _resized(picture, tile_hw, cv2.INTER_NEAREST)


def event_picture(raster: np.ndarray) -> np.ndarray:
    """Colour event counts: orange brighter, blue darker; full colour from three events on."""
    brighter, darker = (np.minimum(raster[:, :, i], 3).astype(np.uint8) for i in (0, 1))
    # Ten times as fast as mixing the colours of each pixel.
    return cv2.applyColorMap(4 * brighter + darker, _EVENT_COLOURS)


def lidar_picture(raster: np.ndarray) -> np.ndarray:
    """Colour LiDAR ranges on a logarithmic scale, from red (near) to blue (80 m and beyond)."""
    range_m = np.ascontiguousarray(raster[:, :, 0])
    farness = cv2.log(np.clip(range_m, 1, _FAR_M)) / np.log(_FAR_M)
    levels = np.where(range_m > 0, 240 - 215 * farness, 0).astype(np.uint8)
    return cv2.applyColorMap(levels, _RANGE_COLOURS)


def blank_tile(tile_hw: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8 with dim diagonal stripes: nothing to show."""
    rows, columns = np.indices(tile_hw)
    stripes = ((rows + columns) // 8 % 2)[:, :, None]
    return (np.uint8(BACKGROUND) + 6 * stripes).astype(np.uint8)


def weight_bar(
    weights: Sequence[float], colours: Sequence[tuple[int, int, int]], bar_hw: tuple[int, int]
) -> np.ndarray:
    """Weights that add up to 1 as one horizontal bar, (h, w, 3) uint8."""
    height, width = bar_hw
    bar = np.full((height, width, 3), BACKGROUND, np.uint8)
    edges = np.round(np.cumsum([0.0, *weights]) * width).astype(int)
    for left, right, shade in zip(edges[:-1], edges[1:], colours, strict=False):
        bar[:, left:right] = shade
    return bar


def _resized(picture: np.ndarray, tile_hw: tuple[int, int], enlarge: int) -> np.ndarray:
    """Shrink by area, from a half on, and else linearly; enlarge by the interpolation given."""
    if picture.shape[:2] == tile_hw:
        return picture
    factor = picture.shape[0] / tile_hw[0]
    # By area takes ten times as long unless the factor is a whole number.
    shrink = cv2.INTER_AREA if factor >= 2 else cv2.INTER_LINEAR
    interpolation = shrink if factor > 1 else enlarge
    return cv2.resize(picture, tile_hw[::-1], interpolation=interpolation)
