"""A recipe: everything that a training run depends on, read from YAML."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
import math
from pathlib import Path
import re
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping
import yaml

from mle_sam.ad_sam_config import AdSamConfig
from mle_sam.cmnext_config import CmnextConfig
from mle_sam.config import MleSamConfig, NetworkConfig, Stage
from mle_sam.datasets.augmentation import AugmentationConfig
from mle_sam.datasets.config import DataConfig
from mle_sam.embedding_cache import EmbeddingCacheConfig
from mle_sam.losses.terms import LOSSES
from mle_sam.vit_config import CwsamConfig, SamLoraConfig, TsSamConfig

PRECISIONS = ('fp32', 'bf16', 'fp16')
# Told apart by their kind.
Networks = MleSamConfig | SamLoraConfig | CwsamConfig | TsSamConfig | AdSamConfig | CmnextConfig


@dataclass(frozen=True)
class StageConfig:
    """One stage of training.

    Attributes:
        batch: samples per step, over all workers and micro-batches.
        learning_rate: peak; the paper leaves it open.
        steps: optimiser steps; or
        epochs: how often every sample is seen; paper: 100.
        samples: of the training split, evenly spread over it; None for all.
        accumulate: micro-batches that a worker's share of a batch is cut into, one after the
            other. The loss picks its hard pixels within each.
        precision: fp32, or what autocast computes the network in: bf16 or fp16, the latter with a
            scaled loss.
        weight_decay: of AdamW, on matrices only (public code); paper: 0.01.
        warmup_share: part of the steps with a rate that rises linearly from a tenth; paper: 0.1.
        loss: names of `losses.terms.LOSSES` to their weights; paper: ohem alone. AD-SAM: focal
            0.4, dice 0.3, lovasz 0.2, surface 0.1. TS-SAM: binary_cross_entropy 1, soft_iou 1.
        auxiliary_weight: of the auxiliary path's loss; the paper leaves it open, ours is 1.
        clip_norm: longest gradient (ours), 0 for any.
        keep_all: probability that a sample keeps all its modalities; else it keeps any non-empty
            subset (ours; the paper: 1, all modalities always).
        loss_stride: the loss sees every n-th row and column, another set each step; paper: 1.
        save_every: steps between checkpoints.
        validate_every: steps between scores on the validation samples, 0 for none.
        validate_samples: of the validation split, evenly spread over it; None for all.
        augmentation: how samples vary.
        embedding_cache: what the frozen encoder says is kept on disk, where nothing adapts it
            (AD-SAM) and `augmentation` leaves few variants of a sample (flip, blur).
    """

    batch: int
    learning_rate: float
    steps: int | None = None
    epochs: float | None = None
    samples: int | None = None
    accumulate: int = 1
    precision: str = 'fp32'
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    loss: dict[str, float] = field(default_factory=lambda: {'ohem': 1.0})
    auxiliary_weight: float = 1.0
    clip_norm: float = 1.0
    keep_all: float = 1.0
    loss_stride: int = 1
    save_every: int = 200
    validate_every: int = 0
    validate_samples: int | None = None
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    embedding_cache: EmbeddingCacheConfig | None = None

    def __post_init__(self) -> None:
        length = (self.steps, self.epochs)
        if (self.steps is None) == (self.epochs is None):
            raise InputError(
                f'stage: expected either steps or epochs, got {length}; correct the recipe'
            )
        rules = (
            ('steps', self.steps is None or self.steps > 0, 'a positive number'),
            ('epochs', self.epochs is None or self.epochs > 0, 'a positive number'),
            ('batch', self.batch > 0, 'a positive number'),
            ('learning_rate', self.learning_rate > 0, 'a positive number'),
            (
                'accumulate',
                self.accumulate > 0 and self.batch % self.accumulate == 0,
                f'a divisor of batch {self.batch}',
            ),
            ('precision', self.precision in PRECISIONS, f'one of {", ".join(PRECISIONS)}'),
            ('weight_decay', self.weight_decay >= 0, '0 or more'),
            ('warmup_share', 0 <= self.warmup_share < 1, 'a share from 0 to below 1'),
            (
                'loss',
                bool(self.loss) and all(n in LOSSES and w > 0 for n, w in self.loss.items()),
                f'positive weights of some of {", ".join(LOSSES)}',
            ),
            ('auxiliary_weight', self.auxiliary_weight >= 0, '0 or more'),
            ('clip_norm', self.clip_norm >= 0, '0 or more'),
            ('keep_all', 0 <= self.keep_all <= 1, 'a probability'),
            ('loss_stride', self.loss_stride > 0, 'a positive number'),
            ('save_every', self.save_every > 0, 'a positive number'),
            ('validate_every', self.validate_every >= 0, '0 or more'),
            *(
                (name, getattr(self, name) is None or getattr(self, name) > 0, 'a positive number')
                for name in ('samples', 'validate_samples')
            ),
        )
        for name, is_met, expected in rules:
            if not is_met:
                raise InputError(
                    f'stage.{name}: expected {expected}, got {getattr(self, name)}; '
                    'correct the recipe'
                )
        if self.embedding_cache and self.augmentation.num_variants is None:
            raise InputError(
                'stage.embedding_cache: expected augmentation that lets the same images come '
                f'again, scale [1.0, 1.0] and jitter 0, got scale {list(self.augmentation.scale)} '
                f'and jitter {self.augmentation.jitter}; correct it, or leave out embedding_cache'
            )

    def num_steps(self, num_samples: int) -> int:
        """Optimiser steps on a training split of a size."""
        if self.steps is not None:
            return self.steps
        return math.ceil(self.epochs * num_samples / self.batch)


@dataclass(frozen=True)
class Recipe:
    """A network and how it comes to be.

    Attributes:
        name: of the model.
        seed: of weights and of the order of the data.
        network: the network of the experts stage.
        data: what it sees.
        experts: the stage of the paper; SAM 2's own weights are frozen.
        trunk: a stage before, where everything learns, from the camera only: what SAM 2's authors
            did for the larger sizes. Or
        pretrained: the file that experts start from: an official checkpoint of SAM 2 or 2.1, or
            a finished trunk.
    """

    name: str
    seed: int
    network: Networks
    data: DataConfig
    experts: StageConfig
    trunk: StageConfig | None = None
    pretrained: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ('trunk', 'pretrained') if getattr(self, name) is not None]
        if len(given) != self.network.has_frozen_part:
            expected = 'one of the two' if self.network.has_frozen_part else 'neither'
            raise InputError(
                f'trunk, pretrained: expected {expected} for a network of kind '
                f'{self.network.kind}, got {" and ".join(given) or "neither"}; correct the recipe'
            )
        for stage in self.stages:
            network = self.network_of(stage)
            if self.stage(stage).embedding_cache and not network.has_frozen_embedding:
                raise InputError(
                    f'{stage}.embedding_cache: expected a network with an encoder that nothing '
                    f'changes, which is that of ad_sam in the stage experts, got {network.kind}; '
                    'leave it out'
                )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """In the order in which they are trained."""
        return ('experts',) if self.trunk is None else ('trunk', 'experts')

    def stage(self, stage: Stage) -> StageConfig:
        """What the recipe says of a stage.

        Raises:
            InputError: if the recipe has no such stage.
        """
        if stage not in self.stages:
            raise InputError(
                f'recipe {self.name}: expected one of the stages {", ".join(self.stages)}, got '
                f'{stage}; it starts from {self.pretrained}'
            )
        return self.trunk if stage == 'trunk' else self.experts

    def network_of(self, stage: Stage) -> NetworkConfig:
        """The network that a stage trains: the trunk stage has the first modality, no experts."""
        return self.network if stage == 'experts' else self.network.trunk()

    def with_modalities(self, names: Sequence[str]) -> 'Recipe':
        """The recipe for a part of its modalities, in the recipe's order.

        Raises:
            InputError: for a modality that the recipe lacks.
        """
        known = self.network.modality_names
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(
                f'recipe {self.name}: expected modalities among {", ".join(known)}, got '
                f'{", ".join(unknown)}; name others'
            )
        return replace(self, network=self.network.with_modalities(names))


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    `extends` names another file, relative to this one, whose content this one changes: mappings
    are merged, however deep, and everything else is replaced.

    Raises:
        InputError: for a missing file, YAML that cannot be parsed, recipes that extend each other
            in a circle, or content that does not fit; it names file and field.
    """
    mapping: Mapping[str, Any] = {}
    for ancestor in _lineage(path):
        mapping = _merged(ancestor, mapping)
    try:
        return from_mapping(Recipe, mapping, str(path))
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f'{path}: {error}') from error


