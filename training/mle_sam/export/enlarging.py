"""Logits at 1/4, 1/8 and 1/16 of the input, added up at the input's size: two exact ways.

Both equal `mle_sam.enlargement.Enlargement`, with which networks are trained, but for the place of
the classes, K, among height and width.
"""

import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.enlargement import Enlargement, SCALES

_BLOCK_ROWS = 32  # divides the height of every input


class ResizedEnlargement(nn.Module):
    """By the engine's own resizing, which GPUs are fast at."""

    class_axis = 0

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """Enlarge (1, K, H/s, W/s) for s in `SCALES`, or the first of them, to (K, H, W)."""
        first, *others = (
            F.interpolate(level, scale_factor=float(scale), mode='bilinear')
            for level, scale in zip(levels, SCALES, strict=False)
        )
        return sum(others, start=first).squeeze(0)


class BandedEnlargement(nn.Module):
    """By matrix products, which processors are faster at.

    A row of the result depends on two rows of each level: the matrix that makes all rows from all
    rows is nearly empty. So rows are made in blocks, each from the few rows that it depends on. On
    one core that took 0.8 ms in the place of 1.6 for 12 classes at 224 x 448.

    Classes stand between rows and columns: a block is one large product for all of them in the
    place of many small ones, and what compares the classes of a row finds them in the cache. With
    those comparisons, that took 4.6 ms of a core in the place of 6.6 in ONNX Runtime; OpenVINO
    takes 3.5 either way.
    """

    class_axis = 1

    def __init__(self, input_hw: tuple[int, int], num_levels: int):
        super().__init__()
        whole, scales = Enlargement(input_hw), SCALES[:num_levels]
        for index, scale in enumerate(scales):
            matrix = getattr(whole, f'columns_{scale}').t().contiguous()
            self.register_buffer(f'columns_{index}', matrix)
        rows = torch.cat([getattr(whole, f'rows_{scale}') for scale in scales], 1)
        blocks = rows.unflatten(0, (-1, _BLOCK_ROWS))
        is_needed = (blocks != 0).any(1)
        num_needed = int(is_needed.sum(1).max())
        # The rows that a block needs, in order; where it needs fewer, some that it gives weight 0.
        near = is_needed.int().argsort(dim=1, descending=True, stable=True)[:, :num_needed]
        self.register_buffer('near', near)
        self.register_buffer(
            'weights', blocks.gather(2, near[:, None].expand(-1, _BLOCK_ROWS, -1))
        )

    def forward(self, levels: list[torch.Tensor]) -> torch.Tensor:
        """Enlarge as `ResizedEnlargement`, to (H, K, W)."""
        widened = [
            level.squeeze(0).transpose(0, 1) @ getattr(self, f'columns_{index}')
            for index, level in enumerate(levels)
        ]
        near = torch.cat(widened).index_select(0, self.near.flatten())
        rows = self.weights @ near.reshape(*self.near.shape, -1)
        return rows.flatten(0, 1).unflatten(1, near.shape[1:])


def answer(enlarged: torch.Tensor, class_axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The label map and its confidence, (H, W) uint8, of logits at the input's size."""
    top, label_map = enlarged.max(class_axis)
    confidence = 1.0 / (enlarged - top.unsqueeze(class_axis)).exp().sum(class_axis)
    # TensorRT has no cast from integers to uint8.
    return label_map.float().to(torch.uint8), (confidence * 255.0).round().to(torch.uint8)
