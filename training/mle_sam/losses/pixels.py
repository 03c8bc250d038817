"""What all losses have in common: pixels that do not count, and classes as masks.

Shape suffixes: B batch, K classes, H height, W width.
"""

import torch
from torch.nn import functional as F

IGNORE = 255


def one_hot(labels_BHW: torch.Tensor, num_classes: int) -> torch.Tensor:
    """(B, K, H, W) float32: 1 where a pixel has the class; nothing where it does not count."""
    spare = torch.where(labels_BHW == IGNORE, num_classes, labels_BHW)
    return F.one_hot(spare, num_classes + 1)[..., :-1].movedim(-1, 1).float()


def is_valid(labels_BHW: torch.Tensor) -> torch.Tensor:
    """(B, H, W) float32: 1 where a pixel counts, else 0."""
    return (labels_BHW != IGNORE).float()
