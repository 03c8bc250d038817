"""Joining the modalities' features: their average, and the router's weighted sum."""

import torch
from torch import nn

from mle_sam.config import COMBINATIONS, MleSamConfig
from mle_sam.router import Router


class Fusion(nn.Module):
    """Fuses the modalities at each of the three pyramid levels, for any subset of them."""

    def __init__(self, config: MleSamConfig):
        super().__init__()
        self.of_average, self.of_weighted = COMBINATIONS[config.combination]
        self.routers = nn.ModuleList()
        if self.of_weighted:
            self.routers.extend(Router(config, c) for c in config.widths.feature_channels)

    def forward(
        self, levels: list[torch.Tensor], present_BM: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Fuse.

        Args:
            levels: per level (M, B, C, H, W); slots of absent modalities may hold anything.
            present_BM: bool, at least one per row.

        Returns:
            The fused maps (B, C, H, W) by level, and the router's weights (B, levels, M): equal
            ones where the configuration has no router.
        """
        fused, weights = [], []
        # `where`, not a product: what an absent slot holds may be NaN.
        present_MB111 = present_BM.t()[:, :, None, None, None]
        share_BM = present_BM.float() / present_BM.sum(1, keepdim=True)
        for level, features_MBCHW in enumerate(levels):
            clean_MBCHW = torch.where(present_MB111, features_MBCHW, 0.0)
            weights_BM = share_BM
            if self.of_weighted:
                weights_BM = self.routers[level](clean_MBCHW, present_BM)
            # The average and the weighted sum are both linear: one pass over the maps does both.
            joint_BM = self.of_average * share_BM + self.of_weighted * weights_BM
            fused.append((joint_BM.t()[:, :, None, None, None] * clean_MBCHW).sum(0))
            weights.append(weights_BM)
        return fused, torch.stack(weights, 1)
