"""The two kinds of graph of a bundle for any network, as it stands.

MLE-SAM's are rewritten for engines (`graphs`); those of the networks that it is compared with are
not.
"""

import copy

import torch
from torch import nn

from mle_sam.lora import merge_experts
from mle_sam.models.network import Network


class PlainEncoderGraph(nn.Module):
    """One modality's encoder: raster in, maps out, low-rank updates merged."""

    def __init__(self, model: Network, modality: str):
        super().__init__()
        self.model, self.modality = copy.deepcopy(model), modality
        merge_experts(self.model, modality)
        self.model.rewrite()

    def forward(self, raster: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode a (1, H, W, 3) raster."""
        return tuple(self.model.encode(raster, self.modality))


class PlainDecodeGraph(nn.Module):
    """Everything after the encoders, for one instant."""

    def __init__(self, model: Network):
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decode features (M, C, h, w) by level; the last input is present (M,) bool.

        Returns:
            label_map (H, W) uint8, confidence (H, W) uint8, router_weights (levels, M) float32.
        """
        *levels, present = inputs
        segmentation = self.model.decode([level[:, None] for level in levels], present[None])
        confidence, label_map = self.model.logits(segmentation)[0].softmax(0).max(0)
        return (
            # TensorRT has no cast from integers to uint8.
            label_map.float().to(torch.uint8),
            (confidence * 255.0).round().to(torch.uint8),
            segmentation.router_weights_BLM[0],
        )
