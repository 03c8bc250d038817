"""From a checkpoint to the bundle that vehicles run."""

import io
from pathlib import Path
import subprocess
import tempfile

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import SCHEMA_VERSION
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.runtime.bundle import Bundle, GOLDEN_NAME, Precision, write_bundle
from mle_sam_ros.runtime.golden import subsets
import numpy as np
import torch

from mle_sam.checkpoint import Checkpoint, load_model
from mle_sam.config import MleSamConfig
from mle_sam.export.onnx_graphs import export_graphs, GraphOptions
from mle_sam.export.program import export_programs
from mle_sam.models.network import Network


def export_bundle(
    checkpoint: Checkpoint,
    rasters: dict[str, np.ndarray],
    accuracy: dict[str, object],
    directory: Path,
    programs: tuple[Precision, ...] = (),
    graphs: GraphOptions = GraphOptions(),
) -> Bundle:
    """Write a bundle, whole or not at all.

    Args:
        checkpoint: of the experts stage.
        rasters: one recorded (H, W, 3) raster per modality, uint8 or float32 as encoded.
        accuracy: measured figures, with the data they were measured on.
        directory: of the bundle.
        programs: precisions in which the torch backend shall be able to compile it, too.
        graphs: how to export.

    Raises:
        InputError: if the directory holds something other than a bundle, or for what a network of
            that kind has not.
    """
    _check_possible(checkpoint, programs, graphs)  # now, not after minutes of work
    model = load_model(checkpoint)
    with tempfile.TemporaryDirectory() as room:
        files: dict[str, bytes | Path] = {GOLDEN_NAME: _npz(golden_arrays(model, rasters))}
        for precision in graphs.all_precisions:
            files |= export_graphs(model, rasters, precision, graphs, Path(room))
        for precision in programs:
            files |= export_programs(model, rasters, precision, graphs.stacked)
        return write_bundle(directory, files, _manifest(checkpoint, accuracy))


def _check_possible(
    checkpoint: Checkpoint, programs: tuple[Precision, ...], graphs: GraphOptions
) -> None:
    """Refuse what is written for MLE-SAM's graphs alone.

    Its policy of half precision names its layers, and what passes from most others' encoders are
    logits, which stay float32 in it.
    """
    kind = checkpoint.recipe.network.kind
    asked = (
        ('precision', 'fp32', [p for p in graphs.precisions if p != 'fp32']),
        ('stacked', 'encoders by themselves', ['one batch'] if graphs.stacked else []),
        ('programs', 'none', programs),
    )
    for name, expected, got in asked:
        if got and kind != MleSamConfig.kind:
            raise InputError(
                f'{name}: expected {expected} for a network of kind {kind}, got '
                f'{", ".join(got)}; leave it out: only mle_sam has more'
            )


def golden_arrays(model: Network, rasters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the unexported network says of one recorded input per modality, for every subset."""
    names = model.config.modality_names
    arrays: dict[str, np.ndarray] = {f'raster_{name}': rasters[name] for name in names}
    with torch.inference_mode():
        encoded = [model.encode(torch.from_numpy(rasters[n])[None], n) for n in names]
        stacked = [torch.stack(level) for level in zip(*encoded, strict=True)]
        for subset in subsets(names):
            key, present = '+'.join(subset), torch.tensor([[name in subset for name in names]])
            segmentation = model.decode(stacked, present)
            probability = model.logits(segmentation)[0].softmax(0)
            confidence, label_map = probability.max(0)
            arrays[f'label_map/{key}'] = label_map.to(torch.uint8).numpy()
            arrays[f'confidence/{key}'] = (confidence * 255).round().to(torch.uint8).numpy()
            arrays[f'router_weights/{key}'] = segmentation.router_weights_BLM[0].numpy()
    return arrays


def _manifest(checkpoint: Checkpoint, accuracy: dict[str, object]) -> dict[str, object]:
    recipe = checkpoint.recipe
    network = recipe.network
    return {
        'schema_version': SCHEMA_VERSION,
        'model': recipe.name,
        'revision': _revision(),
        'recipe': to_mapping(recipe),
        'input_hw': list(network.input_hw),
        'resize': 'stretch_area',
        'modalities': to_mapping(network.modalities),
        'classes': to_mapping(network.classes),
        'router': {'levels': network.router_levels, 'k': network.num_weighed},
        'accuracy': accuracy,
    }


def _revision() -> str:
    """The git revision of this code, or `unknown` where it is installed without its history."""
    command = ['git', '-C', str(Path(__file__).parent), 'rev-parse', 'HEAD']
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else 'unknown'


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
