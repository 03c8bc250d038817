"""Starting from what others have trained: an official checkpoint of SAM, or a trunk of ours.

Whatever fits no rule of `pretrained_names` is an error, never skipped.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mle_sam_ros.core.errors import InputError
import torch

from mle_sam.checkpoint import read_checkpoint
from mle_sam.models.network import Network
from mle_sam.pretrained_names import Names

TOKEN_NOISE = 0.02  # ours: of the tokens' deviation, so that copies can part


@dataclass
class LoadReport:
    """What became of every tensor, by name; `str` makes it readable.

    Attributes:
        source: the file.
        looks_like: family and size, as far as they can be told.
        taken: as they are.
        adapted: made from one of another name or another number of masks.
        left: in the file, without use here.
        new: here, not in the file.
    """

    source: str
    looks_like: str
    taken: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f'{self.source}: {self.looks_like}']
        for fate in ('taken', 'adapted', 'left', 'new'):
            names = getattr(self, fate)
            parts = Counter(_part(name) for name in names)
            text = ', '.join(f'{part} ({count})' for part, count in parts.items())
            lines.append(f'  {fate:8}{len(names):5} tensors' + (f': {text}' if text else ''))
        return '\n'.join(lines)


def load_pretrained(model: Network, path: Path) -> LoadReport:
    """Start a network from an official checkpoint of its family, or a finished trunk of ours.

    Raises:
        InputError: for a file that is missing, damaged, of another kind or of another size.
    """
    weights = _read_trunk(path) if path.suffix == '.safetensors' else read_official(path)
    return start_from(model, weights, str(path))


def start_from(
    model: Network, weights: Mapping[str, torch.Tensor], source: str = 'trunk'
) -> LoadReport:
    """Start a network from weights with the names of its family.

    Where the number of masks differs, mask i starts as the given mask i modulo their number; its
    token gets a little noise, always the same. Input adapters start as the patch embedding.

    Args:
        model: changed in place, or not at all.
        weights: name to tensor.
        source: for the report and for errors.

    Raises:
        InputError: if anything is missing, unknown or of the wrong shape.
    """
    names = model.checkpoint_names
    weights = names.in_checkpoint(weights)
    report = LoadReport(source, f'{names.title} {names.recognise(weights)}')
    start, used, faults = {}, set(), []
    num_masks = len(weights.get(names.mask_tokens, ())) or 1
    for name, own in model.state_dict().items():
        origin = names.origin(name, num_masks)
        if names.is_new(name, weights):
            report.new.append(name)
            continue
        if origin not in weights:
            faults.append(f'{origin} is missing')
            continue
        value = _per_mask(names, origin, weights[origin], own)
        if value.shape != own.shape:
            faults.append(f'{origin} is {tuple(weights[origin].shape)}, not {tuple(own.shape)}')
        is_same = value is weights[origin] and origin == name
        (report.taken if is_same else report.adapted).append(name)
        start[name] = value
        used.add(origin)
    for name in weights.keys() - used:
        if name.startswith(names.left) or names.is_hypernetwork(name):
            report.left.append(name)
        else:
            faults.append(f'{name} is unknown')
    if faults:
        raise InputError(_complaint(report, f'{names.title} {model.config.size}', faults))
    report.left.sort()
    model.load_state_dict(start, strict=False)
    return report


def read_official(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of an official checkpoint, and nothing else.

    Those of SAM 2 are `{'model': state_dict}`, those of the first SAM the state alone.

    Raises:
        InputError: for a missing, damaged or foreign file, and for one that holds Python objects.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise InputError(
            f'{path}: expected a checkpoint of SAM, got {error.strerror or error}; '
            'correct the path'
        ) from error
    except Exception as error:  # an unpickler raises whatever the bytes make of it
        raise InputError(
            f'{path}: expected a checkpoint of SAM that holds nothing but tensors, got other '
            f'objects or a damaged file ({type(error).__name__}); download it again'
        ) from error
    weights = content.get('model', content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not _are_tensors(weights):
        keys = (
            ', '.join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        )
        raise InputError(
            f'{path}: expected a checkpoint of SAM, tensors by name, '
            f'got {keys[:200] or "nothing"}; choose an official checkpoint'
        )
    return weights


def _read_trunk(path: Path) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(path)
    if checkpoint.stage != 'trunk' or not checkpoint.is_finished:
        raise InputError(
            f'{path}: expected a finished trunk, got step {checkpoint.step} of '
            f'{checkpoint.num_steps} of stage {checkpoint.stage}; choose a trunk, or finish it'
        )
    return checkpoint.model


def _per_mask(names: Names, origin: str, given: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Cycle the rows of a tensor with one row per mask, where there are more or fewer masks."""
    if origin not in names.per_mask or len(given) == len(own):
        return given
    rows = given[torch.arange(len(own)) % len(given)]
    if origin == names.mask_tokens:
        noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
        noise[: len(given)] = 0.0
        rows = rows + TOKEN_NOISE * given.std() * noise
    return rows


def _are_tensors(weights: dict[object, object]) -> bool:
    return bool(weights) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor)
        for name, value in weights.items()
    )


def _complaint(report: LoadReport, wanted: str, faults: list[str]) -> str:
    shown = '; '.join(faults[:3]) + (f' and {len(faults) - 3} more' if len(faults) > 3 else '')
    return (
        f'{report.source}: expected the weights of {wanted}, got {report.looks_like}: {shown}; '
        'choose the file and network.size to match'
    )


def _part(name: str) -> str:
    """The module that a report counts a tensor under."""
    if '.experts.' in name:
        return 'experts'
    return '.'.join(name.split('.')[:2])
