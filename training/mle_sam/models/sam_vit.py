"""SAM's image encoder for frames of any shape.

Shape suffixes: B batch, H height, W width, h and w the same in patches, C channels.
"""

from functools import partial

from segment_anything.modeling import ImageEncoderViT
import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.vit_config import VitSize

PATCH = 16


def build_vit(size: VitSize) -> ImageEncoderViT:
    """Build `segment_anything`'s own module, so that official checkpoints fit by name."""
    vit = ImageEncoderViT(
        img_size=PATCH * size.position_side,
        patch_size=PATCH,
        embed_dim=size.embed_dim,
        depth=size.depth,
        num_heads=size.num_heads,
        mlp_ratio=4.0,
        out_chans=size.d_model,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=size.window,
        global_attn_indexes=size.global_blocks,
    )
    nn.init.trunc_normal_(vit.pos_embed, std=0.02)
    return vit


def embed_patches(
    vit: ImageEncoderViT, image_B3HW: torch.Tensor, patch_embed: nn.Module | None = None
) -> torch.Tensor:
    """Patches and their positions, (B, h, w, C); the learnt positions are resized to the frame.

    Args:
        vit: of `build_vit`.
        image_B3HW: normalised; sides are multiples of 16.
        patch_embed: in the place of SAM's own.
    """
    patches_BhwC = (patch_embed or vit.patch_embed)(image_B3HW)
    position_1Chw = vit.pos_embed.permute(0, 3, 1, 2)
    size_hw = patches_BhwC.shape[1:3]
    if position_1Chw.shape[2:] != size_hw:
        position_1Chw = F.interpolate(position_1Chw, size_hw, mode='bicubic')
    return patches_BhwC + position_1Chw.permute(0, 2, 3, 1)


def encode_image(vit: ImageEncoderViT, image_B3HW: torch.Tensor) -> torch.Tensor:
    """What SAM itself says of an image, (B, d_model, h, w)."""
    tokens_BhwC = embed_patches(vit, image_B3HW)
    for block in vit.blocks:
        tokens_BhwC = block(tokens_BhwC)
    return finish(vit, tokens_BhwC)


def finish(vit: ImageEncoderViT, tokens_BhwC: torch.Tensor) -> torch.Tensor:
    """The neck: what the blocks say as a map (B, d_model, h, w)."""
    return vit.neck(tokens_BhwC.permute(0, 3, 1, 2))
