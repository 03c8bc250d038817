"""Starting from what others have trained: an official SAM 2 / 2.1 checkpoint, or a trunk of ours.

Parameters keep their SAM 2 names, so the mapping is the identity but for what depends on the
number of classes. Whatever fits no rule below is an error, never skipped.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
import re

from mle_sam_ros.core.errors import InputError
import torch

from mle_sam.checkpoint import read_checkpoint
from mle_sam.config import SIZES
from mle_sam.model import MleSam

# One row per mask: SAM 2 has 4 masks, this network one per class and the single one.
MASK_TOKENS = 'sam_mask_decoder.mask_tokens.weight'
ROWS_PER_MASK = (
    MASK_TOKENS,
    'sam_mask_decoder.iou_prediction_head.layers.2.weight',
    'sam_mask_decoder.iou_prediction_head.layers.2.bias',
)
HYPERNETWORK = re.compile(r'(sam_mask_decoder\.output_hypernetworks_mlps\.)(\d+)(\..+)')
INPUT_ADAPTER = re.compile(r'image_encoder\.input_adapters\.[^.]+\.')
TOKEN_NOISE = 0.02  # ours: of the tokens' deviation, so that copies can part

# Nothing in the file stands for these: they start as they were initialised.
NEW = ('fusion.',)
# SAM 2's memory, clicks and object pointers, and the heads that another network has more of.
LEFT = (
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


@dataclass
class LoadReport:
    """What became of every tensor, by name; `str` makes it readable.

    Attributes:
        source: the file.
        size: that it looks like.
        taken: as they are.
        adapted: made from one of another name or another number of masks.
        left: in the file, without use here.
        new: here, not in the file.
    """

    source: str
    size: str
    taken: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f'{self.source}: SAM 2 {self.size}']
        for fate in ('taken', 'adapted', 'left', 'new'):
            names = getattr(self, fate)
            parts = Counter(_part(name) for name in names)
            text = ', '.join(f'{part} ({count})' for part, count in parts.items())
            lines.append(f'  {fate:8}{len(names):5} tensors' + (f': {text}' if text else ''))
        return '\n'.join(lines)


def load_pretrained(model: MleSam, path: Path) -> LoadReport:
    """Start a network from an official `.pt` of SAM 2 or 2.1, or a finished trunk of ours.

    Raises:
        InputError: for a file that is missing, damaged, of another kind or of another size.
    """
    weights = _read_trunk(path) if path.suffix == '.safetensors' else read_official(path)
    return start_from(model, weights, str(path))


def start_from(
    model: MleSam, weights: Mapping[str, torch.Tensor], source: str = 'trunk'
) -> LoadReport:
    """Start a network from weights with SAM 2's names.

    Where the number of masks differs, mask i starts as the given mask i modulo their number; its
    token gets a little noise, always the same. Input adapters start as the patch embedding.

    Args:
        model: changed in place, or not at all.
        weights: name to tensor.
        source: for the report and for errors.

    Raises:
        InputError: if anything is missing, unknown or of the wrong shape.
    """
    report = LoadReport(source, recognise(weights))
    start, faults = {}, []
    num_masks = len(weights.get(MASK_TOKENS, ())) or 1
    for name, own in model.state_dict().items():
        origin = _origin(name, num_masks)
        if _is_new(name, weights):
            report.new.append(name)
            continue
        if origin not in weights:
            faults.append(f'{origin} is missing')
            continue
        value = _per_mask(name, weights[origin], own)
        if value.shape != own.shape:
            faults.append(f'{origin} is {tuple(weights[origin].shape)}, not {tuple(own.shape)}')
        is_same = value is weights[origin] and origin == name
        (report.taken if is_same else report.adapted).append(name)
        start[name] = value
    used = {_origin(name, num_masks) for name in start}
    for name in weights.keys() - used:
        if name.startswith(LEFT) or HYPERNETWORK.fullmatch(name):
            report.left.append(name)
        else:
            faults.append(f'{name} is unknown')
    if faults:
        raise InputError(_complaint(source, model.config.size, report.size, faults))
    report.left.sort()
    model.load_state_dict(start, strict=False)
    return report


def read_official(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of an official checkpoint, `{'model': state_dict}`, and nothing else.

    Raises:
        InputError: for a missing, damaged or foreign file, and for one that holds Python objects.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise InputError(
            f'{path}: expected a checkpoint of SAM 2, got {error.strerror or error}; '
            'correct the path'
        ) from error
    except Exception as error:  # an unpickler raises whatever the bytes make of it
        raise InputError(
            f'{path}: expected a checkpoint of SAM 2 that holds nothing but tensors, got other '
            f'objects or a damaged file ({type(error).__name__}); download it again'
        ) from error
    weights = content.get('model') if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not _are_tensors(weights):
        keys = (
            ', '.join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        )
        raise InputError(
            f"{path}: expected a checkpoint of SAM 2, {{'model': tensors by name}}, "
            f'got {keys[:200] or "nothing"}; choose an official checkpoint'
        )
    return weights


def recognise(weights: Mapping[str, torch.Tensor]) -> str:
    """The size that weights look like, or their width and depth where no size has them."""
    embedding = weights.get('image_encoder.trunk.patch_embed.proj.bias')
    prefix = 'image_encoder.trunk.blocks.'
    blocks = {name.split('.')[3] for name in weights if name.startswith(prefix)}
    width = 0 if embedding is None else len(embedding)
    for name, size in SIZES.items():
        if (size.embed_dim, sum(size.stages)) == (width, len(blocks)):
            return name
    return f'of an unknown size ({width} channels, {len(blocks)} blocks)'


def _read_trunk(path: Path) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(path)
    if checkpoint.stage != 'trunk' or not checkpoint.is_finished:
        raise InputError(
            f'{path}: expected a finished trunk, got step {checkpoint.step} of '
            f'{checkpoint.num_steps} of stage {checkpoint.stage}; choose a trunk, or finish it'
        )
    return checkpoint.model


def _origin(name: str, num_masks: int) -> str:
    """The name in the file that a tensor starts from."""
    hypernetwork = HYPERNETWORK.fullmatch(name)
    if hypernetwork:
        prefix, index, rest = hypernetwork.groups()
        return f'{prefix}{int(index) % num_masks}{rest}'
    return INPUT_ADAPTER.sub('image_encoder.trunk.patch_embed.', name)


def _is_new(name: str, weights: Mapping[str, torch.Tensor]) -> bool:
    if name.startswith('auxiliary_head.'):
        return not any(other.startswith('auxiliary_head.') for other in weights)
    return name.startswith(NEW) or '.experts.' in name


def _per_mask(name: str, given: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Cycle the rows of a tensor with one row per mask, where there are more or fewer masks."""
    if name not in ROWS_PER_MASK or len(given) == len(own):
        return given
    rows = given[torch.arange(len(own)) % len(given)]
    if name == MASK_TOKENS:
        noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
        noise[: len(given)] = 0.0
        rows = rows + TOKEN_NOISE * given.std() * noise
    return rows


def _are_tensors(weights: dict[object, object]) -> bool:
    return bool(weights) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor)
        for name, value in weights.items()
    )


def _complaint(source: str, wanted: str, looks: str, faults: list[str]) -> str:
    shown = '; '.join(faults[:3]) + (f' and {len(faults) - 3} more' if len(faults) > 3 else '')
    return (
        f'{source}: expected the weights of SAM 2 {wanted}, got SAM 2 {looks}: {shown}; '
        'choose the file and network.size to match'
    )


def _part(name: str) -> str:
    """The module that a report counts a tensor under."""
    if '.experts.' in name:
        return 'experts'
    return '.'.join(name.split('.')[:2])
