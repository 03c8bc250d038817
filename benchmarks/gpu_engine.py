"""The engine that vehicles run, built from a random network: a form like the others, but whole."""

from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
from pathlib import Path
import tempfile

from gpu_forms import Form, Step, Tensors
from mle_sam.export.program import export_programs
from mle_sam.models.mle_sam import MleSam
from mle_sam_ros.core.manifest import parse_manifest, SCHEMA_VERSION
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.runtime import torch_build
from mle_sam_ros.runtime.build import BuildOptions
from mle_sam_ros.runtime.bundle import Bundle, Precision
import torch

PRECISIONS: dict[str, Precision] = {'float32': 'fp32', 'float16': 'fp16'}
# How long the compiler searches; None for as long as it likes.
LEVELS = {'engine': 0, 'engine-autotune': None}


@contextmanager
def engine_step(form: Form, model: MleSam, rasters: Tensors) -> Iterator[Step]:
    """Build the engine, which lasts as long as the context; its step takes rasters of the host.

    Args:
        form: whose compiler is one of `LEVELS`, and whose part is `call`.
        model: on the host.
        rasters: one per modality of the model.
    """
    names = model.config.modality_names
    precision = PRECISIONS[form.dtype]
    examples = {n: raster[0].numpy() for n, raster in zip(names, rasters, strict=True)}
    options = BuildOptions(precision, optimization_level=LEVELS[form.compiler])
    with tempfile.TemporaryDirectory() as directory:
        bundle = _bundle(Path(directory), model, export_programs(model, examples, precision))
        room = Path(directory) / 'room'
        room.mkdir()
        torch_build.build(bundle, room, options, lambda stage, share: None)
        engine = torch_build.load(bundle, room, options)

    def step(inputs: Tensors) -> Tensors:
        given = {name: raster[0].numpy() for name, raster in zip(names, inputs, strict=False)}
        inference = engine.infer(given, frozenset(given))
        answer = (inference.label_map, inference.confidence, inference.router_weights)
        return tuple(map(torch.from_numpy, answer))

    yield step


def _bundle(directory: Path, model: MleSam, programs: dict[str, bytes]) -> Bundle:
    """A bundle of programs alone: nobody else is to run it."""
    for name, content in programs.items():
        (directory / name).write_bytes(content)
    config = model.config
    manifest = {
        'schema_version': SCHEMA_VERSION,
        'model': config.size,
        'revision': 'random',
        'recipe': {},
        'input_hw': list(config.input_hw),
        'resize': 'stretch_area',
        'modalities': to_mapping(config.modalities),
        'classes': to_mapping(config.classes),
        'router': {'levels': 3, 'k': min(config.router_k, len(config.modalities))},
        'accuracy': {},
        'files': {name: hashlib.sha256(c).hexdigest() for name, c in programs.items()},
    }
    return Bundle(directory, parse_manifest(manifest, 'the random network'))
