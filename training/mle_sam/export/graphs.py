"""The two kinds of graph of a bundle, rewritten exactly for engines.

Shape suffixes: M modalities, K classes, C channels, H height, W width.

What they compute in float32, whatever the precision of the rest, stands here too; see `precision`.
"""

from collections.abc import Sequence
import copy

from sam2.modeling.sam2_utils import LayerNorm2d
import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.auxiliary_head import AuxiliaryHead
from mle_sam.export.enlarging import answer, BandedEnlargement, ResizedEnlargement
from mle_sam.export.layers import (
    ChannelsLastNorm,
    InFloat32,
    PixelShuffleUp,
    StackedPerceptrons,
)
from mle_sam.lora import merge_experts
from mle_sam.models.mle_sam import MleSam


class EncoderGraph(nn.Module):
    """One modality's encoder: raster in, three maps out, LoRA merged, position embedding baked."""

    def __init__(self, model: MleSam, modality: str):
        super().__init__()
        encoder = copy.deepcopy(model.image_encoder)
        merge_experts(encoder.trunk, modality)
        height, width = model.config.input_hw
        self.normalise = Normalisation(model, [modality])
        self.register_buffer(
            'position', encoder.trunk._get_pos_embed((height // 4, width // 4)).detach()
        )
        adapters = encoder.input_adapters
        self.patch_embed = (
            adapters[modality] if modality in adapters else encoder.trunk.patch_embed
        )
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
        return self.encode(self.normalise([raster]))

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode normalised images (M, 3, H, W)."""
        x = self.patch_embed(images.to(self.position.dtype)) + self.position
        stage_maps = []
        for index, block in enumerate(self.trunk.blocks):
            x = block(x)
            if index in self.trunk.stage_ends:
                stage_maps.append(x.permute(0, 3, 1, 2))
        # The neck's own forward pass would leave a lower precision for good.
        coarsest, semantic, intermediate, fine = (
            conv(stage) for conv, stage in zip(self.neck.convs, reversed(stage_maps), strict=True)
        )
        semantic = semantic + F.interpolate(coarsest, scale_factor=2.0, mode='nearest')
        return fine, intermediate, semantic


class FuseDecodeGraph(nn.Module):
    """Everything after the encoders, for one instant, without what nothing reads."""

    def __init__(
        self, model: MleSam, enlarge: ResizedEnlargement | BandedEnlargement | None = None
    ):
        """Take a copy of the weights.

        Args:
            model: the network.
            enlarge: adds up the logits of the levels, from `enlarging`; None for the one that
                processors like.
        """
        super().__init__()
        network = rewritten(model)
        decoder, prompt = network.sam_mask_decoder, network.sam_prompt_encoder
        self.fusion, self.auxiliary_head = network.fusion, None
        if model.config.auxiliary_head:
            self.auxiliary_head = _AuxiliaryGraph(network.auxiliary_head)
        self.transformer = decoder.transformer
        self.upscaling = decoder.output_upscaling
        self.hypernetworks = StackedPerceptrons(decoder.output_hypernetworks_mlps[1:])
        height, width = model.config.input_hw
        num_levels = 3 if model.config.auxiliary_head else 1
        self.enlarge = enlarge or BandedEnlargement((height, width), num_levels)
        position = prompt.position_encoding((height // 16, width // 16))
        tokens = (decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens)
        queries = torch.cat([*(token.weight for token in tokens), prompt.sparse(1)[0]])
        self.register_buffer('position', position.detach().contiguous())
        self.register_buffer('queries', queries[None].detach())
        self.register_buffer('no_mask', prompt.dense().detach())

    def forward(
        self,
        features_0: torch.Tensor,
        features_1: torch.Tensor,
        features_2: torch.Tensor,
        present: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decode features (M, C, h, w) of any precision with present (M,) bool.

        Returns:
            label_map (H, W) uint8, confidence (H, W) uint8, router_weights (levels, M) float32.
        """
        levels = [features.float()[:, None] for features in (features_0, features_1, features_2)]
        fused, router_weights_1LM = self.fusion(levels, present[None])
        fused = [level.to(self.queries.dtype) for level in fused]
        logits = [self._masks(fused)]
        if self.auxiliary_head is not None:
            fine, *coarse = self.auxiliary_head(fused)
            logits = [0.5 * level for level in (logits[0] + fine, *coarse)]
        label_map, confidence = answer(self.enlarge(logits), self.enlarge.class_axis)
        return label_map, confidence, router_weights_1LM[0]

    def _masks(self, fused: list[torch.Tensor]) -> torch.Tensor:
        """The mask decoder's (1, K, H/4, W/4) logits, float32."""
        fine, intermediate, semantic = fused
        hidden, image = self.transformer(semantic + self.no_mask, self.position, self.queries)
        image = image.transpose(1, 2).reshape(semantic.shape)
        first, norm, activation, second, last = self.upscaling
        image = activation(norm(first(image) + intermediate))
        image = last(second(image) + fine)
        # In front stand the tokens of the object score, of the IoU, and of mask 0.
        masks_1KC = self.hypernetworks(hidden[:, 3 : 3 + self.hypernetworks.num])
        masks_1KN = masks_1KC.float() @ image.flatten(2).float()
        return masks_1KN.unflatten(2, fine.shape[-2:])


class Normalisation(nn.Module):
    """Rasters in units of their own, always in float32: event counts and metres reach far."""

    def __init__(self, model: MleSam, modalities: Sequence[str]):
        super().__init__()
        for name in ('mean', 'std'):
            values = [getattr(model.image_encoder.normalise, name)(m) for m in modalities]
            self.register_buffer(name, torch.stack(values)[:, :, None, None].clone())

    def forward(self, rasters: Sequence[torch.Tensor]) -> torch.Tensor:
        """Normalise a (1, H, W, 3) raster per modality: (M, 3, H, W) float32."""
        images = [raster.float().permute(0, 3, 1, 2) for raster in rasters]
        images_M3HW = torch.cat(images) if len(images) > 1 else images[0]
        return (images_M3HW - self.mean) / self.std


class _AuxiliaryGraph(nn.Module):
    """The auxiliary head, with the layers that it composes on every call composed once."""

    def __init__(self, head: AuxiliaryHead):
        super().__init__()
        self.perceptrons, self.classifiers = head.perceptrons, nn.ModuleList()
        classify = head.predict.weight[:, :, 0, 0]
        bias = classify @ head.fuse.bias + head.predict.bias
        for fuse in head.fuse.weight.chunk(len(head.perceptrons), dim=1):
            weight = (classify @ fuse[:, :, 0, 0])[:, :, None, None]
            layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None)
            layer.weight = nn.Parameter(weight.detach())
            if bias is not None:
                layer.bias = nn.Parameter(bias.detach())
            self.classifiers.append(InFloat32(layer))
            bias = None  # the first level has it for all

    def forward(self, fused: list[torch.Tensor]) -> list[torch.Tensor]:
        return [
            classify(perceptron(features))
            for classify, perceptron, features in zip(
                self.classifiers, self.perceptrons, fused, strict=True
            )
        ]


def rewritten(model: MleSam) -> MleSam:
    """A copy of a network with the layers of its decoder that engines like; no encoder."""
    network = copy.deepcopy(model)
    network.image_encoder = nn.Identity()
    _rewrite_for_engines(network.sam_mask_decoder)
    return network


def _rewrite_for_engines(module: nn.Module) -> None:
    rewrites = {nn.ConvTranspose2d: PixelShuffleUp, LayerNorm2d: ChannelsLastNorm}
    for name, child in module.named_children():
        rewrite = rewrites.get(type(child))
        if rewrite:
            setattr(module, name, rewrite(child))
        else:
            _rewrite_for_engines(child)


def _compose(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """The 1x1 convolution that does what two in a row do."""
    outer = second.weight[:, :, 0, 0]
    composed = nn.Conv2d(first.in_channels, second.out_channels, 1)
    composed.weight = nn.Parameter((outer @ first.weight[:, :, 0, 0])[:, :, None, None].detach())
    composed.bias = nn.Parameter((outer @ first.bias + second.bias).detach())
    return composed
