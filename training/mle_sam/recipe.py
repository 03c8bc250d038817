"""A recipe: everything that a training run depends on, read from one YAML file."""

from dataclasses import dataclass, replace
from pathlib import Path

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping
import yaml

from mle_sam.config import NetworkConfig, Stage


@dataclass(frozen=True)
class DataConfig:
    """Which simulated moments are seen. A seed is a town with its own traffic and weather.

    Attributes:
        train_seeds: first and last.
        validation_seeds: first and last; none of them among the training ones.
        moments_per_seed: instants taken from each.
    """

    train_seeds: tuple[int, int]
    validation_seeds: tuple[int, int]
    moments_per_seed: int

    def __post_init__(self) -> None:
        train, validation = self.train_seeds, self.validation_seeds
        if train[1] < train[0] or validation[1] < validation[0]:
            raise InputError(
                f'data: expected seeds as first, last, got {train} and {validation}; '
                'correct the recipe'
            )
        if train[0] <= validation[1] and validation[0] <= train[1]:
            raise InputError(
                f'data: expected validation seeds never trained on, got {validation} within '
                f'{train}; correct the recipe'
            )


@dataclass(frozen=True)
class StageConfig:
    """One stage of training.

    Attributes:
        steps: optimiser steps.
        batch: moments per step.
        learning_rate: peak.
        weight_decay: of AdamW, on matrices only (public code); paper: 0.01.
        warmup_share: part of the steps with a rate that rises linearly from a tenth; paper: 0.1.
        auxiliary_weight: of the auxiliary path's loss; the paper leaves it open, ours is 1.
        keep_all: probability that a moment keeps all its modalities; else it keeps any non-empty
            subset (ours: the paper trains on all modalities only).
        jitter: camera brightness and contrast vary by up to this share.
        loss_stride: the loss sees every n-th row and column, another set each step; paper: 1.
        save_every: steps between checkpoints.
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    auxiliary_weight: float = 1.0
    keep_all: float = 0.4
    jitter: float = 0.3
    loss_stride: int = 1
    save_every: int = 200


@dataclass(frozen=True)
class Recipe:
    """A network and how it comes to be.

    Attributes:
        name: of the model.
        seed: of weights and of the order of the data.
        network: the network of the second stage.
        data: what it sees.
        trunk: first stage, everything learns, camera only: what SAM 2's authors did for the
            larger sizes.
        experts: second stage, the trunk is frozen.
    """

    name: str
    seed: int
    network: NetworkConfig
    data: DataConfig
    trunk: StageConfig
    experts: StageConfig

    def network_of(self, stage: Stage) -> NetworkConfig:
        """The network that a stage trains: the trunk stage has the first modality, no experts."""
        if stage == 'experts':
            return self.network
        first = self.network.modalities[:1]
        return replace(self.network, modalities=first, lora_rank=0, input_adapters=False)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        InputError: for a missing file, YAML that cannot be parsed, or content that does not fit.
    """
    try:
        mapping = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = ' '.join(str(error).split())
        raise InputError(f'{path}: expected a recipe in YAML, got {reason}; correct it') from error
    return from_mapping(Recipe, mapping, str(path))
