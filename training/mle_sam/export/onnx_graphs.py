"""The graphs of a bundle as ONNX files, in any precision."""

from dataclasses import dataclass
import logging
from pathlib import Path
import warnings

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import (
    ALL_ENCODERS,
    encoder_name,
    fuse_decode_name,
    graph_file,
    Precision,
    PRECISIONS,
)
from mle_sam_ros.runtime.contract import FEATURE_NAMES, raster_input
import numpy as np
import torch
from torch import nn

from mle_sam.export.enlarging import ResizedEnlargement
from mle_sam.export.graphs import EncoderGraph, FuseDecodeGraph
from mle_sam.export.plain import PlainDecodeGraph, PlainEncoderGraph
from mle_sam.export.precision import in_half
from mle_sam.export.stacked import StackedEncoderGraph
from mle_sam.models.mle_sam import MleSam
from mle_sam.models.network import Network

ATTENTIONS = {'fp16': torch.float16, 'bf16': torch.bfloat16}
OPSETS = (18, 20, 23)


@dataclass(frozen=True)
class GraphOptions:
    """How to export.

    Attributes:
        precisions: of the graphs; those of fp32 are always there, they are the reference.
        attention: of the core of the attention in those of fp16, fp16 or bf16. Only a GPU can
            prove bf16: ONNX Runtime has none on processors, and OpenVINO (2026.4) takes the bits
            of float16 for it.
        opset: 18; 20, the first with Gelu as one node, read by TensorRT 10.3 and later; 23, the
            first with Attention as one node, for TensorRT 10.14 and later.
        stacked: also a graph that encodes all modalities as one batch; `build-engine` keeps it
            where it is faster than their own ones.
    """

    precisions: tuple[Precision, ...] = ('fp32',)
    attention: str = 'fp16'
    opset: int = 20
    stacked: bool = False

    def __post_init__(self) -> None:
        rules = (
            ('precisions', set(self.precisions) <= set(PRECISIONS), ' or '.join(PRECISIONS)),
            ('attention', self.attention in ATTENTIONS, ' or '.join(ATTENTIONS)),
            (
                'attention',
                self.attention == 'fp16' or 'fp16' in self.precisions,
                'none where there are no graphs of fp16',
            ),
            ('opset', self.opset in OPSETS, ', '.join(map(str, OPSETS))),
        )
        for name, is_met, expected in rules:
            if not is_met:
                raise InputError(
                    f'{name}: expected {expected}, got {getattr(self, name)}; correct it'
                )

    @property
    def all_precisions(self) -> tuple[Precision, ...]:
        """Those asked for, and fp32."""
        return tuple(p for p in PRECISIONS if p == 'fp32' or p in self.precisions)


def export_graphs(
    model: Network,
    rasters: dict[str, np.ndarray],
    precision: Precision,
    options: GraphOptions,
    room: Path,
) -> dict[str, Path]:
    """Export a network in one precision.

    Args:
        model: the network, on the CPU.
        rasters: one (H, W, 3) raster per modality, uint8 or float32 as encoded.
        precision: of the features and of the arithmetic.
        options: how.
        room: directory to write into.

    Returns:
        The files, by the names that they get in the bundle.
    """
    files, encoded = {}, []
    for name in model.config.modality_names:
        encoder = _in_precision(_encoder_graph(model, name), precision, options)
        raster = torch.from_numpy(rasters[name])[None]
        with torch.inference_mode():
            encoded.append(encoder(raster))
        path = room / encoder_name(name, precision)
        names = FEATURE_NAMES[: len(encoded[0])]
        _write(encoder, {'raster': raster}, names, path, options.opset)
        files[path.name] = path
    if options.stacked:
        path = room / graph_file(ALL_ENCODERS, precision)
        encoders = _in_precision(StackedEncoderGraph(model), precision, options)
        named = {
            raster_input(name): torch.from_numpy(rasters[name])[None]
            for name in model.config.modality_names
        }
        _write(encoders, named, FEATURE_NAMES, path, options.opset)
        files[path.name] = path
    levels = [torch.cat(level) for level in zip(*encoded, strict=True)]
    inputs = dict(zip(FEATURE_NAMES, levels, strict=False))
    inputs['present'] = torch.ones(len(rasters), dtype=torch.bool)
    decoder = _in_precision(_decode_graph(model, precision), precision, options)
    path = room / fuse_decode_name(precision)
    outputs = ('label_map', 'confidence', 'router_weights')
    _write(decoder, inputs, outputs, path, options.opset)
    return {**files, path.name: path}


def _encoder_graph(model: Network, modality: str) -> nn.Module:
    if isinstance(model, MleSam):
        return EncoderGraph(model, modality)
    return PlainEncoderGraph(model, modality)


def _decode_graph(model: Network, precision: Precision) -> nn.Module:
    if not isinstance(model, MleSam):
        return PlainDecodeGraph(model)
    # Graphs of fp32 are for processors in the first place, those of fp16 for GPUs.
    return FuseDecodeGraph(model, ResizedEnlargement() if precision == 'fp16' else None)


def _in_precision(graph: nn.Module, precision: Precision, options: GraphOptions) -> nn.Module:
    graph = graph.eval()
    return in_half(graph, ATTENTIONS[options.attention]) if precision == 'fp16' else graph


def _write(
    graph: nn.Module,
    inputs: dict[str, torch.Tensor],
    output_names: tuple[str, ...],
    path: Path,
    opset: int,
) -> None:
    # The exporter warns of its own internals, and of torchvision, which nothing here needs.
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)
        torch.onnx.export(
            graph,
            tuple(inputs.values()),
            path,
            dynamo=True,
            opset_version=opset,
            input_names=list(inputs),
            output_names=list(output_names),
            external_data=False,
            verbose=False,
        )
