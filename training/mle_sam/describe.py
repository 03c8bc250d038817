"""`describe`: how many parameters a network has, which of them learn, and how much work it is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
import re
from typing import Any, get_args

import torch
from torch.utils.flop_counter import FlopCounterMode

from mle_sam.ad_sam_config import AdSamConfig
from mle_sam.config import MleSamConfig, NetworkConfig, plain_network
from mle_sam.models.build import build_network
from mle_sam.models.network import Network
from mle_sam.recipe import Networks
from mle_sam.vit_config import VitNetworkConfig

KINDS: dict[str, type] = {config.kind: config for config in get_args(Networks)}
OF_ONE_SENSOR = ('ts_sam', 'ad_sam')
# Choices of the papers that are no defaults, by kind and, where only that size has them, size.
_CHOICES: dict[tuple[str, str], dict[str, object]] = {
    ('ts_sam', 'huge'): {'refined_blocks': tuple(range(20, 32))},
    ('ad_sam', ''): {'freeze_statistics': False},  # there are none without weights
}

# The parts of MLE-SAM, each with where its parameters stand; the first that fits counts.
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


def plain_config(
    kind: str, size: str, modalities: Sequence[str], num_classes: int, input_hw: tuple[int, int]
) -> NetworkConfig:
    """A network of any kind as its authors have it; see `config.plain_network`.

    Raises:
        InputError: for what no network of the kind can have.
    """
    plain = plain_network('tiny', tuple(modalities), num_classes, input_hw)
    choices = {**_CHOICES.get((kind, ''), {}), **_CHOICES.get((kind, size), {})}
    return KINDS[kind](plain.input_hw, plain.modalities, plain.classes, size=size, **choices)


def describe(config: NetworkConfig) -> dict[str, Any]:
    """Count what a network has and does.

    Returns:
        A mapping for JSON: `parameters` and `gflop` of this network, and of MLE-SAM under
        `paper_accounting`, which is not this network, the count that its paper seems to use.
    """
    parameters = count_parameters(config)
    description = {
        'kind': config.kind,
        'size': config.size,
        'input_hw': list(config.input_hw),
        'modalities': list(config.modality_names),
        'classes': config.num_classes,
        'parameters': parameters,
        'gflop': count_gflop(config),
    }
    if isinstance(config, MleSamConfig):
        accounting = _paper_accounting(parameters, len(config.modalities))
        description['paper_accounting'] = accounting
    return description


def count_parameters(config: NetworkConfig) -> dict[str, Any]:
    """Count parameters: in total, by part and by modality.

    `trainable` is what the second stage is there to train (the paper's choice), `learning` is that
    without what has no path to the result, which `without_gradient` names and training freezes.
    """
    model = _build(config)
    trainable, idle = model.trainable('experts'), model.without_gradient()
    by_part: dict[str, Counter[str]] = {}
    if isinstance(config, MleSamConfig):
        by_part = {part: Counter(total=0, trainable=0, learning=0) for part in PARTS}
    without_gradient: Counter[str] = Counter()
    by_modality = Counter(dict.fromkeys(config.modality_names, 0))
    for name, parameter in model.named_parameters():
        count = parameter.numel()
        part = by_part.setdefault(_part(name, config), Counter())
        part['total'] += count
        part['trainable'] += count * (name in trainable)
        part['learning'] += count * (name in trainable - idle)
        if name in trainable & idle:
            without_gradient[_module(name)] += count
        for modality in set(config.modality_names) & set(name.split('.')):
            by_modality[modality] += count
    keys = ('total', 'trainable', 'learning')
    return {
        **{key: sum(part[key] for part in by_part.values()) for key in keys},
        'without_gradient': dict(without_gradient),
        'by_part': {name: dict(part) for name, part in by_part.items()},
        'by_modality': dict(by_modality),
    }


@torch.inference_mode()
def count_gflop(config: NetworkConfig) -> dict[str, Any]:
    """Count the operations of one instant with all modalities, experts merged, batch 1.

    Counted are convolutions, matrix products and attention, a multiplication and an addition as
    two. On the meta device nothing is computed, and attention is made of products that the counter
    sees; it misses the fused attention of CPUs.
    """
    if getattr(config, 'lora_rank', 0):
        config = replace(config, lora_rank=0)  # type: ignore[call-arg]
    model = _build(config).eval().to('meta')
    raster = torch.empty(1, *config.input_hw, 3, device='meta')
    encoded, by_encoder = [], {}
    for name in config.modality_names:
        with FlopCounterMode(display=False) as encoding:
            encoded.append(model.encode(raster, name))
        by_encoder[name] = encoding.get_total_flops()
    levels = [torch.stack(level) for level in zip(*encoded, strict=True)]
    present = torch.ones(1, len(config.modalities), dtype=torch.bool, device='meta')
    with FlopCounterMode(display=False) as decoding:
        model.logits(model.decode(levels, present))
    fuse_decode = decoding.get_total_flops()
    encoders: dict[str, Any] = {'encoders': {n: _giga(flop) for n, flop in by_encoder.items()}}
    if isinstance(config, MleSamConfig):
        encoders = _encoders_of_mle_sam(model, raster, by_encoder)
    return {
        **encoders,
        'fuse_decode': _giga(fuse_decode),
        'total': _giga(sum(by_encoder.values()) + fuse_decode),
    }


def _build(config: NetworkConfig) -> Network:
    """A network; those on SAM's encoder, of up to 670 million parameters, without memory."""
    of_sam = isinstance(config, VitNetworkConfig)
    of_sam |= isinstance(config, AdSamConfig) and config.encoder == 'vit'
    with torch.device('meta' if of_sam else 'cpu'):
        return build_network(config)


def _encoders_of_mle_sam(
    model: Network, raster: torch.Tensor, by_encoder: dict[str, int]
) -> dict[str, Any]:
    """The encoders' work, of which all do the same, in parts."""
    modality, with_conv_s = next(iter(by_encoder.items()))
    with FlopCounterMode(display=False) as encoding:
        model.image_encoder(raster, modality)
    encoder, attention = encoding.get_total_flops(), _attention(encoding)
    return {
        'image_encoder': {
            'layers': _giga(encoder - attention),
            'attention': _giga(attention),
            'total': _giga(encoder),
        },
        'conv_s': _giga(with_conv_s - encoder),
        'image_encoders_of_all_modalities': _giga(len(by_encoder) * encoder),
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


def _part(name: str, config: NetworkConfig) -> str:
    if isinstance(config, MleSamConfig):
        return next(part for part, places in PARTS.items() if any(p in name for p in places))
    return 'lora' if '.experts.' in name else name.split('.')[0]


def _module(name: str) -> str:
    """The module that has no gradient: a head, a hypernetwork or a router."""
    return re.split(r'\.(?:layers|score|hidden)\.', name)[0]


def _giga(operations: int) -> float:
    return round(operations / 1e9, 3)
