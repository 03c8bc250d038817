"""SAM 2's mask decoder with one output per class, and the constants that stand for no prompt."""

from sam2.modeling.position_encoding import PositionEmbeddingRandom
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import TwoWayTransformer
import torch
from torch import nn

from mle_sam.config import SizeConfig
from mle_sam.vit_config import VitSize


def build_mask_decoder(
    size: SizeConfig | VitSize, num_classes: int, is_sam1: bool = False
) -> MaskDecoder:
    """Build `sam2`'s decoder with a mask per class.

    That of the first SAM is the same, but for the finer maps and the object score, which it has
    not (`is_sam1`).

    As in SAM 2 there is a token for the object score, which takes part in the attention. Nothing
    reads the scores, the predicted IoU and mask 0, the single one: SAM 2 itself overwrites the
    masks of what it scores as no object, which would leave no gradient.
    """
    return MaskDecoder(
        transformer_dim=size.d_model,
        transformer=TwoWayTransformer(
            depth=2,
            embedding_dim=size.d_model,
            mlp_dim=size.decoder_mlp,
            num_heads=size.decoder_heads,
        ),
        num_multimask_outputs=num_classes,
        use_high_res_features=not is_sam1,
        pred_obj_scores=not is_sam1,
        pred_obj_scores_mlp=not is_sam1,
    )


class NoPrompt(nn.Module):
    """What SAM 2's prompt encoder says when nobody clicks; parameter names are those of SAM 2."""

    def __init__(self, size: SizeConfig | VitSize, num_tokens: int):
        super().__init__()
        self.num_tokens = num_tokens
        self.not_a_point_embed = nn.Embedding(1, size.d_model)
        self.no_mask_embed = nn.Embedding(1, size.d_model)
        self.pe_layer = PositionEmbeddingRandom(size.d_model // 2)

    def sparse(self, batch: int) -> torch.Tensor:
        """The (B, tokens, C) prompt tokens."""
        return self.not_a_point_embed.weight.expand(batch, self.num_tokens, -1)

    def dense(self) -> torch.Tensor:
        """The (1, C, 1, 1) embedding that is added to the image features."""
        return self.no_mask_embed.weight[:, :, None, None]

    def position_encoding(self, feature_hw: tuple[int, int]) -> torch.Tensor:
        """The (1, C, h, w) encoding of the image features' positions."""
        return self.pe_layer(feature_hw)[None]


def decode_masks(
    decoder: MaskDecoder, prompt: NoPrompt, fused: list[torch.Tensor]
) -> torch.Tensor:
    """Decode one mask per class.

    Args:
        decoder: from `build_mask_decoder`.
        prompt: constants.
        fused: the maps at 1/4, 1/8 and 1/16, the first two already projected by the decoder's
            `conv_s0` and `conv_s1`; of the first SAM only that at 1/16.

    Returns:
        (B, K, H/4, W/4) logits.
    """
    *finer, semantic = fused
    masks, *_ = decoder(
        image_embeddings=semantic,
        image_pe=prompt.position_encoding(semantic.shape[-2:]),
        sparse_prompt_embeddings=prompt.sparse(len(semantic)),
        dense_prompt_embeddings=prompt.dense(),
        multimask_output=True,
        repeat_image=False,
        high_res_features=finer or None,
    )
    return masks
