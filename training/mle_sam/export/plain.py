"""The two kinds of graph of a bundle for any network.

MLE-SAM's are rewritten as a whole (`graphs`); of those of the networks that it is compared with,
layer by layer what engines do not know, or what says the same at every instant.
"""

import copy

from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam2_utils import LayerNorm2d
from segment_anything.modeling import common, ImageEncoderViT
import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.export.enlarging import answer, BandedEnlargement
from mle_sam.export.layers import (
    ChannelsLastNorm,
    PixelShuffleUp,
    PlacedAttention,
    StackedMaskDecoder,
)
from mle_sam.lora import merge_experts
from mle_sam.models.network import Network
from mle_sam.models.sam_vit import PATCH

_REWRITES = {
    nn.ConvTranspose2d: PixelShuffleUp,
    LayerNorm2d: ChannelsLastNorm,
    common.LayerNorm2d: ChannelsLastNorm,
    MaskDecoder: StackedMaskDecoder,
}


class PlainEncoderGraph(nn.Module):
    """One modality's encoder: raster in, maps out, low-rank updates merged."""

    def __init__(self, model: Network, modality: str):
        super().__init__()
        self.model, self.modality = copy.deepcopy(model), modality
        merge_experts(self.model, modality)
        _leave_out_others(self.model, modality)
        _rewrite(self.model, model.config.input_hw)

    def forward(self, raster: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode a (1, H, W, 3) raster."""
        return tuple(self.model.encode(raster, self.modality))


class PlainDecodeGraph(nn.Module):
    """Everything after the encoders, for one instant."""

    def __init__(self, model: Network):
        super().__init__()
        self.model = model
        self.enlarge = BandedEnlargement(model.config.input_hw, num_levels=1)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decode features (M, C, h, w) by level; the last input is present (M,) bool.

        Returns:
            label_map (H, W) uint8, confidence (H, W) uint8, router_weights (levels, M) float32.
        """
        *levels, present = inputs
        segmentation = self.model.decode([level[:, None] for level in levels], present[None])
        (path,) = segmentation.paths
        label_map, confidence = answer(self.enlarge(path), self.enlarge.class_axis)
        return label_map, confidence, segmentation.router_weights_BLM[0]


def _leave_out_others(model: Network, modality: str) -> None:
    """Drop what belongs to other sensors alone; exporters look at all that there is."""
    for module in list(model.modules()):
        if isinstance(module, nn.ModuleDict) and modality in module:
            for name in set(module) - {modality}:
                del module[name]


def _rewrite(network: nn.Module, input_hw: tuple[int, int]) -> None:
    """Rewrite layers in place, inner ones first."""
    for name, module in reversed(list(network.named_modules())):
        if isinstance(module, ImageEncoderViT):
            _place(module, (input_hw[0] // PATCH, input_hw[1] // PATCH))
        elif type(module) in _REWRITES:
            network.set_submodule(name, _REWRITES[type(module)](module))


def _place(vit: ImageEncoderViT, map_hw: tuple[int, int]) -> None:
    """Resize what was learnt of positions to the frame, for good."""
    position_1Chw = vit.pos_embed.detach().permute(0, 3, 1, 2)
    resized = F.interpolate(position_1Chw, map_hw, mode='bicubic')
    vit.pos_embed = nn.Parameter(resized.permute(0, 2, 3, 1).contiguous(), requires_grad=False)
    for block in vit.blocks:
        side = block.window_size
        block.attn = PlacedAttention(block.attn, (side, side) if side else map_hw)
