"""Checkpoints: tensors in safetensors, everything else as JSON in their metadata."""

from dataclasses import dataclass, field
import json
import os
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping
from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
from torch import nn

from mle_sam.config import MleSamConfig, Stage
from mle_sam.models.build import build_network
from mle_sam.models.network import Network
from mle_sam.recipe import Recipe


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a training run.

    Attributes:
        recipe: of the run.
        stage: trunk or experts.
        step: optimiser steps done.
        model: state of the network.
        optimizer: AdamW's state per parameter, `<parameter>/<quantity>`.
        num_steps: optimiser steps of the whole stage.
        scaler: state of the loss scale where the precision is fp16, else empty.
        best_miou: best score on the validation samples so far, if any.
    """

    recipe: Recipe
    stage: Stage
    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    num_steps: int = 0
    scaler: dict[str, float] = field(default_factory=dict)
    best_miou: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the stage has run to its end."""
        return self.step >= self.num_steps


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint; the file is either the old one or the whole new one.

    Raises:
        InputError: where there is no space for it.
    """
    tensors = {f'model/{name}': value for name, value in checkpoint.model.items()}
    tensors |= {f'optimizer/{name}': value for name, value in checkpoint.optimizer.items()}
    progress = {
        'step': checkpoint.step,
        'num_steps': checkpoint.num_steps,
        'scaler': checkpoint.scaler,
        'best_miou': checkpoint.best_miou,
    }
    metadata = {
        'recipe': json.dumps(to_mapping(checkpoint.recipe)),
        'stage': checkpoint.stage,
        'progress': json.dumps(progress),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata)
    except SafetensorError as error:
        raise InputError(
            f'{path}: expected space for a checkpoint, got {error}; make some, and run the same '
            'command again: it goes on from the last checkpoint'
        ) from error
    with open(partial, 'rb') as file:
        os.fsync(file.fileno())  # or a power cut could leave the new name with no content
    os.replace(partial, path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: for a missing, damaged or foreign file.
    """
    try:
        with safe_open(path, framework='pt') as file:
            metadata: dict[str, Any] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        recipe = from_mapping(Recipe, _recipe_mapping(metadata), f'{path}: recipe')
        stage, progress = metadata['stage'], json.loads(metadata['progress'])
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        reason = ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected a checkpoint of mle-sam-training, got {reason}; train again'
        ) from error
    return Checkpoint(
        recipe=recipe,
        stage=stage,
        model=_under('model/', tensors),
        optimizer=_under('optimizer/', tensors),
        **progress,
    )


def _recipe_mapping(metadata: dict[str, str]) -> dict[str, Any]:
    """The recipe; the first checkpoints, which do not name their network's kind, are MLE-SAM's."""
    mapping = json.loads(metadata['recipe'])
    return {**mapping, 'network': {'kind': MleSamConfig.kind, **mapping['network']}}


def load_model(checkpoint: Checkpoint) -> Network:
    """Rebuild the network of a checkpoint, ready for evaluation."""
    model = build_network(checkpoint.recipe.network_of(checkpoint.stage))
    model.load_state_dict(checkpoint.model)
    return model.eval()


def optimizer_state(
    optimizer: torch.optim.AdamW, named: list[tuple[str, nn.Parameter]]
) -> dict[str, torch.Tensor]:
    """AdamW's state by parameter name."""
    return {
        f'{name}/{quantity}': value
        for name, parameter in named
        for quantity, value in optimizer.state[parameter].items()
    }


def restore_optimizer(
    optimizer: torch.optim.AdamW,
    named: list[tuple[str, nn.Parameter]],
    state: dict[str, torch.Tensor],
) -> None:
    """Undo `optimizer_state`."""
    parameters = dict(named)
    for key, value in state.items():
        name, quantity = key.rsplit('/', 1)
        optimizer.state[parameters[name]][quantity] = value.to(parameters[name].device)


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
