"""What is left of an image without its low frequencies, as CWSAM's prompts see it.

Shape suffixes: B batch, H height, W width.
"""

import torch
from torch import nn


class HighPass(nn.Module):
    """|image - its low frequencies|, as two products of matrices.

    Public code transforms, clears a rectangle around frequency 0 and transforms back. The
    rectangle is a product of two ranges, and so is that filter: P_H image P_W^T, with a projection
    onto the range along each axis. The ranges reach one further down than up; hence the imaginary
    parts, of which the real part of the result has a product.
    """

    def __init__(self, input_hw: tuple[int, int], low_share: float):
        """For images of a size.

        Args:
            input_hw: (height, width).
            low_share: share of all frequencies that the rectangle holds.
        """
        super().__init__()
        height, width = input_hw
        reach = int((height * width * low_share) ** 0.5 // 2)
        for axis, side in (('rows', height), ('columns', width)):
            projection = _projection(side, reach)
            self.register_buffer(f'{axis}_real', projection.real.clone(), persistent=False)
            self.register_buffer(f'{axis}_imaginary', projection.imag.clone(), persistent=False)

    def forward(self, image_B3HW: torch.Tensor) -> torch.Tensor:
        """Filter: the same shape."""
        low = self.rows_real @ image_B3HW @ self.columns_real.t()
        low = low - self.rows_imaginary @ image_B3HW @ self.columns_imaginary.t()
        return (image_B3HW - low).abs()


def _projection(side: int, reach: int) -> torch.Tensor:
    """(side, side) complex64: onto the frequencies from -reach to reach - 1, cut at the sides."""
    frequencies = torch.arange(max(side // 2 - reach, 0), min(side // 2 + reach, side)) - side // 2
    places = torch.arange(side, dtype=torch.float64)
    waves = torch.exp(2j * torch.pi * places[:, None] * frequencies / side) / side**0.5
    return (waves @ waves.conj().t()).to(torch.complex64)
