"""Layers that engines know, or are faster with, in the place of those of networks; each exact.

Shape suffixes: B batch, K classes, C channels, D channels of an attention head, H height, W width;
h and w the same in patches.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam2_utils import LayerNorm2d
import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from segment_anything.modeling.image_encoder import Attention


class InFloat32(nn.Module):
    """A layer that gives float32, and takes it, whatever it is given."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""
        return self.layer(x.float())


class ChannelsLastNorm(nn.Module):
    """`LayerNorm2d` as one layer normalisation node, easily kept in float32."""

    def __init__(self, original: LayerNorm2d):
        super().__init__()
        self.weight, self.bias, self.eps = original.weight, original.bias, original.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, H, W) over C."""
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class PixelShuffleUp(nn.Module):
    """`ConvTranspose2d(kernel_size=2, stride=2)` as a 1x1 convolution and a pixel shuffle."""

    def __init__(self, original: nn.ConvTranspose2d):
        super().__init__()
        inputs, outputs = original.in_channels, original.out_channels
        weight = original.weight.permute(1, 2, 3, 0).reshape(4 * outputs, inputs, 1, 1)
        self.conv = nn.Conv2d(inputs, 4 * outputs, 1)
        self.conv.weight = nn.Parameter(weight.detach().contiguous())
        self.conv.bias = nn.Parameter(original.bias.detach().repeat_interleave(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Enlarge to twice the size."""
        return F.pixel_shuffle(self.conv(x), 2)


class StackedPerceptrons(nn.Module):
    """Perceptrons of equal shape, each for its own token, as one product per layer."""

    def __init__(self, originals: Sequence[nn.Module]):
        super().__init__()
        self.num = len(originals)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layers in zip(*(original.layers for original in originals), strict=True):
            weight = torch.stack([layer.weight.detach().t() for layer in layers])
            bias = torch.stack([layer.bias.detach()[None] for layer in layers])
            self.weights.append(nn.Parameter(weight.contiguous(), requires_grad=False))
            self.biases.append(nn.Parameter(bias, requires_grad=False))

    def forward(self, tokens_1KC: torch.Tensor) -> torch.Tensor:
        """Token k through perceptron k."""
        x_K1C = tokens_1KC.transpose(0, 1)
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x_K1C = torch.baddbmm(bias, x_K1C, weight)
            x_K1C = x_K1C if index == last else x_K1C.relu()
        return x_K1C.transpose(0, 1)


class PlacedAttention(nn.Module):
    """SAM's `Attention` over a map of one size, whose relative positions are looked up once."""

    def __init__(self, original: 'Attention', map_hw: tuple[int, int]):
        """Take over a layer.

        Args:
            original: of `segment_anything`.
            map_hw: (height, width) of all maps that it will see, in patches.
        """
        # Only here: SAM 2's networks can do without it and torchvision, and GPU benchmarks do.
        from segment_anything.modeling.image_encoder import get_rel_pos

        super().__init__()
        self.qkv, self.proj, self.num_heads = original.qkv, original.proj, original.num_heads
        self.map_hw = map_hw
        for name, side, learnt in (
            ('rows', map_hw[0], original.rel_pos_h),
            ('columns', map_hw[1], original.rel_pos_w),
        ):
            # (place of the query, D, place of the key)
            places = get_rel_pos(side, side, learnt.detach()).transpose(1, 2)
            self.register_buffer(name, places.contiguous())

    def forward(self, x_BhwC: torch.Tensor) -> torch.Tensor:
        """Let all patches of a map attend to each other."""
        batch, (height, width) = len(x_BhwC), self.map_hw
        qkv = self.qkv(x_BhwC).reshape(batch, height * width, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        query_hwD = query.unflatten(2, self.map_hw)
        of_rows = query_hwD @ self.rows
        of_columns = (query_hwD.transpose(2, 3) @ self.columns).transpose(2, 3)
        bias = (of_rows[..., None] + of_columns[..., None, :]).flatten(4).flatten(2, 3)
        score = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3) + bias
        answer = score.softmax(3) @ value
        return self.proj(answer.transpose(1, 2).reshape(batch, height, width, -1))


class StackedMaskDecoder(nn.Module):
    """The first SAM's decoder without scores and mask 0, its perceptrons stacked."""

    def __init__(self, original: MaskDecoder):
        super().__init__()
        self.transformer, self.upscaling = original.transformer, original.output_upscaling
        self.hypernetworks = StackedPerceptrons(original.output_hypernetworks_mlps[1:])
        tokens = torch.cat([original.iou_token.weight, original.mask_tokens.weight])
        self.register_buffer('tokens', tokens[None].detach())

    def forward(
        self,
        *,
        image_embeddings: torch.Tensor,
        image_pe: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor,
        **_: object,
    ) -> tuple[torch.Tensor]:
        """Decode one image; arguments as the original's. Masks (1, K, 4h, 4w)."""
        source = image_embeddings + dense_prompt_embeddings
        hidden, image = self.transformer(source, image_pe, self.tokens)
        image = self.upscaling(image.transpose(1, 2).reshape(source.shape))
        # In front stand the tokens of the IoU and of mask 0.
        masks_1KC = self.hypernetworks(hidden[:, 2:])
        return ((masks_1KC @ image.flatten(2)).unflatten(2, image.shape[2:]),)
