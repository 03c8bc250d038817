"""What a study trains: each network of several recipes under several circumstances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping

from mle_sam.config import Stage
from mle_sam.datasets.config import DriveData
from mle_sam.recipe import read_mapping, read_recipe, Recipe

ALL = 'all'
VARIANT = 'variant'


@dataclass(frozen=True)
class Study:
    """What is asked of the networks, read from YAML.

    Attributes:
        networks: recipes beside the file; each network is known by its recipe's name.
        seeds: of the runs with all that the recipes say; the first one is that of all others.
        condition: light or weather of the only training samples of one run more, the frozen part
            included; where the networks are good in other conditions then, they have kept what
            they learnt in this one.
        samples: how many training samples the stage `experts` of other runs has.
        rates: learning rates of that stage in other runs, to see that nobody lost by its own.
        variants: recipes beside the file that are trained once, with all that they say.
    """

    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    condition: str
    samples: tuple[int, ...]
    rates: tuple[float, ...] = ()
    variants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ('networks', 'seeds'):
            given = getattr(self, name)
            if not given or len(set(given)) < len(given):
                raise InputError(
                    f'{name}: expected at least one, each once, got {list(given)}; correct it'
                )


@dataclass(frozen=True)
class Run:
    """One stage of one network.

    Attributes:
        group: what the run is for: `trunk`, `all`, a condition, `samples_100`, `rate_0.0003`,
            `variant`.
        network: name of its recipe; of a trunk, kind of the network.
        recipe: all of it, with the run's own seed, samples and start.
        stage: that is trained.
        directory: of the run.
    """

    group: str
    network: str
    recipe: Recipe
    stage: Stage
    directory: Path

    @property
    def name(self) -> str:
        """For people."""
        return f'{self.directory.parent.name}/{self.directory.name}'

    @property
    def checkpoint(self) -> Path:
        """Where it ends."""
        return self.directory / f'{self.stage}.safetensors'

    @property
    def evaluation(self) -> Path | None:
        """Where its scores are; trunks are not scored."""
        return None if self.stage == 'trunk' else self.directory / 'evaluation.json'

    @property
    def is_brief(self) -> bool:
        """Whether scores with all sensors are enough."""
        return self.group != ALL


def read_study(path: Path) -> tuple[Study, list[Recipe]]:
    """Read a study and its recipes: those of the networks, then the variants.

    Raises:
        InputError: for a file that is missing or does not fit, or recipes of equal names, or of
            other data than drives.
    """
    study = from_mapping(Study, read_mapping(path), str(path))
    paths = [path.parent / name for name in (*study.networks, *study.variants)]
    recipes = [read_recipe(each) for each in paths]
    names = [recipe.name for recipe in recipes]
    if len(set(names)) < len(names):
        raise InputError(f'{path}: expected recipes of different names, got {names}; rename one')
    for each, recipe in zip(paths, recipes, strict=True):
        if not isinstance(recipe.data, DriveData):
            raise InputError(
                f'{each}: expected data of kind drives, got {recipe.data.kind}; a study leaves '
                'out samples by light and weather'
            )
    return study, recipes


def plan(study: Study, recipes: Sequence[Recipe], root: Path) -> list[Run]:
    """All runs, in the order in which they are worth having, each after what it starts from.

    Networks with the same trunk, trained alike, share it.

    Args:
        study: what is asked.
        recipes: of the networks, then the variants.
        root: directory of all runs.

    Raises:
        InputError: for trunks of the same kind that are not alike.
    """
    runs: dict[Path, Run] = {}
    for group, recipe in _variants(study, recipes):
        if recipe.trunk is not None:
            trunk = _trunk(recipe, study.seeds[0], root)
            _check_alike(runs.setdefault(trunk.directory, trunk), recipe)
            recipe = replace(recipe, trunk=None, pretrained=str(trunk.checkpoint))
        directory = root / group / f'{recipe.name}_{recipe.seed}'
        runs[directory] = Run(group, recipe.name, recipe, 'experts', directory)
    return list(runs.values())


def _variants(study: Study, recipes: Sequence[Recipe]) -> Iterator[tuple[str, Recipe]]:
    """Groups, and the recipes in them."""
    count = len(study.networks)
    for seed in study.seeds:
        yield from ((ALL, replace(recipe, seed=seed)) for recipe in recipes[:count])
    first = [replace(recipe, seed=study.seeds[0]) for recipe in recipes]
    for recipe in first[:count]:
        data = replace(recipe.data, train_conditions=(study.condition,))
        yield study.condition, replace(recipe, data=data)
    for samples in study.samples:
        group = f'samples_{samples}'
        yield from ((group, _with_experts(each, samples=samples)) for each in first[:count])
    yield from ((VARIANT, recipe) for recipe in first[count:])
    for rate in study.rates:
        group = f'rate_{rate:g}'
        yield from ((group, _with_experts(each, learning_rate=rate)) for each in first[:count])


def _with_experts(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, experts=replace(recipe.experts, **changes))


def _trunk(recipe: Recipe, seed: int, root: Path) -> Run:
    group = '_'.join(['trunk', *(recipe.data.train_conditions or ())])
    kind = recipe.network.trunk().kind
    return Run(group, kind, replace(recipe, seed=seed), 'trunk', root / group / kind)


def _check_alike(trunk: Run, recipe: Recipe) -> None:
    wanted = (recipe.network.trunk(), recipe.trunk, recipe.data)
    if (trunk.recipe.network.trunk(), trunk.recipe.trunk, trunk.recipe.data) != wanted:
        raise InputError(
            f'recipe {recipe.name}: expected the trunk of recipe {trunk.recipe.name}, which is of '
            f'the same kind {trunk.network}, got another one; make them alike'
        )
