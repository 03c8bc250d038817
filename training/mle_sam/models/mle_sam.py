"""MLE-SAM, the whole network (arXiv 2412.04220).

Shape suffixes: B batch, M modalities, K classes, H height, W width.
"""

import torch
from torch import nn

from mle_sam.auxiliary_head import AuxiliaryHead
from mle_sam.config import MleSamConfig, Stage
from mle_sam.decoder import build_mask_decoder, decode_masks, NoPrompt
from mle_sam.encoder import MultiModalEncoder
from mle_sam.fusion import Fusion
from mle_sam.models.network import Network, Segmentation
from mle_sam.pretrained_names import Sam2Names

# What the second stage leaves as SAM 2's authors, or the first stage, have trained it.
SAM2_OWN = (
    'image_encoder.trunk',
    'image_encoder.neck',
    'sam_prompt_encoder',
    'sam_mask_decoder.transformer',
    'sam_mask_decoder.pred_obj_score_head',
    'no_mem_embed',
)


class MleSam(Network):
    """Encode each modality with its experts, fuse what is present, decode twice.

    Parameter names are those of SAM 2 checkpoints where the parameter is SAM 2's.
    """

    config: MleSamConfig
    checkpoint_names = Sam2Names()

    def __init__(self, config: MleSamConfig):
        size = config.widths
        super().__init__(config, size.feature_channels)
        self.image_encoder = MultiModalEncoder(config)
        self.fusion = Fusion(config)
        self.sam_mask_decoder = build_mask_decoder(size, config.num_classes)
        self.sam_prompt_encoder = NoPrompt(size, config.not_a_point_tokens)
        if config.no_memory_embedding:
            self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, size.d_model))
        if config.auxiliary_head:
            self.auxiliary_head = AuxiliaryHead(
                size.feature_channels,
                config.num_classes,
                config.auxiliary_width,
                config.auxiliary_dropout,
            )

    def encode(self, raster_BHW3: torch.Tensor, modality: str) -> list[torch.Tensor]:
        """Compute one modality's three maps, at 1/4 (FFP), 1/8 (IFP) and 1/16 (SFM)."""
        fine, intermediate, semantic = self.image_encoder(raster_BHW3, modality)
        decoder = self.sam_mask_decoder
        if self.config.no_memory_embedding:
            semantic = semantic + self.no_mem_embed[0, 0, :, None, None]
        return [decoder.conv_s0(fine), decoder.conv_s1(intermediate), semantic]

    def decode(self, levels: list[torch.Tensor], present_BM: torch.Tensor) -> Segmentation:
        """Fuse and decode features stacked by modality, (M, B, C, h, w) per level."""
        fused, router_weights_BLM = self.fusion(levels, present_BM)
        masks = decode_masks(self.sam_mask_decoder, self.sam_prompt_encoder, fused)
        if not self.config.auxiliary_head:
            return Segmentation(([masks],), router_weights_BLM)
        return Segmentation(([masks], self.auxiliary_head(fused)), router_weights_BLM)

    def trainable(self, stage: Stage) -> set[str]:
        """Names of what a stage is there to train: everything, or all but what is frozen.

        The decoder's upscaling, tokens, IoU head and hypernetworks belong to both stages (paper),
        and so do `conv_s0` and `conv_s1`.
        """
        frozen = SAM2_OWN if stage == 'experts' and self.config.frozen else ()
        return {
            name
            for name, _ in self.named_parameters()
            if '.experts.' in name or not name.startswith(frozen)
        }

    def without_gradient(self) -> set[str]:
        """Names of what has no path to the result, and so never learns."""
        idle = [
            'sam_mask_decoder.iou_prediction_head',
            'sam_mask_decoder.pred_obj_score_head',
            'sam_mask_decoder.output_hypernetworks_mlps.0.',
        ]
        if self.config.router_is_constant:
            idle.append('fusion.routers')
        if self.config.input_adapters:
            idle.append('image_encoder.trunk.patch_embed')
        if self.config.not_a_point_tokens == 0:
            idle.append('sam_prompt_encoder.not_a_point_embed')
        return {name for name, _ in self.named_parameters() if name.startswith(tuple(idle))}
