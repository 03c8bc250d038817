"""MLE-SAM, the whole network (arXiv 2412.04220).

Shape suffixes: B batch, M modalities, K classes, H height, W width.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from mle_sam.auxiliary_head import AuxiliaryHead
from mle_sam.config import NetworkConfig, Stage
from mle_sam.decoder import build_mask_decoder, decode_masks, NoPrompt
from mle_sam.encoder import MultiModalEncoder
from mle_sam.enlargement import Enlargement, SCALES
from mle_sam.fusion import Fusion

# What the second stage leaves as SAM 2's authors, or the first stage, have trained it.
SAM2_OWN = (
    'image_encoder.trunk',
    'image_encoder.neck',
    'sam_prompt_encoder',
    'sam_mask_decoder.transformer',
    'sam_mask_decoder.pred_obj_score_head',
    'no_mem_embed',
)


class Segmentation(NamedTuple):
    """What the network says of a batch.

    Attributes:
        mask_logits_BKHW: the mask decoder's, at 1/4 of the input.
        auxiliary_logits: the auxiliary head's by level, at 1/4, 1/8 and 1/16 of the input; empty
            without that head.
        router_weights_BLM: by pyramid level and modality.
    """

    mask_logits_BKHW: torch.Tensor
    auxiliary_logits: list[torch.Tensor]
    router_weights_BLM: torch.Tensor


class MleSam(nn.Module):
    """Encode each modality with its experts, fuse what is present, decode twice.

    Parameter names are those of SAM 2 checkpoints where the parameter is SAM 2's.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        size = config.widths
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
        self.enlarge = Enlargement(config.input_hw)

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
        auxiliary = self.auxiliary_head(fused) if self.config.auxiliary_head else []
        return Segmentation(masks, auxiliary, router_weights_BLM)

    def logits(self, segmentation: Segmentation) -> torch.Tensor:
        """The result: the mean of both paths, (B, K, H, W); added before they are enlarged."""
        if not segmentation.auxiliary_logits:
            return self.enlarge([segmentation.mask_logits_BKHW])
        fine, *coarse = segmentation.auxiliary_logits
        return 0.5 * self.enlarge([segmentation.mask_logits_BKHW + fine, *coarse])

    def forward(
        self, rasters: Mapping[str, torch.Tensor], present_BM: torch.Tensor
    ) -> Segmentation:
        """Segment a batch; a modality is encoded only for the items that have it.

        Args:
            rasters: modality to (B, H, W, 3); rows of items without it are not read.
            present_BM: bool, at least one per row, columns in the configuration's order.
        """
        stacks: list[list[torch.Tensor]] = [[], [], []]
        for column, modality in enumerate(self.config.modality_names):
            rows = present_BM[:, column].nonzero().squeeze(1)
            if len(rows):
                encoded = self.encode(rasters[modality][rows], modality)
            else:
                encoded = self._empty_maps(present_BM.device)
            for stack, features in zip(stacks, encoded, strict=True):
                blank = features.new_zeros(len(present_BM), *features.shape[1:])
                stack.append(blank.index_copy(0, rows, features))
        return self.decode([torch.stack(stack) for stack in stacks], present_BM)

    def trainable(self, stage: Stage) -> set[str]:
        """Names of what a stage is there to train: everything, or all but SAM 2's own weights.

        The decoder's upscaling, tokens, IoU head and hypernetworks belong to both stages (paper),
        and so do `conv_s0` and `conv_s1`.
        """
        frozen = SAM2_OWN if stage == 'experts' else ()
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

    def set_trainable(self, stage: Stage) -> None:
        """Let learn what the stage is there to train and what can learn; freeze the rest."""
        learning = self.trainable(stage) - self.without_gradient()
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in learning)

    def _empty_maps(self, device: torch.device) -> list[torch.Tensor]:
        height, width = self.config.input_hw
        return [
            torch.zeros(0, channels, height // scale, width // scale, device=device)
            for channels, scale in zip(self.config.widths.feature_channels, SCALES, strict=True)
        ]