class _Loader(yaml.SafeLoader):
    """Takes 1e-4 for a number, as YAML 1.2 does; YAML 1.1 wants it to be 1.0e-4."""


_Loader.add_implicit_resolver(
    'tag:yaml.org,2002:float', re.compile(r'[-+]?\d+(\.\d*)?[eE][-+]?\d+$'), [*'+-0123456789']
)


def _lineage(path: Path) -> Iterator[dict[str, Any]]:
    """The content of a recipe, then of what it extends, and so on."""
    seen: list[Path] = []
    while path.resolve() not in seen:
        seen.append(path.resolve())
        mapping = read_mapping(path)
        parent = mapping.pop('extends', None)
        yield mapping
        if parent is None:
            return
        if not isinstance(parent, str):
            raise InputError(f'{path}: extends: expected a path, got {parent!r}; correct it')
        path = path.parent / parent
    circle = ' -> '.join(str(each) for each in (*seen, path))
    raise InputError(f'{path}: expected recipes that extend others, got a circle {circle}; cut it')


def read_mapping(path: Path) -> dict[str, Any]:
    """Read the mapping that a YAML file holds.

    Raises:
        InputError: for a missing file, YAML that cannot be parsed, or something else in it.
    """
    try:
        mapping = yaml.load(path.read_text(), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = ' '.join(str(error).split())
        raise InputError(f'{path}: expected a recipe in YAML, got {reason}; correct it') from error
    if not isinstance(mapping, dict):
        raise InputError(
            f'{path}: expected a mapping, got {type(mapping).__name__}; see training/recipes'
        )
    return mapping


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the changes made to it."""
    merged = {**base, **change}
    for key in base.keys() & change.keys():
        if isinstance(base[key], Mapping) and isinstance(change[key], Mapping):
            merged[key] = _merged(base[key], change[key])
    return merged
