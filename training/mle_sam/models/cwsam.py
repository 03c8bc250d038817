"""CWSAM: adapters and prompts within a frozen SAM, and a decoder with a map per class.

See `vit_config.CwsamConfig` for what is its authors' and what is ours.

Shape suffixes: B batch, M modalities, K classes, C channels, H height, W width; h, w in patches.
"""

from collections.abc import Iterator

from sam2.modeling.sam.transformer import TwoWayTransformer
from sam2.modeling.sam2_utils import LayerNorm2d, MLP
from segment_anything.modeling.image_encoder import Block, window_partition, window_unpartition
import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.decoder import NoPrompt
from mle_sam.models.averaging import AveragingNetwork
from mle_sam.models.high_pass import HighPass
from mle_sam.models.sam_vit import build_vit, embed_patches, finish, PATCH
from mle_sam.pretrained_names import CwsamNames
from mle_sam.vit_config import CwsamConfig, VitSize


class Cwsam(AveragingNetwork):
    """Encode and decode each modality by itself; average the masks."""

    config: CwsamConfig
    checkpoint_names = CwsamNames()

    def __init__(self, config: CwsamConfig):
        super().__init__(config)
        size, names = config.widths, config.modality_names
        self.image_encoder = build_vit(size)
        self.high_pass = HighPass(config.input_hw, config.low_frequencies)
        self.prompts = nn.ModuleDict({name: Prompts(config) for name in names})
        self.adapters = nn.ModuleDict({name: _adapters(config) for name in names})
        self.prompt_encoder = NoPrompt(size, num_tokens=0)
        self.mask_decoders = nn.ModuleDict(
            {name: ClassWiseDecoder(size, config.num_classes) for name in names}
        )

    def encode(self, raster_BHW3: torch.Tensor, modality: str) -> list[torch.Tensor]:
        """One modality's class maps, (B, K, H/4, W/4)."""
        image_B3HW, vit = self.normalise(raster_BHW3, modality), self.image_encoder
        prompts = self.prompts[modality](vit.patch_embed(image_B3HW), self.high_pass(image_B3HW))
        tokens = embed_patches(vit, image_B3HW)
        for block, prompt, pair in zip(vit.blocks, prompts, self.adapters[modality], strict=True):
            tokens = _adapted(block, tokens + prompt, *pair, self.config.adapter_scale)
        features = finish(vit, tokens)
        return [self.mask_decoders[modality](features, self.prompt_encoder)]


class Adapter(nn.Module):
    """A perceptron with a bottleneck, with or without a path around it."""

    def __init__(self, width: int, bottleneck: int, has_skip: bool):
        super().__init__()
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.has_skip = has_skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Adapt the last axis."""
        change = self.up(F.gelu(self.down(x)))
        return x + change if self.has_skip else change


class Prompts(nn.Module):
    """What is added before each block, from the patches and from the image's high frequencies."""

    def __init__(self, config: CwsamConfig):
        super().__init__()
        width, own = config.widths.embed_dim, config.prompt_width
        self.of_patches = nn.Linear(width, own)
        self.of_details = nn.Conv2d(3, own, PATCH, PATCH)
        self.of_blocks = nn.ModuleList(nn.Linear(own, own) for _ in range(config.widths.depth))
        self.widen = nn.Linear(own, width)

    def forward(self, patches_BhwC: torch.Tensor, details_B3HW: torch.Tensor) -> Iterator:
        """Yield (B, h, w, C) for each block."""
        details = self.of_details(details_B3HW).permute(0, 2, 3, 1)
        seen = details + self.of_patches(patches_BhwC)
        for of_block in self.of_blocks:
            yield self.widen(F.gelu(of_block(seen)))


class ClassWiseDecoder(nn.Module):
    """SAM's decoder with one mask token and a map per class behind it."""

    def __init__(self, size: VitSize, num_classes: int):
        super().__init__()
        width = size.d_model
        self.num_classes = num_classes
        self.transformer = TwoWayTransformer(
            depth=2,
            embedding_dim=width,
            mlp_dim=size.decoder_mlp,
            num_heads=size.decoder_heads,
        )
        self.iou_token, self.mask_tokens = nn.Embedding(1, width), nn.Embedding(1, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, 2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList([MLP(width, width, width // 8, 3)])
        self.class_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width // 4, width // 4, 2, 2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.Conv2d(width // 4, width // 8 * num_classes, 7, 2, 3),
            nn.GELU(),
        )

    def forward(self, features_BChw: torch.Tensor, prompt: NoPrompt) -> torch.Tensor:
        """(B, K, 4h, 4w) logits of a map at 1/16 of the input."""
        before = features_BChw + prompt.dense()
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = tokens.expand(len(before), -1, -1)
        position = prompt.position_encoding(before.shape[2:]).expand(len(before), -1, -1, -1)
        hidden, after = self.transformer(before, position, tokens)
        after = after.transpose(1, 2).reshape(before.shape)
        both = torch.cat([self.output_upscaling(after), self.output_upscaling(before)], 1)
        maps = self.class_upscaling(both).unflatten(1, (-1, self.num_classes))
        (hypernetwork,) = self.output_hypernetworks_mlps
        masks_B1N = hypernetwork(hidden[:, 1])[:, None] @ maps.flatten(2)
        return masks_B1N[:, 0].unflatten(1, maps.shape[2:])


def _adapters(config: CwsamConfig) -> nn.ModuleList:
    """(after the attention, beside the perceptron) for each block."""
    width = config.widths.embed_dim
    bottleneck = max(1, round(config.adapter_share * width))
    return nn.ModuleList(
        nn.ModuleList([Adapter(width, bottleneck, True), Adapter(width, bottleneck, False)])
        for _ in range(config.widths.depth)
    )


def _adapted(
    block: Block, x: torch.Tensor, after: Adapter, beside: Adapter, scale: float
) -> torch.Tensor:
    """A block of `segment_anything` with its two adapters."""
    normal, padded_hw = block.norm1(x), x.shape[1:3]
    if block.window_size:
        normal, padded_hw = window_partition(normal, block.window_size)
    answer = after(block.attn(normal))
    if block.window_size:
        answer = window_unpartition(answer, block.window_size, padded_hw, x.shape[1:3])
    x = x + answer
    normal = block.norm2(x)
    return x + block.mlp(normal) + scale * beside(normal)
