"""The tiny bundle with a graph of all encoders beside one per modality."""

from pathlib import Path

from bundles import encoder_graph, manifest_mapping, MODALITIES, RASTER_DTYPES, STRIDES, TinyModel
from half_bundle import half, INPUT_HW, write_half_bundle
from mle_sam_ros.runtime.bundle import Bundle, write_bundle
import numpy as np
import onnx
from onnx import compose, helper, TensorProto


def write_stacked_bundle(directory: Path, **files: bytes) -> Bundle:
    """Write it; `files` replace others, with a dot for each double underscore of their names."""
    plain = write_half_bundle(directory.with_name('plain'))
    graph = stacked_graph(TinyModel(INPUT_HW))
    content: dict[str, bytes | Path] = {name: plain.path(name) for name in plain.manifest.files}
    content['encoders_stacked.onnx'] = graph.SerializeToString()
    content['encoders_stacked.fp16.onnx'] = half(graph).SerializeToString()
    content |= {name.replace('__', '.'): file for name, file in files.items()}
    return write_bundle(directory, content, manifest_mapping(INPUT_HW))


def stacked_graph(model: TinyModel, order: tuple[str, ...] = MODALITIES) -> onnx.ModelProto:
    """The encoders of the tiny network side by side; their features in that order."""
    height, width = model.input_hw
    nodes, constants, inputs, outputs = [], [], [], []
    for name in MODALITIES:
        graph = compose.add_prefix(encoder_graph(model, name), f'{name}_').graph
        element = TensorProto.UINT8 if RASTER_DTYPES[name] == np.uint8 else TensorProto.FLOAT
        inputs.append(
            helper.make_tensor_value_info(f'raster_{name}', element, [1, height, width, 3])
        )
        nodes.append(helper.make_node('Identity', [f'raster_{name}'], [f'{name}_raster']))
        nodes += graph.node
        constants += graph.initializer
    for level, s in enumerate(STRIDES):
        parts = [f'{name}_features_{level}' for name in order]
        nodes.append(helper.make_node('Concat', parts, [f'features_{level}'], axis=0))
        shape = [len(order), 3, height // s, width // s]
        outputs.append(
            helper.make_tensor_value_info(f'features_{level}', TensorProto.FLOAT, shape)
        )
    graph = helper.make_graph(nodes, 'encoders_stacked', inputs, outputs, constants)
    stacked = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    onnx.checker.check_model(stacked, full_check=True)
    return stacked
