"""The plain cross-entropy."""

import torch
from torch.nn import functional as F

from mle_sam.losses.pixels import IGNORE


def cross_entropy(logits_BKHW: torch.Tensor, labels_BHW: torch.Tensor) -> torch.Tensor:
    """Average over the pixels that count; 0, with zero gradient, where there is none."""
    total = F.cross_entropy(logits_BKHW, labels_BHW, ignore_index=IGNORE, reduction='sum')
    return total / (labels_BHW != IGNORE).sum().clamp(min=1)
