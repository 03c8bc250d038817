"""What the tensors of published checkpoints are called here, by family of networks.

Parameters keep the names of the checkpoints, so the mapping is the identity but for what depends
on the number of classes, and for what each modality has of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
import re

import torch

from mle_sam.config import SIZES
from mle_sam.vit_config import VIT_SIZES


class Names(ABC):
    """The rules of one family.

    Attributes:
        title: of the family, for people.
        decoder: of the mask decoder in its checkpoints.
        left: prefixes of what a checkpoint may hold without use here.
    """

    title: str
    decoder: str
    left: tuple[str, ...]

    @property
    def mask_tokens(self) -> str:
        """One row per mask."""
        return f'{self.decoder}mask_tokens.weight'

    @property
    def per_mask(self) -> tuple[str, ...]:
        """Of the checkpoint: what has one row per mask."""
        head = f'{self.decoder}iou_prediction_head.layers.2.'
        return self.mask_tokens, f'{head}weight', f'{head}bias'

    def is_hypernetwork(self, name: str) -> bool:
        """Whether a tensor of the checkpoint belongs to the perceptron of one mask."""
        return self._hypernetwork.fullmatch(name) is not None

    def origin(self, name: str, num_masks: int) -> str:
        """The name in the checkpoint that a tensor of ours starts from."""
        name = self._shared(name)
        hypernetwork = self._hypernetwork.fullmatch(name)
        if not hypernetwork:
            return name
        prefix, index, rest = hypernetwork.groups()
        return f'{prefix}{int(index) % num_masks}{rest}'

    def in_checkpoint(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A checkpoint, official or of a trunk of ours, by the names that `origin` gives."""
        return dict(weights)

    @abstractmethod
    def is_new(self, name: str, weights: Mapping[str, torch.Tensor]) -> bool:
        """Whether nothing in the checkpoint stands for a tensor of ours."""

    @abstractmethod
    def recognise(self, weights: Mapping[str, torch.Tensor]) -> str:
        """The size that weights look like, or their width and depth where no size has them."""

    @abstractmethod
    def _shared(self, name: str) -> str:
        """The name without what says whose modality it is."""

    @property
    def _hypernetwork(self) -> re.Pattern[str]:
        return re.compile(rf'({re.escape(self.decoder)}output_hypernetworks_mlps\.)(\d+)(\..+)')


class Sam2Names(Names):
    """SAM 2 and 2.1."""

    title = 'SAM 2'
    decoder = 'sam_mask_decoder.'
    # SAM 2's memory, clicks and object pointers, and the heads another network has more of.
    left = (
        'memory_attention.',
        'memory_encoder.',
        'maskmem_tpos_enc',
        'mask_downsample.',
        'no_mem_embed',
        'no_mem_pos_enc',
        'no_obj_embed_spatial',
        'no_obj_ptr',
        'obj_ptr_proj.',
        'obj_ptr_tpos_proj.',
        'sam_prompt_encoder.mask_downscaling.',
        'sam_prompt_encoder.point_embeddings.',
        'auxiliary_head.',
        'fusion.',
    )
    _adapter = re.compile(r'image_encoder\.input_adapters\.[^.]+\.')

    def is_new(self, name: str, weights: Mapping[str, torch.Tensor]) -> bool:
        """See `Names`: experts, fusion, and a head that the checkpoint lacks."""
        if name.startswith('auxiliary_head.'):
            return not any(other.startswith('auxiliary_head.') for other in weights)
        return name.startswith('fusion.') or '.experts.' in name

    def recognise(self, weights: Mapping[str, torch.Tensor]) -> str:
        """See `Names`."""
        sizes = {name: (size.embed_dim, sum(size.stages)) for name, size in SIZES.items()}
        trunk = 'image_encoder.trunk.'
        return _recognise(weights, f'{trunk}patch_embed.proj.bias', f'{trunk}blocks.', sizes)

    def _shared(self, name: str) -> str:
        return self._adapter.sub('image_encoder.trunk.patch_embed.', name)


class Sam1Names(Names):
    """The first SAM; of ours, each modality may have a decoder of its own."""

    title = 'SAM'
    decoder = 'mask_decoder.'
    left = ('prompt_encoder.mask_downscaling.', 'prompt_encoder.point_embeddings.')
    _own = re.compile(r'mask_decoders\.[^.]+\.')
    _adapter = re.compile(r'input_adapters\.[^.]+\.')
    # The second SAM's transformer, which is ours, calls the layers of its perceptrons otherwise.
    _layer = re.compile(r'(mask_decoder\.transformer\..*\.mlp\.)lin([12])\.')

    def in_checkpoint(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """See `Names`."""
        return {self._as_ours(self._shared(name)): value for name, value in weights.items()}

    def is_new(self, name: str, weights: Mapping[str, torch.Tensor]) -> bool:
        """See `Names`: the low-rank updates."""
        return '.experts.' in name

    def recognise(self, weights: Mapping[str, torch.Tensor]) -> str:
        """See `Names`."""
        sizes = {name: (size.embed_dim, size.depth) for name, size in VIT_SIZES.items()}
        encoder = 'image_encoder.'
        return _recognise(weights, f'{encoder}patch_embed.proj.bias', f'{encoder}blocks.', sizes)

    def _shared(self, name: str) -> str:
        return self._adapter.sub('image_encoder.patch_embed.', self._own.sub(self.decoder, name))

    def _as_ours(self, name: str) -> str:
        layer = self._layer.match(name)
        return self._layer.sub(rf'\1layers.{int(layer[2]) - 1}.', name) if layer else name


class Sam2EncoderNames(Sam2Names):
    """SAM 2, of which only the image encoder is taken."""

    left = (*Sam2Names.left, 'sam_prompt_encoder.', 'sam_mask_decoder.')

    def is_new(self, name: str, weights: Mapping[str, torch.Tensor]) -> bool:
        """See `Names`: whatever stands beside the encoder."""
        return not name.startswith('image_encoder.')


class Sam1EncoderNames(Sam1Names):
    """The first SAM, of which only the image encoder is taken."""

    left = ('prompt_encoder.', 'mask_decoder.')

    def is_new(self, name: str, weights: Mapping[str, torch.Tensor]) -> bool:
        """See `Names`: whatever stands beside the encoder."""
        return not name.startswith('image_encoder.')


class CwsamNames(Sam1Names):
    """The first SAM under CWSAM, which has one mask token, and much of its own beside."""

    left = (*Sam1Names.left, 'mask_decoder.iou_prediction_head.')

    def is_new(self, name: str, weights: Mapping[str, torch.Tensor]) -> bool:
        """See `Names`."""
        return name.startswith(('prompts.', 'adapters.')) or '.class_upscaling.' in name


def _recognise(
    weights: Mapping[str, torch.Tensor],
    embedding: str,
    blocks: str,
    sizes: Mapping[str, tuple[int, int]],
) -> str:
    depth = blocks.count('.')
    numbers = {name.split('.')[depth] for name in weights if name.startswith(blocks)}
    found = (len(weights[embedding]) if embedding in weights else 0, len(numbers))
    for name, size in sizes.items():
        if size == found:
            return name
    return f'of an unknown size ({found[0]} channels, {found[1]} blocks)'
