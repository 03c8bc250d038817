"""SAM-LoRA: SAM with low-rank updates, one network per modality, their masks averaged.

The baseline of the MLE-SAM paper. The frozen encoder is shared; each modality has its own updates
and its own mask decoder, and encoding a modality ends with its masks: what is absent costs
nothing.

Shape suffixes: B batch, M modalities, K classes, H height, W width.
"""

import copy

import torch
from torch import nn

from mle_sam.config import Stage
from mle_sam.decoder import build_mask_decoder, decode_masks, NoPrompt
from mle_sam.lora import LoraLinear
from mle_sam.models.averaging import AveragingNetwork, FROZEN
from mle_sam.models.sam_vit import build_vit, embed_patches, finish
from mle_sam.pretrained_names import Sam1Names
from mle_sam.vit_config import SamLoraConfig


class SamLora(AveragingNetwork):
    """Encode and decode each modality by itself; average.

    Parameter names are those of SAM checkpoints where the parameter is SAM's, but for
    `mask_decoder`, of which there is one per modality.
    """

    config: SamLoraConfig
    checkpoint_names = Sam1Names()

    def __init__(self, config: SamLoraConfig):
        super().__init__(config)
        size, names = config.widths, config.modality_names
        self.image_encoder = build_vit(size)
        self.lora_layers: list[LoraLinear] = []
        if config.lora_rank:
            for block in self.image_encoder.blocks:
                block.attn.qkv = LoraLinear(block.attn.qkv, names, config.lora_rank, 'output')
                self.lora_layers.append(block.attn.qkv)
        self.input_adapters = nn.ModuleDict()
        if config.input_adapters:
            patch_embed = self.image_encoder.patch_embed
            self.input_adapters.update({name: copy.deepcopy(patch_embed) for name in names})
        self.prompt_encoder = NoPrompt(size, num_tokens=0)
        self.mask_decoders = nn.ModuleDict(
            {name: build_mask_decoder(size, config.num_classes, is_sam1=True) for name in names}
        )

    def encode(self, raster_BHW3: torch.Tensor, modality: str) -> list[torch.Tensor]:
        """One modality's masks, (B, K, H/4, W/4)."""
        for layer in self.lora_layers:
            layer.active = modality
        image_B3HW = self.normalise(raster_BHW3, modality)
        adapters = self.input_adapters
        patch_embed = adapters[modality] if modality in adapters else None
        tokens = embed_patches(self.image_encoder, image_B3HW, patch_embed)
        for block in self.image_encoder.blocks:
            tokens = block(tokens)
        features = finish(self.image_encoder, tokens)
        return [decode_masks(self.mask_decoders[modality], self.prompt_encoder, [features])]

    def trainable(self, stage: Stage) -> set[str]:
        """All, or all but SAM's encoder and the decoders' transformers, as in MLE-SAM."""
        if stage == 'trunk':
            return {name for name, _ in self.named_parameters()}
        return {
            name
            for name, _ in self.named_parameters()
            if '.experts.' in name or not (name.startswith(FROZEN) or '.transformer.' in name)
        }

    def without_gradient(self) -> set[str]:
        """The score of each mask, mask 0, and what adapters stand in for."""
        idle = ['.iou_prediction_head.', '.output_hypernetworks_mlps.0.', 'not_a_point_embed']
        if self.config.input_adapters:
            idle.append('image_encoder.patch_embed.')
        return {name for name, _ in self.named_parameters() if any(part in name for part in idle)}
