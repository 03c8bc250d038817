"""SAM 2's image encoder, shared by all modalities, with one set of LoRA experts each.

Shape suffixes: B batch, H height, W width, C channels.
"""

import copy

from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck
import torch
from torch import nn

from mle_sam.config import MleSamConfig
from mle_sam.lora import LoraLinear
from mle_sam.normalisation import Normalisation


class MultiModalEncoder(nn.Module):
    """Hiera trunk and feature pyramid of `sam2`, applied to one modality at a time.

    Parameter names of trunk and neck are those of SAM 2 checkpoints.
    """

    def __init__(self, config: MleSamConfig):
        super().__init__()
        size = config.widths
        self.trunk = Hiera(
            embed_dim=size.embed_dim,
            num_heads=size.num_heads,
            stages=size.stages,
            global_att_blocks=size.global_blocks,
            window_spec=size.window_spec,
            window_pos_embed_bkg_spatial_size=size.position_hw,
        )
        self.neck = FpnNeck(
            position_encoding=_NoPositionEncoding(),
            d_model=size.d_model,
            backbone_channel_list=self.trunk.channel_list,
            fpn_top_down_levels=[2, 3],
            fpn_interp_model='nearest',
        )
        for name in ('pos_embed', 'pos_embed_window'):
            nn.init.trunc_normal_(getattr(self.trunk, name), std=0.02)
        self.lora_layers: list[LoraLinear] = []
        if config.lora_rank:
            self._add_lora(config)
        self.input_adapters = nn.ModuleDict()
        if config.input_adapters:
            for name in config.modality_names:
                self.input_adapters[name] = copy.deepcopy(self.trunk.patch_embed)
        self.normalise = Normalisation(config.modalities)

    def forward(self, raster_BHW3: torch.Tensor, modality: str) -> list[torch.Tensor]:
        """Encode one modality.

        Args:
            raster_BHW3: rasters in the units of the modality's encoding, any dtype.
            modality: whose experts, adapter and normalisation apply.

        Returns:
            Maps of d_model channels at 1/4, 1/8 and 1/16 of the raster, (B, C, h, w) float32.
        """
        for layer in self.lora_layers:
            layer.active = modality
        x_BHWC = self._embed(self.normalise(raster_BHW3, modality), modality)
        x_BHWC = x_BHWC + self.trunk._get_pos_embed(x_BHWC.shape[1:3])
        stage_maps = []
        for index, block in enumerate(self.trunk.blocks):
            x_BHWC = block(x_BHWC)
            if index in self.trunk.stage_ends:
                stage_maps.append(x_BHWC.permute(0, 3, 1, 2))
        pyramid, _ = self.neck(stage_maps)
        return pyramid[:3]

    def _embed(self, image_B3HW: torch.Tensor, modality: str) -> torch.Tensor:
        if modality in self.input_adapters:
            return self.input_adapters[modality](image_B3HW)
        return self.trunk.patch_embed(image_B3HW)

    def _add_lora(self, config: MleSamConfig) -> None:
        for block in self.trunk.blocks:
            block.attn.qkv = LoraLinear(
                block.attn.qkv, config.modality_names, config.lora_rank, config.lora_width
            )
            self.lora_layers.append(block.attn.qkv)


class _NoPositionEncoding(nn.Module):
    """Stands where the neck computes encodings for SAM 2's memory, which does not exist here."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(())
