"""Several checkpoints scored on the same samples, by the same rules."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
import sys

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.noise import NOISES
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.runtime.bundle import sha256_of
import torch

from mle_sam.checkpoint import load_model, read_checkpoint
from mle_sam.datasets.config import Split
from mle_sam.datasets.opening import open_dataset
from mle_sam.evaluate import evaluate, Rules
from mle_sam.published import PUBLISHED
from mle_sam.recipe import Recipe
from mle_sam.scores import CheckpointScores, Evaluation, SCHEMA_VERSION


def compare(
    paths: Sequence[Path], root: Path | None, split: Split, rules: Rules, device: torch.device
) -> Evaluation:
    """Score checkpoints one after the other.

    Args:
        paths: of the checkpoints.
        root: of the data set, where it is not the recipes' own.
        split: whose samples are scored.
        rules: which of them, and how.
        device: that computes.

    Raises:
        InputError: for a wrong checkpoint or data set, or checkpoints of different data, classes
            or input sizes, which no table could compare.
    """
    recipes = [_read_recipe(path, root) for path in paths]
    _check_alike(paths, recipes)
    names = _names(paths, recipes)
    scored = [
        _score(path, name, recipe, split, rules, device)
        for path, name, recipe in zip(paths, names, recipes, strict=True)
    ]
    data, network = recipes[0].data, recipes[0].network
    return Evaluation(
        schema_version=SCHEMA_VERSION,
        protocol=rules.protocol.name,
        data=data,
        split=split,
        every=rules.every,
        samples=scored[0].full.whole.samples,
        noise_seed=rules.noise_seed,
        input_hw=network.input_hw,
        classes=tuple(item.name for item in network.classes),
        checkpoints=tuple(scored),
        published=PUBLISHED.get(data.kind) if rules.protocol.name == 'paper' else None,
    )


def _score(
    path: Path, name: str, recipe: Recipe, split: Split, rules: Rules, device: torch.device
) -> CheckpointScores:
    checkpoint = read_checkpoint(path)
    model = load_model(checkpoint).to(device)
    model.set_trainable(checkpoint.stage)
    dataset = open_dataset(recipe.data, model.config, split)
    print(f'scoring on {dataset.summary()}', file=sys.stderr)
    scores = evaluate(model, dataset, rules, device, name)
    return CheckpointScores(
        name=name,
        path=str(path),
        sha256=sha256_of(path),
        stage=checkpoint.stage,
        step=checkpoint.step,
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        recipe=to_mapping(recipe),
        modalities=model.config.modality_names,
        missing={key: scores[key] for key in rules.protocol.substitutes},
        noise={key: scores.get(key, {}) for key in NOISES},
    )


def _read_recipe(path: Path, root: Path | None) -> Recipe:
    recipe = read_checkpoint(path).recipe
    return replace(recipe, data=replace(recipe.data, root=str(root))) if root else recipe


def _names(paths: Sequence[Path], recipes: Sequence[Recipe]) -> list[str]:
    """The recipes' names; the paths where those do not tell the checkpoints apart."""
    names = [recipe.name for recipe in recipes]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _check_alike(paths: Sequence[Path], recipes: Sequence[Recipe]) -> None:
    if len(set(paths)) < len(paths):
        given = ', '.join(map(str, paths))
        raise InputError(f'checkpoint: expected each once, got {given}; name each once')
    first = _common(recipes[0])
    for path, recipe in zip(paths, recipes, strict=True):
        for field, got in _common(recipe).items():
            if got != first[field]:
                raise InputError(
                    f'{path}: expected {field} {first[field]} as {paths[0]} has, got {got}; '
                    'evaluate it by itself'
                )


def _common(recipe: Recipe) -> dict[str, object]:
    """What checkpoints of one evaluation must share."""
    return {
        'data': recipe.data,
        'input_hw': recipe.network.input_hw,
        'classes': [item.name for item in recipe.network.classes],
    }
