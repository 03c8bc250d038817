"""The encoders of all modalities as one graph: what they share runs as one batch.

Shape suffixes: M modalities, N tokens, C channels.
"""

from collections.abc import Sequence
import copy

import torch
from torch import nn

from mle_sam.export.graphs import EncoderGraph, Normalisation
from mle_sam.lora import LoraLinear
from mle_sam.models.mle_sam import MleSam


class StackedEncoderGraph(EncoderGraph):
    """`EncoderGraph` for all modalities at once.

    They differ in the normalisation, in the patch embedding where that is a modality's own, and in
    the fused qkv projections, which become batched matrix products with a weight per modality.
    """

    def __init__(self, model: MleSam):
        names = model.config.modality_names
        super().__init__(model, names[0])
        encoder = model.image_encoder
        self.normalise = Normalisation(model, names)
        self.patch_embed = _PatchEmbeddings(
            [
                encoder.input_adapters[name]
                if name in encoder.input_adapters
                else encoder.trunk.patch_embed
                for name in names
            ]
        )
        for block, original in zip(self.trunk.blocks, encoder.trunk.blocks, strict=True):
            if isinstance(original.attn.qkv, LoraLinear):
                block.attn.qkv = ExpertsPerModality(original.attn.qkv, names)

    def forward(self, *rasters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode a (1, H, W, 3) raster per modality: maps (M, C, h, w)."""
        return self.encode(self.normalise(rasters))


class ExpertsPerModality(nn.Module):
    """A qkv projection with merged weights per modality, for a batch that holds them in order."""

    def __init__(self, qkv: LoraLinear, modalities: Sequence[str]):
        super().__init__()
        weights = [qkv.merged_weight(modality).detach().t() for modality in modalities]
        self.weight = nn.Parameter(torch.stack(weights).contiguous(), requires_grad=False)
        self.bias = nn.Parameter(qkv.bias.detach().clone(), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Project (M * windows, h, w, C)."""
        x_MNC = x.reshape(len(self.weight), -1, x.shape[-1])
        return torch.baddbmm(self.bias, x_MNC, self.weight).reshape(*x.shape[:-1], -1)


class _PatchEmbeddings(nn.Module):
    """A copy of the patch embedding of each modality."""

    def __init__(self, embeddings: Sequence[nn.Module]):
        super().__init__()
        self.embeddings = nn.ModuleList(copy.deepcopy(embedding) for embedding in embeddings)

    def forward(self, images_M3HW: torch.Tensor) -> torch.Tensor:
        images = images_M3HW.split(1)
        return torch.cat(
            [embed(image) for embed, image in zip(self.embeddings, images, strict=True)]
        )
