"""What a network costs: parameters, work, and time on a processor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
import os
import platform
import subprocess
import sys

from mle_sam_ros.runtime.bundle import Bundle, GOLDEN_NAME
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.golden import read_golden
from mle_sam_ros.runtime.latency import measure_latency
import torch
from torch.utils.flop_counter import FlopCounterMode

from mle_sam.config import NetworkConfig
from mle_sam.models.build import build_network
from mle_sam.study.plan import ALL, Run


@dataclass(frozen=True)
class Cost:
    """Of one network.

    Attributes:
        network: name of its recipe.
        parameters: all of them.
        trainable: those that the stage `experts` trains.
        gflop: of one frame with all sensors, a multiplication and an addition counted as two.
        latency_ms: of one frame with all sensors in ONNX Runtime, the median; None where the
            bundle was not to be had.
        machine: that it was measured on.
    """

    network: str
    parameters: int
    trainable: int
    gflop: float
    latency_ms: float | None
    machine: str


def measure_costs(runs: Sequence[Run]) -> tuple[Cost, ...]:
    """Count, export and time each network, in the first of its runs with all data.

    For a quiet machine: nothing else should run.
    """
    first: dict[str, Run] = {}
    for run in runs:
        if run.group == ALL and run.checkpoint.exists():
            first.setdefault(run.network, run)
    return tuple(_cost(run) for run in first.values())


def count_parameters(config: NetworkConfig) -> tuple[int, int]:
    """All, and those that the stage `experts` trains."""
    model = build_network(config)
    model.set_trainable('experts')
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in counts), sum(n for n, is_trained in counts if is_trained)


@torch.inference_mode()
def count_gflop(config: NetworkConfig) -> float:
    """The work of one frame with all sensors: convolutions, matrix products and attention."""
    if getattr(config, 'lora_rank', 0):
        config = replace(config, lora_rank=0)  # merged for use
    model = build_network(config).eval().to('meta')
    raster = torch.empty(1, *config.input_hw, 3, device='meta')
    present = torch.ones(1, len(config.modalities), dtype=torch.bool, device='meta')
    with FlopCounterMode(display=False) as counter:
        encoded = [model.encode(raster, name) for name in config.modality_names]
        levels = [torch.stack(level) for level in zip(*encoded, strict=True)]
        model.logits(model.decode(levels, present))
    return round(counter.get_total_flops() / 1e9, 3)


def _cost(run: Run) -> Cost:
    parameters, trainable = count_parameters(run.recipe.network)
    gflop = count_gflop(run.recipe.network)
    machine = f'{platform.machine()}, {os.cpu_count()} processors'
    return Cost(run.network, parameters, trainable, gflop, _latency_ms(run), machine)


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
