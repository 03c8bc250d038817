"""The router: how far each pyramid level trusts each modality (MLE-SAM §III)."""

import torch
from torch import nn

from mle_sam.config import MleSamConfig


class Router(nn.Module):
    """Weighs the modalities of one pyramid level: pool, linear, softmax, top-k (Eq. 9).

    By default the embeddings of all modalities are concatenated, so that a modality is judged
    beside the others. Where each is judged by its own alone, one layer serves all of them, without
    a bias: the softmax would not see it.
    """

    def __init__(self, config: MleSamConfig, channels: int):
        super().__init__()
        num_modalities = len(config.modalities)
        self.k = min(config.router_k, num_modalities)
        self.renormalise = config.router_renormalise
        self.judges_own = config.router_input == 'own'
        inputs, outputs = channels, 1
        if not self.judges_own:
            inputs, outputs = num_modalities * channels, num_modalities
        hidden = config.router_hidden
        self.hidden = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU()) if hidden else None
        self.score = nn.Linear(hidden or inputs, outputs, bias=not self.judges_own)
        # Start without preference: the weighted features begin as a plain choice of k.
        nn.init.normal_(self.score.weight, std=1e-2)
        if self.score.bias is not None:
            nn.init.zeros_(self.score.bias)

    def forward(self, features_MBCHW: torch.Tensor, present_BM: torch.Tensor) -> torch.Tensor:
        """Weigh the modalities.

        Args:
            features_MBCHW: zeros where the modality is absent.
            present_BM: bool, at least one per row.

        Returns:
            (B, M) float32 weights, at most k of them positive; rows add up to 1 where they are
            renormalised.
        """
        embedding_BMC = features_MBCHW.mean((3, 4)).transpose(0, 1)
        inputs = embedding_BMC if self.judges_own else embedding_BMC.flatten(1)
        hidden = self.hidden(inputs) if self.hidden else inputs
        logits_BM = self.score(hidden).flatten(1)
        weights_BM = logits_BM.masked_fill(~present_BM, -torch.inf).softmax(1)
        top = weights_BM.topk(self.k, dim=1)
        # Fewer than k present: the softmax gave the others zero, so keeping them changes nothing.
        kept_BM = torch.zeros_like(weights_BM).scatter(1, top.indices, top.values)
        return kept_BM / kept_BM.sum(1, keepdim=True) if self.renormalise else kept_BM
