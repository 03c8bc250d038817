"""Dice loss of every class, as AD-SAM uses it."""

import torch

from mle_sam.losses.pixels import is_valid, one_hot

_EPSILON = 1e-7


def dice(logits_BKHW: torch.Tensor, labels_BHW: torch.Tensor) -> torch.Tensor:
    """1 - 2 |A B| / (|A| + |B|), averaged over images and all classes.

    A class that an image lacks costs nearly 1 as soon as it has any probability there, so that
    the loss never falls to 0 (public code of AD-SAM, kept).
    """
    truth_BKHW = one_hot(labels_BHW, logits_BKHW.shape[1])
    probability_BKHW = logits_BKHW.softmax(1) * is_valid(labels_BHW)[:, None]
    shared_BK = (probability_BKHW * truth_BKHW).sum((2, 3))
    total_BK = probability_BKHW.sum((2, 3)) + truth_BKHW.sum((2, 3))
    return 1 - ((2 * shared_BK + _EPSILON) / (total_BK + _EPSILON)).mean()
