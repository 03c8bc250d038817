"""What a network costs: parameters, work, and time on a processor."""

from collections.abc import Sequence
from dataclasses import dataclass
import os
import platform
import subprocess
import sys

from mle_sam_ros.runtime.bundle import Bundle, GOLDEN_NAME
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.golden import read_golden
from mle_sam_ros.runtime.latency import measure_latency

from mle_sam.describe import count_gflop, count_parameters
from mle_sam.study.conduct import is_scored
from mle_sam.study.plan import ALL, Run


@dataclass(frozen=True)
class Cost:
    """Of one network.

    Attributes:
        network: name of its recipe.
        parameters: all of them.
        learning: those that the stage `experts` changes.
        gflop: of one frame with all sensors, see `describe`.
        latency_ms: of one frame with all sensors in ONNX Runtime, the median; None where the
            bundle was not to be had.
        machine: that it was measured on.
    """

    network: str
    parameters: int
    learning: int
    gflop: float
    latency_ms: float | None
    machine: str


def measure_costs(runs: Sequence[Run]) -> tuple[Cost, ...]:
    """Count, export and time each network, in the first of its runs with all data.

    For a quiet machine: nothing else should run.
    """
    first: dict[str, Run] = {}
    for run in runs:
        if run.group == ALL and is_scored(run):
            first.setdefault(run.network, run)
    return tuple(_cost(run) for run in first.values())


def _cost(run: Run) -> Cost:
    counts, gflop = count_parameters(run.recipe.network), count_gflop(run.recipe.network)
    machine = f'{platform.machine()}, {os.cpu_count()} processors'
    return Cost(
        run.network,
        counts['total'],
        counts['learning'],
        gflop['total'],
        _latency_ms(run),
        machine,
    )


def _latency_ms(run: Run) -> float | None:
    directory = run.directory / 'bundle'
    command = (sys.executable, '-m', 'mle_sam.cli', 'export')
    given = ('--checkpoint', run.checkpoint, '--accuracy', run.evaluation, '--out', directory)
    log = run.directory / 'export.log'
    with open(log, 'w') as file:
        done = subprocess.run([*command, *map(str, given)], stdout=file, stderr=file, check=False)
    if done.returncode:
        print(f'{run.name}: no bundle to measure, see {log}', file=sys.stderr)
        return None
    engine = open_engine(directory, 'onnx')
    bundle = Bundle.open(directory)
    rasters = read_golden(bundle.path(GOLDEN_NAME), bundle.manifest).rasters
    return measure_latency(engine, rasters, frozenset(bundle.manifest.modality_names)).p50_ms
