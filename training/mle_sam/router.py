"""The router: how far each pyramid level trusts each modality (MLE-SAM §III)."""

import torch
from torch import nn


class Router(nn.Module):
    """Weighs the modalities of one pyramid level: pool, linear, softmax, top-k, renormalise.

    The embeddings of all modalities are concatenated, so a modality is judged beside the others.
    """

    def __init__(self, num_modalities: int, channels: int, k: int):
        super().__init__()
        self.k = min(k, num_modalities)
        self.score = nn.Linear(num_modalities * channels, num_modalities)
        # Start without preference: the weighted features begin as a plain choice of k.
        nn.init.normal_(self.score.weight, std=1e-2)
        nn.init.zeros_(self.score.bias)

    def forward(self, features_MBCHW: torch.Tensor, present_BM: torch.Tensor) -> torch.Tensor:
        """Weigh the modalities.

        Args:
            features_MBCHW: zeros where the modality is absent.
            present_BM: bool, at least one per row.

        Returns:
            (B, M) float32 weights, at most k of them positive, rows adding up to 1.
        """
        embedding_BMC = features_MBCHW.mean((3, 4)).transpose(0, 1)
        logits_BM = self.score(embedding_BMC.flatten(1))
        weights_BM = logits_BM.masked_fill(~present_BM, -torch.inf).softmax(1)
        top = weights_BM.topk(self.k, dim=1)
        # Fewer than k present: the softmax gave the others zero, so keeping them changes nothing.
        kept_BM = torch.zeros_like(weights_BM).scatter(1, top.indices, top.values)
        return kept_BM / kept_BM.sum(1, keepdim=True)
