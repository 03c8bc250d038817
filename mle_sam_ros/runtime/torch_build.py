"""Compiling a bundle with torch's ahead-of-time compiler, for the GPU here or the processor.

A bundle that can be compiled so carries programs, as `torch.export` writes them, beside its ONNX
graphs: `mle-sam-training export --programs`. See `build.Builder` for what this module offers.

Loading a program or a package may run code that it holds. Both happen only after their hashes were
compared, which proves that they are what was exported and built, not that who did so is honest: as
with any program, take bundles only from those you trust.
"""

from collections.abc import Iterable
from dataclasses import dataclass
import json
from pathlib import Path
import platform
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import BuildOptions, Progress
from mle_sam_ros.runtime.bundle import ALL_ENCODERS, Bundle, FUSE_DECODE, graph_file, Precision
from mle_sam_ros.runtime.contract import FEATURE_NAMES, raster_input, Signature
from mle_sam_ros.runtime.torch_device import best_device, cuda_driver
from mle_sam_ros.runtime.torch_engine import (
    package_name,
    SIGNATURES_NAME,
    TorchEngine,
)
import torch
from torch._inductor.utils import fresh_cache
from torch.export.passes import move_to_device_pass

ANSWERS = ('label_map', 'confidence', 'router_weights')


@dataclass(frozen=True)
class Program:
    """A graph as a file of a bundle; what its inputs and outputs are called, in their order."""

    graph: str
    file: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def program_name(graph: str, precision: Precision = 'fp32') -> str:
    """File name of a graph's program."""
    return Path(graph_file(graph, precision)).with_suffix('.pt2').name


def sources(bundle: Bundle, precision: Precision) -> list[str]:
    """Names of the bundle's programs; see `build.Builder`."""
    return [program.file for program in programs_of(bundle, precision)]


def environment(options: BuildOptions) -> dict[str, str]:
    """What compiled code depends on; see `build.Builder`.

    Raises:
        InputError: for options of TensorRT alone.
    """
    for name in ('refittable', 'version_compatible', 'workspace_bytes'):
        if value := getattr(options, name):
            raise InputError(
                f'{name}: expected none for torch, got {value}; leave it out or build for tensorrt'
            )
    facts = {'torch': torch.__version__, 'device': best_device().name}
    if torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        return {
            **facts,
            'compute_capability': f'{major}.{minor}',
            'cuda': str(torch.version.cuda),
            'driver': str(cuda_driver()),
        }
    capability = torch.backends.cpu.get_cpu_capability()
    return {**facts, 'machine': platform.machine(), 'instructions': capability}


def build(bundle: Bundle, room: Path, options: BuildOptions, progress: Progress) -> dict[str, Any]:
    """Compile the programs of a bundle; see `build.Builder`.

    What the compiler leaves beside its packages is shared by the graphs of one build, most of
    which ask for the same kernels, and removed with it.
    """
    programs = programs_of(bundle, _precision(options))
    notes: dict[str, Any] = {}
    with fresh_cache():
        for index, program in enumerate(programs):
            progress(program.graph, index / len(programs))
            path, package = bundle.path(program.file), package_name(program.graph)
            exported = read_program(path)
            ports = signature(exported, program)
            notes[package] = dict(zip(('inputs', 'outputs'), ports, strict=True))
            _compile(exported, path, room / package, options)
    (room / SIGNATURES_NAME).write_text(json.dumps(notes, indent=2) + '\n', encoding='utf-8')
    progress('compiled', 1.0)
    return notes


def load(bundle: Bundle, directory: Path, options: BuildOptions) -> TorchEngine:
    """Load what `build` wrote; see `build.Builder`."""
    return TorchEngine(bundle, directory, _precision(options))


def signature(
    exported: torch.export.ExportedProgram, program: Program
) -> tuple[Signature, Signature]:
    """Shape and dtype by name of what goes into a program, and of what comes out."""
    nodes = {node.name: node.meta.get('val') for node in exported.graph.nodes}
    names_out = map(str, exported.graph_signature.user_outputs)

    def of(names: Iterable[tuple[str, str]]) -> Signature:
        return {
            name: (tuple(nodes[node].shape), str(nodes[node].dtype).removeprefix('torch.'))
            for name, node in names
        }

    nodes_in = input_nodes(exported)
    # Some networks have fewer levels of features; what comes behind them stays the last.
    names_in = (*program.inputs[: len(nodes_in) - 1], program.inputs[-1])
    inputs = of(zip(names_in, nodes_in, strict=False))
    return inputs, of(zip(program.outputs, names_out, strict=False))


def input_nodes(exported: torch.export.ExportedProgram) -> list[str]:
    """What a program itself calls its inputs."""
    return [str(name) for name in exported.graph_signature.user_inputs]


def programs_of(bundle: Bundle, precision: Precision) -> list[Program]:
    """The program of every graph."""
    ports = {
        ALL_ENCODERS: (tuple(map(raster_input, bundle.manifest.modality_names)), FEATURE_NAMES),
        FUSE_DECODE: ((*FEATURE_NAMES, 'present'), ANSWERS),
    }
    files = bundle.graphs(lambda graph: program_name(graph, precision))
    return [
        Program(graph, file, *ports.get(graph, (('raster',), FEATURE_NAMES)))
        for graph, file in files.items()
    ]


def _compile(
    program: torch.export.ExportedProgram, source: Path, package: Path, options: BuildOptions
) -> None:
    device, level = best_device().torch_device, options.optimization_level
    # Without a GPU there is nothing to try out: one kernel does for each product.
    is_patient = device.type == 'cuda' and (level is None or level >= 3)
    try:
        torch._inductor.aoti_compile_and_package(
            move_to_device_pass(program, device),
            package_path=str(package),
            inductor_configs={'max_autotune': is_patient},
        )
    except Exception as error:  # compilers of three kinds are at work here
        raise InputError(
            f'{source}: expected a program that torch {torch.__version__} can compile, got '
            f'{" ".join(str(error).split())[:200]!r}; it needs a C++ compiler, and on a GPU '
            'triton; or export the bundle again with this release'
        ) from error


def read_program(path: Path) -> torch.export.ExportedProgram:
    """Read a program of a bundle, whose hash was verified.

    Raises:
        InputError: for a file that is none.
    """
    try:
        return torch.export.load(path)
    except Exception as error:  # whatever a broken archive makes the reader raise
        raise InputError(
            f'{path}: expected a program that torch {torch.__version__} can load, got '
            f'{" ".join(str(error).split())[:100]!r}; export the bundle again with this release'
        ) from None


def _precision(options: BuildOptions) -> Precision:
    assert options.precision is not None, 'build_key has set it'
    return options.precision
