"""TS-SAM (arXiv 2408.01835): a convolutional stream beside a frozen SAM, for the camera alone.

Shape suffixes: B batch, K classes, C channels, H height, W width, h and w in patches.
"""

import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.models.averaging import AveragingNetwork
from mle_sam.models.sam_vit import build_vit, embed_patches, finish
from mle_sam.pretrained_names import Sam1EncoderNames
from mle_sam.vit_config import TsSamConfig

Scales = list[torch.Tensor]  # maps at 1/4 and 1/8 of the input


class TsSam(AveragingNetwork):
    """SAM's encoder with adapters beside it, a refinement of its blocks, and their fusion."""

    config: TsSamConfig
    checkpoint_names = Sam1EncoderNames()

    def __init__(self, config: TsSamConfig):
        super().__init__(config)
        size, side, refined = config.widths, config.side_width, config.refined_width
        blocks = range(size.depth)
        self.side_blocks = config.side_blocks or tuple(blocks)
        self.refined_blocks = config.refined_blocks or tuple(blocks)
        self.image_encoder = build_vit(size)
        self.side_start = nn.Linear(size.embed_dim, side)
        self.side_adapters = nn.ModuleList(
            [
                SideAdapter(size.embed_dim, side, side),
                *(SideAdapter(size.embed_dim, side, side) for _ in self.side_blocks),
                SideAdapter(size.d_model, side, 2 * refined),
            ]
        )
        widths = [*(size.embed_dim for _ in self.refined_blocks), size.d_model]
        self.refinements = nn.ModuleList(Refinement(width, refined) for width in widths)
        self.fusion = FeatureFusion(refined, config.num_classes)

    def encode(self, raster_BHW3: torch.Tensor, modality: str) -> list[torch.Tensor]:
        """The class maps, (B, K, H/4, W/4)."""
        vit, image_B3HW = self.image_encoder, self.normalise(raster_BHW3, modality)
        start, *between, end = self.side_adapters
        refinements = iter(self.refinements)
        adapters = iter(between)
        stream = self.side_start(vit.patch_embed(image_B3HW)).permute(0, 3, 1, 2)
        tokens = embed_patches(vit, image_B3HW)
        stream, _ = start(tokens.permute(0, 3, 1, 2), stream)
        refined: Scales | None = None
        for index, block in enumerate(vit.blocks):
            tokens = block(tokens)
            features = tokens.permute(0, 3, 1, 2)
            if index in self.refined_blocks:
                refined = _summed(next(refinements)(features), refined)
            if index in self.side_blocks:
                stream, features = next(adapters)(features, stream)
                tokens = features.permute(0, 2, 3, 1)
        features = finish(vit, tokens)
        refined = _summed(next(refinements)(features), refined)
        stream, _ = end(features, stream)
        return [self.fusion(stream, refined)]


class SideAdapter(nn.Module):
    """Convolutional side adapter (CSA): the stream beside to SAM's width, on top of its features.

    The sum goes back to SAM, and, narrowed, on in the stream.
    """

    def __init__(self, width: int, side: int, out: int):
        super().__init__()
        self.widen = _conv(side, width, 1)
        self.narrow = _conv(width, out, 1)

    def forward(
        self, features_BChw: torch.Tensor, stream: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The stream, and the features with what it adds."""
        features_BChw = features_BChw + self.widen(stream)
        return self.narrow(features_BChw), features_BChw


class Refinement(nn.Module):
    """Multi-scale refinement (MRM): one block's features, gated, at 1/4 and 1/8 of the input."""

    def __init__(self, width: int, refined: int):
        super().__init__()
        self.narrow = _conv(width, refined, 1)
        self.to_quarter = nn.Sequential(_enlarge(refined), _enlarge(refined), Gate(refined))
        self.to_eighth = nn.Sequential(_enlarge(refined), Gate(refined))

    def forward(self, features_BChw: torch.Tensor) -> Scales:
        """Maps (B, C, 4h, 4w) and (B, C, 2h, 2w)."""
        narrow = self.narrow(features_BChw)
        return [self.to_quarter(narrow), self.to_eighth(narrow)]


class Gate(nn.Module):
    """x * tanh(W2 relu(W1 x)), pixel by pixel."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 1, bias=False)
        self.second = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Let through what the gate opens for."""
        return x * self.second(self.first(x).relu()).tanh()


class FeatureFusion(nn.Module):
    """Feature fusion decoder (FFD): the three scales, the finest last, to a map per class."""

    def __init__(self, width: int, num_classes: int):
        super().__init__()
        self.coarse = _conv(2 * width, width, 3)
        self.eighth, self.quarter = _conv(width, width, 3), _conv(width, width, 3)
        self.join_eighth = nn.ModuleList([_conv(2 * width, width, 3) for _ in range(2)])
        self.join_quarter = nn.ModuleList([_conv(2 * width, width, 3) for _ in range(2)])
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, coarse: torch.Tensor, finer: Scales) -> torch.Tensor:
        """(B, K, 4h, 4w) of maps at 1/16, and at 1/4 and 1/8 of the input."""
        quarter, eighth = finer
        x = _joined(self.coarse(coarse), _pooled(self.eighth(eighth)), eighth, self.join_eighth)
        x = _joined(x, _pooled(self.quarter(quarter)), quarter, self.join_quarter)
        return self.classify(x)


def _joined(
    x: torch.Tensor, shrunk: torch.Tensor, finer: torch.Tensor, joins: nn.ModuleList
) -> torch.Tensor:
    """One step to twice the size: beside the finer map shrunk, then beside the finer map."""
    first, second = joins
    x = first(torch.cat([x, shrunk], 1))
    x = F.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=True)
    return second(torch.cat([x, finer], 1))


def _pooled(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 2) + F.avg_pool2d(x, 2)


def _summed(new: Scales, old: Scales | None) -> Scales:
    return new if old is None else [a + b for a, b in zip(new, old, strict=True)]


def _conv(inputs: int, outputs: int, side: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=side == 1)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _enlarge(width: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(width, width, 2, 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())
