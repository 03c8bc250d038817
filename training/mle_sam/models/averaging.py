"""Several networks, one per modality, whose masks are averaged over what is present."""

import torch

from mle_sam.models.network import Segmentation


def averaged(logits_MBKhw: torch.Tensor, present_BM: torch.Tensor) -> Segmentation:
    """The mean mask of the modalities that are there; slots of others may hold anything."""
    is_there_MB111 = present_BM.t()[:, :, None, None, None]
    share_BM = present_BM.float() / present_BM.sum(1, keepdim=True)
    clean_MBKhw = torch.where(is_there_MB111, logits_MBKhw, 0.0)
    mean_BKhw = (share_BM.t()[:, :, None, None, None] * clean_MBKhw).sum(0)
    return Segmentation(([mean_BKhw],), share_BM[:, None])
