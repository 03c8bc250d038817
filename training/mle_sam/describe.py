"""`describe`: how many parameters a network has, which of them learn, and how much work it is."""

from collections import Counter
from dataclasses import replace
import re
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from mle_sam.config import MleSamConfig
from mle_sam.models.mle_sam import MleSam

# The parts of a network, each with where its parameters stand; the first that fits counts.
PARTS = {
    'lora': ('.experts.',),
    'input_adapters': ('image_encoder.input_adapters.',),
    'trunk': ('image_encoder.trunk.',),
    'neck': ('image_encoder.neck.',),
    'prompt_constants': ('sam_prompt_encoder.', 'no_mem_embed'),
    'transformer': ('sam_mask_decoder.transformer.',),
    'object_score_head': ('sam_mask_decoder.pred_obj_score_head.',),
    'tokens': ('_token.', '_tokens.'),
    'hypernetworks': ('sam_mask_decoder.output_hypernetworks_mlps.',),
    'upscaling': ('sam_mask_decoder.output_upscaling.',),
    'conv_s': ('sam_mask_decoder.conv_s',),
    'iou_head': ('sam_mask_decoder.iou_prediction_head.',),
    'auxiliary_head': ('auxiliary_head.',),
    'router': ('fusion.routers.',),
}
# The paper's count grows by 5.15 M with each modality: LoRA, and one decoder less what is frozen.
PAPER_PER_MODALITY = ('hypernetworks', 'tokens', 'upscaling', 'conv_s', 'iou_head')


def describe(config: MleSamConfig) -> dict[str, Any]:
    """Count what a network has and does.

    Returns:
        A mapping for JSON: `parameters` and `gflop` of this network, and under
        `paper_accounting`, which is not this network, the count that the paper seems to use.
    """
    parameters = count_parameters(config)
    return {
        'size': config.size,
        'input_hw': list(config.input_hw),
        'modalities': list(config.modality_names),
        'classes': config.num_classes,
        'parameters': parameters,
        'gflop': count_gflop(config),
        'paper_accounting': _paper_accounting(parameters, len(config.modalities)),
    }


def count_parameters(config: MleSamConfig) -> dict[str, Any]:
    """Count parameters: in total, by part and by modality.

    `trainable` is what the second stage is there to train (the paper's choice), `learning` is that
    without what has no path to the result, which `without_gradient` names and training freezes.
    """
    model = MleSam(config)
    trainable, idle = model.trainable('experts'), model.without_gradient()
    by_part = {part: Counter(total=0, trainable=0, learning=0) for part in PARTS}
    without_gradient = Counter()
    by_modality = Counter(dict.fromkeys(config.modality_names, 0))
    for name, parameter in model.named_parameters():
        count = parameter.numel()
        part = by_part[_part(name)]
        part['total'] += count
        part['trainable'] += count * (name in trainable)
        part['learning'] += count * (name in trainable - idle)
        if name in trainable & idle:
            without_gradient[_module(name)] += count
        for modality in config.modality_names:
            if f'.experts.{modality}.' in name or f'.input_adapters.{modality}.' in name:
                by_modality[modality] += count
    sums = {key: sum(part[key] for part in by_part.values()) for key in by_part['lora']}
    return {
        **sums,
        'without_gradient': dict(without_gradient),
        'by_part': {name: dict(part) for name, part in by_part.items()},
        'by_modality': dict(by_modality),
    }


@torch.inference_mode()
def count_gflop(config: MleSamConfig) -> dict[str, Any]:
    """Count the operations of one instant with all modalities, experts merged, batch 1.

    Counted are convolutions, matrix products and attention, a multiplication and an addition as
    two. On the meta device nothing is computed, and attention is made of products that the counter
    sees; it misses the fused attention of CPUs.
    """
    model = MleSam(replace(config, lora_rank=0)).eval().to('meta')
    modality, num_modalities = config.modality_names[0], len(config.modalities)
    raster = torch.empty(1, *config.input_hw, 3, device='meta')
    with FlopCounterMode(display=False) as encoding:
        model.image_encoder(raster, modality)
    with FlopCounterMode(display=False) as encoding_and_conv_s:
        maps = model.encode(raster, modality)
    levels = [torch.stack([level] * num_modalities) for level in maps]
    present = torch.ones(1, num_modalities, dtype=torch.bool, device='meta')
    with FlopCounterMode(display=False) as decoding:
        model.logits(model.decode(levels, present))
    encoder, fuse_decode = encoding.get_total_flops(), decoding.get_total_flops()
    with_conv_s = encoding_and_conv_s.get_total_flops()
    attention = _attention(encoding)
    return {
        'image_encoder': {
            'layers': _giga(encoder - attention),
            'attention': _giga(attention),
            'total': _giga(encoder),
        },
        'conv_s': _giga(with_conv_s - encoder),
        'image_encoders_of_all_modalities': _giga(num_modalities * encoder),
        'fuse_decode': _giga(fuse_decode),
        'total': _giga(num_modalities * with_conv_s + fuse_decode),
    }


def _attention(encoding: FlopCounterMode) -> int:
    """The work of the encoder's attention itself: without its projections before and after."""
    by_module = encoding.get_flop_counts()
    signs = {'attn': 1, 'attn.qkv': -1, 'attn.proj': -1}
    return sum(
        sign * sum(by_module[module].values())
        for module in by_module
        for name, sign in signs.items()
        if module.endswith(f'.{name}')
    )


def _paper_accounting(parameters: dict[str, Any], num_modalities: int) -> dict[str, Any]:
    count = {name: part['total'] for name, part in parameters['by_part'].items()}
    parts = {'lora': count['lora'] // num_modalities}
    parts |= {name: count[name] for name in PAPER_PER_MODALITY}
    per_modality = sum(parts.values())
    return {
        'about': (
            'the count that the paper seems to use: LoRA and a whole decoder for each modality; '
            'this network has one decoder for all'
        ),
        'parts_per_modality': parts,
        'per_modality': per_modality,
        'all_modalities': num_modalities * per_modality,
        'with_auxiliary_head': num_modalities * per_modality + count['auxiliary_head'],
    }


def _part(name: str) -> str:
    return next(part for part, places in PARTS.items() if any(p in name for p in places))


def _module(name: str) -> str:
    """The module that has no gradient: a head, a hypernetwork or a router."""
    return re.split(r'\.(?:layers|score|hidden)\.', name)[0]


def _giga(operations: int) -> float:
    return round(operations / 1e9, 3)
