"""A drive in pictures: one sheet of its scenes."""

from collections.abc import Sequence

import cv2
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.report.scene import CAMERA, decode_picture, MASK, Scene, TRUTH
from mle_sam_ros.replay.report.sheet import FAINT, INK, Sheet
from mle_sam_ros.replay.report.tiles import (
    blank_tile,
    MODALITY_COLOURS,
    weight_bar,
)
import numpy as np

_MARGIN = 16
_GAP = 6


def overview(scenes: Sequence[Scene], manifest: Manifest, start_ns: int) -> np.ndarray:
    """Draw one row per scene: camera, mask, other sensors, ground truth, and the trust in each.

    Args:
        scenes: the rows, at least one.
        manifest: classes, palette and modalities.
        start_ns: stamp that counts as 0 s.

    Returns:
        (H, W, 3) uint8.
    """
    tile_hw = _tile_hw(scenes[0], height=208)
    others = [name for name in manifest.modality_names if name != CAMERA]
    titles = [CAMERA, MASK, *others, TRUTH]
    step_x, step_y = tile_hw[1] + _GAP, tile_hw[0] + 44
    top = 62
    sheet = Sheet((top + len(scenes) * step_y + 44, 2 * _MARGIN + len(titles) * step_x - _GAP))
    for column, title in enumerate(titles):
        sheet.text(title, _MARGIN + column * step_x + tile_hw[1] // 2, 34, 22, anchor='mm')
    for row, scene in enumerate(scenes):
        y = top + row * step_y
        for column, title in enumerate(titles):
            x = _MARGIN + column * step_x
            sheet.paste(_tile(scene, title, tile_hw), x, y)
            if title in manifest.modality_names and title not in scene.present:
                middle = x + tile_hw[1] // 2, y + tile_hw[0] // 2
                sheet.text(f'{title} absent', *middle, 24, FAINT, 'mm')
        _trust_line(sheet, scene, manifest, y + tile_hw[0] + 18, len(titles) * step_x, start_ns)
    _legend(sheet, manifest, _MARGIN, top + len(scenes) * step_y + 12, len(titles) * step_x)
    return sheet.pixels


def _tile_hw(scene: Scene, height: int) -> tuple[int, int]:
    mask_height, mask_width = scene.size_hw
    return height, round(height * mask_width / mask_height)


def _tile(scene: Scene, name: str, tile_hw: tuple[int, int]) -> np.ndarray:
    """A picture of the scene, (h, w, 3) uint8; dark stripes where there is nothing to show."""
    jpeg = scene.pictures.get(name)
    if jpeg is None:
        return blank_tile(tile_hw)
    return cv2.resize(decode_picture(jpeg), tile_hw[::-1], interpolation=cv2.INTER_AREA)


def _trust_line(
    sheet: Sheet, scene: Scene, manifest: Manifest, y: int, width: int, start_ns: int
) -> None:
    """The time of a row, and its router weights, mean over the levels, as one bar."""
    mean = scene.router_weights.mean(axis=0)
    sheet.text(f't = {(scene.stamp_ns - start_ns) / 1e9:.2f} s', _MARGIN, y, 18)
    x = _MARGIN + 130
    for name, weight, shade in zip(manifest.modality_names, mean, MODALITY_COLOURS, strict=False):
        sheet.swatch(x, y, 14, shade)
        sheet.text(f'{name} {100 * weight:.0f} %', x + 22, y, 18, INK if weight else FAINT)
        x += 150
    left = x + 10
    sheet.paste(
        weight_bar(mean, MODALITY_COLOURS, (10, width + _MARGIN - _GAP - left)), left, y - 5
    )


def _legend(sheet: Sheet, manifest: Manifest, x: int, y: int, width: int) -> None:
    step = width // len(manifest.classes)
    for index, item in enumerate(manifest.classes):
        left = x + step * index
        sheet.swatch(left, y, 13, item.colour)
        sheet.text(item.name.replace('_', ' '), left + 20, y, 15, FAINT)
