"""What a study found, and the file that keeps all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
import json
from pathlib import Path

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping

from mle_sam.datasets.opening import open_dataset
from mle_sam.scores import (
    CheckpointScores,
    Evaluation,
    read_evaluation,
    read_json,
    Score,
    write_text,
)
from mle_sam.study.conduct import is_scored
from mle_sam.study.costs import Cost
from mle_sam.study.plan import ALL, Run, Study

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Point:
    """Of a learning curve.

    Attributes:
        step: optimiser steps done.
        miou: on the part of the validation samples that training looks at.
    """

    step: int
    miou: float


@dataclass(frozen=True)
class Finding:
    """One run.

    Attributes:
        group: see `Run`.
        network: see `Run`.
        seed: of the run.
        curve: while it learnt.
        scores: of its last checkpoint, and its recipe; those of a brief evaluation are with all
            sensors only.
    """

    group: str
    network: str
    seed: int
    curve: tuple[Point, ...]
    scores: CheckpointScores

    @property
    def full(self) -> Score:
        """With every sensor that the network takes."""
        return self.scores.full

    @property
    def subsets(self) -> dict[str, Score]:
        """By what is there; the rest is dropped."""
        return self.scores.missing['drop']

    @property
    def speed(self) -> Point | None:
        """The first point with 90 % of the curve's end; None without a curve."""
        return next((p for p in self.curve if p.miou >= 0.9 * self.curve[-1].miou), None)


@dataclass(frozen=True)
class Findings:
    """What `evaluation.json` of a study holds.

    Attributes:
        schema_version: of this format; 1.
        study: what was asked.
        data: what was scored on, in a few words.
        samples: that were scored.
        train_samples: of the whole training split.
        input_hw: (height, width) that the networks see.
        classes: index = class id.
        costs: of each network.
        runs: those that are finished.
    """

    schema_version: int
    study: Study
    data: str
    samples: int
    train_samples: int
    input_hw: tuple[int, int]
    classes: tuple[str, ...]
    costs: tuple[Cost, ...]
    runs: tuple[Finding, ...]

    def of(self, group: str, network: str) -> list[Finding]:
        """The runs of a network in a group, by seed."""
        return [run for run in self.runs if (run.group, run.network) == (group, network)]


def gather(study: Study, runs: Sequence[Run], costs: tuple[Cost, ...]) -> Findings:
    """Read what the runs that are finished have left.

    Raises:
        InputError: if none is, or a file is damaged.
    """
    scored = [(run, read_evaluation(run.evaluation)) for run in runs if is_scored(run)]
    if not scored:
        raise InputError(
            f'{runs[0].directory.parents[1]}: expected finished runs, got none; train first'
        )
    evaluation = scored[0][1]
    whole = next(run.recipe for run in runs if run.group == ALL)
    return Findings(
        schema_version=SCHEMA_VERSION,
        study=study,
        data=evaluation.data_name,
        samples=evaluation.samples,
        train_samples=len(open_dataset(whole.data, whole.network, 'train')),
        input_hw=evaluation.input_hw,
        classes=evaluation.classes,
        costs=costs,
        runs=tuple(_finding(run, each) for run, each in scored),
    )


def write_findings(findings: Findings, path: Path) -> None:
    """Write `evaluation.json` of a study."""
    write_text(json.dumps(to_mapping(findings), indent=1, allow_nan=False) + '\n', path)


def read_findings(path: Path) -> Findings:
    """Read `evaluation.json` of a study.

    Raises:
        InputError: for a missing file, or content that does not fit.
    """
    mapping = read_json(path, 'what mle-sam-training study found', 'give the study')
    return from_mapping(Findings, mapping, str(path))


def _finding(run: Run, evaluation: Evaluation) -> Finding:
    (scores,) = evaluation.checkpoints
    lines = (run.directory / f'{run.stage}.jsonl').read_text().splitlines()
    points = [json.loads(line) for line in lines]
    return Finding(
        run.group,
        run.network,
        run.recipe.seed,
        tuple(Point(point['step'], point['miou']) for point in points if 'miou' in point),
        scores,
    )
