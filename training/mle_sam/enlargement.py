"""Bilinear enlargement of logits to the input's size, as matrix products.

Bilinear interpolation is linear along each axis, so it is one matrix per axis. That costs less on
CPUs than resizing, forward and backward, and it can skip the pixels that are not wanted.
"""

import torch
from torch import nn
from torch.nn import functional as F

SCALES = (4, 8, 16)


class Enlargement(nn.Module):
    """Adds up maps at 1/4, 1/8 and 1/16 of the input, each enlarged directly to the input's size.

    It equals `F.interpolate(mode='bilinear', align_corners=False)` by level, and their sum.
    """

    def __init__(self, input_hw: tuple[int, int]):
        super().__init__()
        for axis, side in zip(('rows', 'columns'), input_hw, strict=True):
            for scale in SCALES:
                matrix = _enlarging(side // scale, scale)
                self.register_buffer(f'{axis}_{scale}', matrix, persistent=False)

    def forward(
        self, levels: list[torch.Tensor], stride: int = 1, phase: tuple[int, int] = (0, 0)
    ) -> torch.Tensor:
        """Enlarge and add up.

        Args:
            levels: (B, K, H/s, W/s) for s in `SCALES`, or only the first ones.
            stride: compute every stride-th row and column only.
            phase: first row and first column computed.

        Returns:
            (B, K, H, W), or its [phase::stride] part.
        """
        scales = SCALES[: len(levels)]
        rows = [getattr(self, f'rows_{s}')[phase[0] :: stride] for s in scales]
        columns = [getattr(self, f'columns_{s}')[phase[1] :: stride] for s in scales]
        widened = [level @ c.t() for level, c in zip(levels, columns, strict=True)]
        return torch.cat(rows, 1) @ torch.cat(widened, 2)


def _enlarging(length: int, scale: int) -> torch.Tensor:
    """The (length * scale, length) matrix that enlarges a column."""
    return F.interpolate(torch.eye(length)[None], scale_factor=scale, mode='linear')[0].t()
