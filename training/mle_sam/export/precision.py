"""Half precision that stands in the graph: compilers of strongly typed graphs only follow it.

Float32 are the rasters until they are normalised, every layer norm, the router and the fusion, the
product of class tokens and image, and all logits. All else is float16; the core of the attention,
where the largest values arise, may be bfloat16, which has the range of float32.
"""

from sam2.modeling.backbones.hieradet import do_pool, MultiScaleAttention
from sam2.modeling.sam.transformer import Attention
import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.export.graphs import Normalisation
from mle_sam.export.layers import ChannelsLastNorm, InFloat32
from mle_sam.fusion import Fusion

_STAYS = (Normalisation, Fusion, InFloat32)
_NORMS = (nn.LayerNorm, ChannelsLastNorm)


def in_half(module: nn.Module, attention: torch.dtype = torch.float16) -> nn.Module:
    """Let an `EncoderGraph` or a `FuseDecodeGraph` work in float16, in place.

    Args:
        module: the graph.
        attention: what queries, keys and values are cast to: float16 or bfloat16.
    """
    for name, child in module.named_children():
        if isinstance(child, _NORMS):
            setattr(module, name, _HalfNorm(child))
        elif not isinstance(child, _STAYS):
            in_half(child, attention)
            if isinstance(child, MultiScaleAttention):
                setattr(module, name, _EncoderAttention(child, attention))
            elif isinstance(child, Attention):
                setattr(module, name, _DecoderAttention(child, attention))
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.half()
    for name, buffer in module.named_buffers(recurse=False):
        if buffer.is_floating_point():
            setattr(module, name, buffer.half())
    return module


class _HalfNorm(nn.Module):
    """A normalisation in float32 between layers in float16."""

    def __init__(self, norm: nn.Module):
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.float()).half()


class _EncoderAttention(nn.Module):
    """SAM 2's `MultiScaleAttention` whose core has a precision of its own."""

    def __init__(self, original: MultiScaleAttention, core: torch.dtype):
        super().__init__()
        self.qkv, self.proj, self.pool = original.qkv, original.proj, original.q_pool
        self.num_heads, self.core = original.num_heads, core

    def forward(self, x_WhwC: torch.Tensor) -> torch.Tensor:
        num, height, width, _ = x_WhwC.shape
        qkv = self.qkv(x_WhwC).reshape(num, height * width, 3, self.num_heads, -1)
        query, key, value = qkv.unbind(2)
        if self.pool:
            query = do_pool(query.reshape(num, height, width, -1), self.pool)
            height, width = query.shape[1:3]
            query = query.reshape(num, height * width, self.num_heads, -1)
        answer = _attend(*(x.transpose(1, 2) for x in (query, key, value)), self.core)
        return self.proj(answer.transpose(1, 2).reshape(num, height, width, -1))


class _DecoderAttention(nn.Module):
    """The same of the decoder's `Attention`."""

    def __init__(self, original: Attention, core: torch.dtype):
        super().__init__()
        self.projections = nn.ModuleList([original.q_proj, original.k_proj, original.v_proj])
        self.out_proj, self.num_heads, self.core = original.out_proj, original.num_heads, core

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            project(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for project, x in zip(self.projections, (q, k, v), strict=True)
        )
        return self.out_proj(_attend(query, key, value, self.core).transpose(1, 2).flatten(2))


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, core: torch.dtype
) -> torch.Tensor:
    answer = F.scaled_dot_product_attention(query.to(core), key.to(core), value.to(core))
    return answer.to(query.dtype)
