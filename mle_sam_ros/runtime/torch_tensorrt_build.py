"""Compiling a bundle's programs into TensorRT plans by Torch-TensorRT; see `build.Builder`.

It gives the same engine as `tensorrt_build`, by another way: from the programs that the torch
backend compiles, not from ONNX. Each of its releases goes with one release of torch and one of
TensorRT, so it serves where these are installed together: on servers rather than on vehicles.
"""

import inspect
import json
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime import tensorrt_build
from mle_sam_ros.runtime.build import BuildOptions, Progress
from mle_sam_ros.runtime.bundle import Bundle, Precision
from mle_sam_ros.runtime.tensorrt_engine import plan_name, TensorrtEngine
from mle_sam_ros.runtime.tensorrt_plan import names_path, Plan
from mle_sam_ros.runtime.torch_build import input_nodes, programs_of, read_program
from mle_sam_ros.runtime.torch_device import best_device
import torch
from torch.export.passes import move_to_device_pass
import torch_tensorrt


def sources(bundle: Bundle, precision: Precision) -> list[str]:
    """Names of the bundle's programs; see `build.Builder`."""
    return [program.file for program in programs_of(bundle, precision)]


def environment(options: BuildOptions) -> dict[str, str]:
    """What a plan depends on, and what compiles it; see `build.Builder`.

    Raises:
        InputError: without a GPU.
    """
    return {
        **tensorrt_build.environment(options),
        'torch': torch.__version__,
        'torch_tensorrt': torch_tensorrt.__version__,
    }


def build(bundle: Bundle, room: Path, options: BuildOptions, progress: Progress) -> dict[str, Any]:
    """Compile every program; see `build.Builder`."""
    assert options.precision is not None, 'build_key has set it'
    notes: dict[str, Any] = {}
    programs = programs_of(bundle, options.precision)
    for index, program in enumerate(programs):
        progress(f'compiling {program.graph}', index / len(programs))
        path = room / plan_name(program.graph)
        exported = read_program(bundle.path(program.file))
        path.write_bytes(_compile(exported, bundle.path(program.file), options))
        # It numbers the outputs, whatever they are called.
        names = {output: f'output{number}' for number, output in enumerate(program.outputs)}
        names |= dict(zip(program.inputs, input_nodes(exported), strict=True))
        names_path(path).write_text(json.dumps(names) + '\n', encoding='utf-8')
        plan = Plan(path, options.version_compatible)
        notes[path.name] = {'inputs': dict(plan.inputs), 'outputs': dict(plan.outputs)}
    progress('compiled', 1.0)
    return notes


def load(bundle: Bundle, directory: Path, options: BuildOptions) -> TensorrtEngine:
    """Load the plans; see `build.Builder`."""
    return tensorrt_build.load(bundle, directory, options)


def _compile(exported: torch.export.ExportedProgram, path: Path, options: BuildOptions) -> bytes:
    program = move_to_device_pass(exported, best_device().torch_device)
    assert program.example_inputs is not None, 'torch.export.save keeps them'
    try:
        plan = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
            program, arg_inputs=program.example_inputs[0], **_settings(options)
        )
    except Exception as error:  # torch's, TensorRT's, and its own
        raise InputError(
            f'{path}: expected a program that Torch-TensorRT {torch_tensorrt.__version__} can '
            f'compile, got {" ".join(str(error).split())[:200]!r}; build for tensorrt, from ONNX'
        ) from error
    return bytes(plan)


def _settings(options: BuildOptions) -> dict[str, Any]:
    """What we ask for, as far as this release knows it.

    Raises:
        InputError: for a release that would choose precisions itself, against the program.
    """
    convert = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine
    known = inspect.signature(convert).parameters
    if 'enabled_precisions' in known and 'use_explicit_typing' not in known:
        raise InputError(
            'backend: expected a Torch-TensorRT that keeps the precision of the program, got '
            f'{torch_tensorrt.__version__}; install 2.10 or later, or build for tensorrt'
        )
    settings = {
        'use_explicit_typing': True,
        'disable_tf32': True,
        'immutable_weights': not options.refittable,
        'version_compatible': options.version_compatible,
        'optimization_level': options.optimization_level,
        'workspace_size': options.workspace_bytes or 0,
    }
    return {name: value for name, value in settings.items() if name in known}
