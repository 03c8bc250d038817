"""A sheet to paste pictures and write text on."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER = (13, 17, 23)
INK = (230, 237, 243)
FAINT = (139, 148, 158)
Colour = tuple[int, int, int]


class Sheet:
    """An RGB image to fill piece by piece; positions are pixels (x, y) from the top left."""

    def __init__(self, size_hw: tuple[int, int], paper: Colour = PAPER) -> None:
        self._image = Image.new('RGB', size_hw[::-1], paper)
        self._draw = ImageDraw.Draw(self._image)

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return np.asarray(self._image)

    def paste(self, picture: np.ndarray, x: int, y: int) -> None:
        """Place an (h, w, 3) uint8 picture with its top left corner at (x, y)."""
        self._image.paste(Image.fromarray(picture), (x, y))

    def text(
        self, text: str, x: int, y: int, size_px: int = 15, ink: Colour = INK, anchor: str = 'lm'
    ) -> None:
        """Write one line; the anchor is Pillow's: horizontal l, m, r, then vertical a, m, s."""
        self._draw.text((x, y), text, fill=ink, font=_font(size_px), anchor=anchor)

    def swatch(self, x: int, y: int, side_px: int, shade: Colour) -> None:
        """A small filled square with rounded corners, centred vertically at y."""
        top = y - side_px // 2
        self._draw.rounded_rectangle((x, top, x + side_px, top + side_px), 3, fill=shade)


@lru_cache
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    assert isinstance(font, ImageFont.FreeTypeFont), 'Pillow is built without FreeType'
    return font
