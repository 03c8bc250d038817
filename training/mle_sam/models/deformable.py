"""Modulated deformable convolution (arXiv 1811.11168), and the same by sampling.

Shape suffixes: B batch, C channels, H height, W width, T taps of the kernel.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import DeformConv2d

_SIDE = 3
_TAPS = _SIDE * _SIDE


class DeformableConv(nn.Module):
    """3x3; where it looks and how much each tap counts depend on the input.

    At the start it looks where a plain convolution does, and each tap counts half: the layers that
    say so begin at zero.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.convolution = DeformConv2d(inputs, outputs, _SIDE, padding=1)
        self.offset = nn.Conv2d(inputs, 2 * _TAPS, _SIDE, padding=1)
        self.share = nn.Conv2d(inputs, _TAPS, _SIDE, padding=1)
        for layer in (self.offset, self.share):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Convolve; the size stays."""
        offset, share = self.offset(x_BCHW), self.share(x_BCHW).sigmoid()
        if x_BCHW.is_cuda:
            return self.convolution(x_BCHW, offset, share)
        # On processors torchvision's gradients are plain loops: five times slower than sampling,
        # which moreover every engine knows; graphs are exported from there.
        return sampled(x_BCHW, offset, share, self.convolution.weight, self.convolution.bias)


def sampled(
    x_BCHW: torch.Tensor,
    offset: torch.Tensor,
    share_BTHW: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
) -> torch.Tensor:
    """The modulated deformable convolution of torchvision, (B, O, H, W).

    Args:
        x_BCHW: what is convolved.
        offset: by tap its row and column, (B, 2 T, H, W), in pixels.
        share_BTHW: how much each tap counts.
        weight: (O, C, 3, 3).
        bias: (O,).
    """
    batch, channels, height, width = x_BCHW.shape
    offset_BT2HW = offset.unflatten(1, (_TAPS, 2))
    taps = torch.arange(_SIDE, device=x_BCHW.device, dtype=x_BCHW.dtype) - 1
    rows = torch.arange(height, device=x_BCHW.device, dtype=x_BCHW.dtype)
    columns = torch.arange(width, device=x_BCHW.device, dtype=x_BCHW.dtype)
    row_BTHW = offset_BT2HW[:, :, 0] + rows[:, None] + taps.repeat_interleave(3)[:, None, None]
    column_BTHW = offset_BT2HW[:, :, 1] + columns + taps.repeat(3)[:, None, None]
    # Pixel centres to the sampler's units, in which the image reaches from -1 to 1.
    grid = torch.stack([(2 * column_BTHW + 1) / width - 1, (2 * row_BTHW + 1) / height - 1], -1)
    seen = F.grid_sample(x_BCHW, grid.flatten(1, 2), align_corners=False)
    weighed = seen.unflatten(2, (_TAPS, height)) * share_BTHW[:, None]
    columns_BNHW = weighed.reshape(batch, channels * _TAPS, height, width)
    # (O, C, 3, 3) to (O, C * 9, 1, 1)
    return F.conv2d(columns_BNHW, weight.flatten(1)[:, :, None, None], bias)
