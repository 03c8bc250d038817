"""What an evaluation found, and the file `evaluation.json` that keeps all of it."""

from dataclasses import dataclass
import json
import os
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping

from mle_sam.datasets.config import DataConfig, DriveData
from mle_sam.published import PUBLISHED, Published

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Mean:
    """Mean IoU over some samples, 0 to 1, by both rules.

    Attributes:
        over_all: over all classes; one that is in neither truth nor prediction counts 0.
        over_present: over the classes that are in either; None without any.
        samples: how many.
    """

    over_all: float
    over_present: float | None
    samples: int


@dataclass(frozen=True)
class Score:
    """One network under one circumstance.

    Attributes:
        whole: over all samples, from one confusion matrix.
        iou: by class; None where neither truth nor prediction has it.
        conditions: by weather and light.
        failures: by what failed.
    """

    whole: Mean
    iou: dict[str, float | None]
    conditions: dict[str, Mean]
    failures: dict[str, Mean]


@dataclass(frozen=True)
class CheckpointScores:
    """One checkpoint.

    Attributes:
        name: in the tables; unique.
        path: as it was given.
        sha256: of the file.
        stage: trunk or experts.
        step: optimiser steps done.
        trainable: number of parameters that this stage trains.
        recipe: the resolved recipe.
        modalities: those of its network.
        missing: by substitute (zero, drop) and by what is there (`camera+lidar`), every subset.
        noise: by kind (gaussian, uniform) and by the one modality that is noisy.
    """

    name: str
    path: str
    sha256: str
    stage: str
    step: int
    trainable: int
    recipe: dict[str, Any]
    modalities: tuple[str, ...]
    missing: dict[str, dict[str, Score]]
    noise: dict[str, dict[str, Score]]

    @property
    def full_set(self) -> str:
        """The name of the subset that is all."""
        return '+'.join(self.modalities)

    @property
    def full(self) -> Score:
        """With every modality that the samples have."""
        return next(iter(self.missing.values()))[self.full_set]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluation.json` holds.

    Attributes:
        schema_version: of this format; 1.
        protocol: a key of `PROTOCOLS`.
        data: the data set.
        split: of it.
        every: each n-th sample was scored.
        samples: that were scored.
        noise_seed: of the noise.
        input_hw: (height, width) that the networks see.
        classes: index = class id.
        checkpoints: in the order given.
        published: what the paper says of this data set, for the protocol `paper`.
    """

    schema_version: int
    protocol: str
    data: DataConfig
    split: str
    every: int
    samples: int
    noise_seed: int
    input_hw: tuple[int, int]
    classes: tuple[str, ...]
    checkpoints: tuple[CheckpointScores, ...]
    published: Published | None

    @property
    def data_name(self) -> str:
        """The data set in a few words."""
        data = self.data
        if not isinstance(data, DriveData):
            return PUBLISHED[data.kind].name
        parts = []
        if data.validation_seeds:
            parts.append('drives of seeds {} to {}'.format(*data.validation_seeds))
        if data.validation_bags:
            parts.append(f'{len(data.validation_bags)} recordings')
        return ' and '.join(parts)


def make_directory(path: Path) -> None:
    """Make a directory for results, where there is none yet.

    Raises:
        InputError: if that cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f'{path}: expected a directory that can be written, got {error.strerror}; '
            'choose another one'
        ) from None


def write_text(text: str, path: Path) -> None:
    """Write a file; it is either the old one or the whole new one."""
    partial = path.with_name(f'{path.name}.partial')
    partial.write_text(text)
    os.replace(partial, path)


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write `evaluation.json`."""
    write_text(json.dumps(to_mapping(evaluation), indent=2, allow_nan=False) + '\n', path)


def read_evaluation(path: Path) -> Evaluation:
    """Read `evaluation.json`.

    Raises:
        InputError: for a missing file, or content that does not fit.
    """
    source = 'the evaluation.json of mle-sam-training evaluate'
    mapping = read_json(path, source, 'evaluate first')
    version = mapping.get('schema_version') if isinstance(mapping, dict) else None
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise InputError(
            f'{path}: expected schema_version {SCHEMA_VERSION}, got {version}; evaluate again'
        )
    return from_mapping(Evaluation, mapping, str(path))


def read_json(path: Path, expected: str, remedy: str) -> Any:
    """Read a file of results.

    Args:
        path: of the file.
        expected: what it is, for the error.
        remedy: how to come by it.

    Raises:
        InputError: for a missing file, or one that is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f'{path}: expected {expected}, got {error}; {remedy}') from error
