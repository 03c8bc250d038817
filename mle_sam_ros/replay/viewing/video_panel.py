"""One frame of the video: a large mask, what the sensors saw, and where the mask is wrong."""

from collections.abc import Callable

from mle_sam_ros.core.manifest import Manifest, ModalitySpec
from mle_sam_ros.core.metrics import NO_CLASS
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.report.sheet import FAINT, INK, Sheet
from mle_sam_ros.replay.report.tiles import (
    camera_tile,
    error_tile,
    mask_tile,
    MODALITY_COLOURS,
    raster_tile,
    truth_tile,
    weight_bar,
)
from mle_sam_ros.replay.score.evaluation import Moment
import numpy as np

PANEL_HW = (680, 1280)
_TOP = 40
_MASK_HW = (480, 960)
_SIDE_HW = (160, 320)
_BOTTOM = _TOP + _MASK_HW[0]
_ABSENT = (60, 64, 70)
# The legend's rows and columns: a frame rarely has more classes.
_LEGEND_HW = (3, 4)


def video_panel(frame: Frame, moment: Moment, manifest: Manifest, start_ns: int) -> np.ndarray:
    """Draw one frame.

    Args:
        frame: to draw.
        moment: what was found of it.
        manifest: classes, palette and modalities.
        start_ns: stamp that counts as 0 s.

    Returns:
        PANEL_HW + (3,) uint8, whatever the size of the images.
    """
    sheet = Sheet(PANEL_HW)
    _head(sheet, frame, moment, manifest, (frame.stamp_ns - start_ns) / 1e9)
    _fit(sheet, lambda hw: mask_tile(frame, manifest, hw), frame, (0, _TOP), _MASK_HW)
    _sensors(sheet, frame, manifest)
    x, width = PANEL_HW[1] - 2 * _SIDE_HW[1], _SIDE_HW[1]
    _fit(sheet, lambda hw: error_tile(frame, hw), frame, (x, _BOTTOM), _SIDE_HW)
    sheet.text('errors, red where it was sure', x + 10, _BOTTOM + 16, 16, INK)
    truth_at = x + width, _BOTTOM
    _fit(sheet, lambda hw: truth_tile(frame, manifest, hw), frame, truth_at, _SIDE_HW)
    known = 'ground truth' if frame.truth is not None else 'no ground truth'
    sheet.text(known, x + width + 10, _BOTTOM + 16, 16, INK)
    _trust(sheet, frame)
    _legend(sheet, frame, manifest)
    return sheet.pixels


def _head(sheet: Sheet, frame: Frame, moment: Moment, manifest: Manifest, seconds: float) -> None:
    """Time, the score, what holds, and how old each sensor's sample is."""
    score = '' if np.isnan(moment.miou) else f'mIoU {100 * moment.miou:3.0f} %'
    sheet.text(f't = {seconds:6.2f} s', 16, 21, 19)
    sheet.text(score, 150, 21, 19)
    sheet.text(', '.join(moment.conditions).replace('_', ' ')[:36], 270, 21, 16, FAINT)
    x = 600
    for name, shade in zip(manifest.modality_names, MODALITY_COLOURS, strict=False):
        is_present = name in frame.present
        words = f'{name} absent'
        if is_present:
            words = f'{name} {frame.ages_ms.get(name, 0):.0f} ms'
        sheet.swatch(x, 21, 14, shade if is_present else _ABSENT)
        sheet.text(words, x + 22, 21, 17, INK if is_present else FAINT)
        x += 170


def _sensors(sheet: Sheet, frame: Frame, manifest: Manifest) -> None:
    """One below the other, beside the mask."""
    height = _MASK_HW[0] // max(len(manifest.modalities), 3)
    for row, modality in enumerate(manifest.modalities):
        at = _MASK_HW[1], _TOP + height * row

        def tile(hw: tuple[int, int], modality: ModalitySpec = modality) -> np.ndarray:
            if modality.encoding.kind == 'rgb':
                return camera_tile(frame, hw)
            return raster_tile(frame, modality, hw)

        _fit(sheet, tile, frame, at, (height, _SIDE_HW[1]))
        note = '' if modality.name in frame.present else ' (absent)'
        sheet.text(modality.name + note, at[0] + 10, at[1] + 16, 16, INK)


def _fit(
    sheet: Sheet,
    tile: Callable[[tuple[int, int]], np.ndarray],
    frame: Frame,
    at: tuple[int, int],
    box_hw: tuple[int, int],
) -> None:
    """Paste a tile as large as fits into a box, in the proportions of the camera's image."""
    height, width = frame.label_map.shape
    scale = min(box_hw[0] / height, box_hw[1] / width)
    tile_hw = max(round(height * scale), 1), max(round(width * scale), 1)
    x, y = at[0] + (box_hw[1] - tile_hw[1]) // 2, at[1] + (box_hw[0] - tile_hw[0]) // 2
    sheet.paste(tile(tile_hw), x, y)


def _trust(sheet: Sheet, frame: Frame) -> None:
    sheet.text('trust at each level of the pyramid', 16, _BOTTOM + 16, 15, FAINT)
    for level, weights in enumerate(frame.router_weights):
        y = _BOTTOM + 38 + 20 * level
        sheet.text(f'1/{4 << level}', 16, y, 15)
        sheet.paste(weight_bar(weights, MODALITY_COLOURS, (12, 560)), 60, y - 6)


def _legend(sheet: Sheet, frame: Frame, manifest: Manifest) -> None:
    """The classes of this frame, in their order."""
    is_shown = np.zeros(NO_CLASS + 1, bool)
    is_shown[frame.label_map] = True
    if frame.truth is not None:
        is_shown[frame.truth] = True
    rows, columns = _LEGEND_HW
    present = [number for number in range(len(manifest.classes)) if is_shown[number]]
    for index, number in enumerate(present[: rows * columns]):
        item = manifest.classes[number]
        x, y = 16 + 154 * (index % columns), _BOTTOM + 106 + 20 * (index // columns)
        sheet.swatch(x, y, 13, item.colour)
        sheet.text(item.name.replace('_', ' ')[:17], x + 20, y, 15, FAINT)
