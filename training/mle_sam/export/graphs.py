"""The two kinds of graph of a bundle, rewritten exactly for engines. M modalities, K classes."""

import copy

from sam2.modeling.sam2_utils import LayerNorm2d
import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.lora import LoraLinear
from mle_sam.model import MleSam


class EncoderGraph(nn.Module):
    """One modality's encoder: raster in, three maps out, LoRA merged, position embedding baked."""

    def __init__(self, model: MleSam, modality: str):
        super().__init__()
        encoder = copy.deepcopy(model.image_encoder)
        _merge_lora(encoder.trunk, modality)
        height, width = model.config.input_hw
        self.register_buffer('mean', getattr(encoder, f'mean_{modality}')[:, None, None])
        self.register_buffer(
            'position', encoder.trunk._get_pos_embed((height // 4, width // 4)).detach()
        )
        adapters = encoder.input_adapters
        self.patch_embed = (
            adapters[modality] if modality in adapters else encoder.trunk.patch_embed
        )
        # The weights absorb std. They cannot absorb the mean: the padding is zero after it.
        std = getattr(encoder, f'std_{modality}')[:, None, None]
        self.patch_embed.proj.weight = nn.Parameter(self.patch_embed.proj.weight.detach() / std)
        self.trunk, self.neck = encoder.trunk, encoder.neck
        # The neck passes its two finest levels through, so two 1x1 convolutions in a row are one.
        decoder, convs = model.sam_mask_decoder, self.neck.convs
        convs[3] = _compose(convs[3].conv, decoder.conv_s0)
        convs[2] = _compose(convs[2].conv, decoder.conv_s1)
        if model.config.no_memory_embedding:
            # Only the coarsest map that is kept goes through this convolution.
            convs[1].conv.bias = nn.Parameter(
                (convs[1].conv.bias + model.no_mem_embed[0, 0]).detach()
            )

    def forward(self, raster: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode a (1, H, W, 3) raster."""
        image = raster.float().permute(0, 3, 1, 2) - self.mean
        x = self.patch_embed(image) + self.position
        stage_maps = []
        for index, block in enumerate(self.trunk.blocks):
            x = block(x)
            if index in self.trunk.stage_ends:
                stage_maps.append(x.permute(0, 3, 1, 2))
        pyramid, _ = self.neck(stage_maps)
        return pyramid[0], pyramid[1], pyramid[2]


class FuseDecodeGraph(nn.Module):
    """Everything after the encoders, for one instant."""

    def __init__(self, model: MleSam):
        super().__init__()
        self.model = copy.deepcopy(model)
        self.model.image_encoder = nn.Identity()
        _rewrite_for_engines(self.model.sam_mask_decoder)

    def forward(
        self,
        features_0: torch.Tensor,
        features_1: torch.Tensor,
        features_2: torch.Tensor,
        present: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decode features (M, C, h, w) with present (M,) bool.

        Returns:
            label_map (H, W) uint8, confidence (H, W) uint8, router_weights (levels, M) float32.
        """
        levels = [features[:, None] for features in (features_0, features_1, features_2)]
        segmentation = self.model.decode(levels, present[None])
        logits_KHW = self.model.logits(segmentation)[0]
        top, label_map = logits_KHW.max(0)
        confidence = 1.0 / (logits_KHW - top).exp().sum(0)
        return (
            label_map.to(torch.uint8),
            (confidence * 255.0).round().to(torch.uint8),
            segmentation.router_weights_BLM[0],
        )


class _PixelShuffleUp(nn.Module):
    """`ConvTranspose2d(kernel_size=2, stride=2)` as a 1x1 convolution and a pixel shuffle."""

    def __init__(self, original: nn.ConvTranspose2d):
        super().__init__()
        inputs, outputs = original.in_channels, original.out_channels
        weight = original.weight.permute(1, 2, 3, 0).reshape(4 * outputs, inputs, 1, 1)
        self.conv = nn.Conv2d(inputs, 4 * outputs, 1)
        self.conv.weight = nn.Parameter(weight.detach())
        self.conv.bias = nn.Parameter(original.bias.detach().repeat_interleave(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class _ChannelsLastNorm(nn.Module):
    """`LayerNorm2d` as one layer normalisation node, easily kept in float32."""

    def __init__(self, original: LayerNorm2d):
        super().__init__()
        self.weight, self.bias, self.eps = original.weight, original.bias, original.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


def _rewrite_for_engines(module: nn.Module) -> None:
    rewrites = {nn.ConvTranspose2d: _PixelShuffleUp, LayerNorm2d: _ChannelsLastNorm}
    for name, child in module.named_children():
        rewrite = rewrites.get(type(child))
        if rewrite:
            setattr(module, name, rewrite(child))
        else:
            _rewrite_for_engines(child)


def _merge_lora(trunk: nn.Module, modality: str) -> None:
    for block in trunk.blocks:
        lora = block.attn.qkv
        if isinstance(lora, LoraLinear):
            merged = nn.Linear(lora.in_features, lora.out_features)
            merged.weight = nn.Parameter(lora.merged_weight(modality).detach())
            merged.bias = lora.bias
            block.attn.qkv = merged


def _compose(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """The 1x1 convolution that does what two in a row do."""
    outer = second.weight[:, :, 0, 0]
    composed = nn.Conv2d(first.in_channels, second.out_channels, 1)
    composed.weight = nn.Parameter((outer @ first.weight[:, :, 0, 0])[:, :, None, None].detach())
    composed.bias = nn.Parameter((outer @ first.bias + second.bias).detach())
    return composed
