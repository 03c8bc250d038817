"""One mask per class, each for itself: binary cross-entropy and soft IoU, as TS-SAM uses them."""

import torch
from torch.nn import functional as F

from mle_sam.losses.pixels import is_valid, one_hot


def binary_cross_entropy(logits_BKHW: torch.Tensor, labels_BHW: torch.Tensor) -> torch.Tensor:
    """Average over classes and the pixels that count; 0 where there is none."""
    truth_BKHW = one_hot(labels_BHW, logits_BKHW.shape[1])
    losses = F.binary_cross_entropy_with_logits(logits_BKHW, truth_BKHW, reduction='none')
    valid_B1HW = is_valid(labels_BHW)[:, None]
    num_valid = (valid_B1HW.sum() * logits_BKHW.shape[1]).clamp(min=1)
    return (losses * valid_B1HW).sum() / num_valid


def soft_iou(logits_BKHW: torch.Tensor, labels_BHW: torch.Tensor) -> torch.Tensor:
    """1 - |A B| / |A + B - A B| of sigmoid masks, averaged over images and the classes they have.

    TS-SAM has one class, which is always there. 0, with zero gradient, where nothing is.
    """
    truth_BKHW = one_hot(labels_BHW, logits_BKHW.shape[1])
    mask_BKHW = logits_BKHW.sigmoid() * is_valid(labels_BHW)[:, None]
    shared_BK = (mask_BKHW * truth_BKHW).sum((2, 3))
    union_BK = mask_BKHW.sum((2, 3)) + truth_BKHW.sum((2, 3)) - shared_BK
    is_there_BK = truth_BKHW.sum((2, 3)) > 0
    losses_BK = torch.where(is_there_BK, 1 - shared_BK / union_BK.clamp(min=1e-7), 0.0)
    return losses_BK.sum() / is_there_BK.sum().clamp(min=1)
