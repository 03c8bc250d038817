"""The tiny bundle with graphs that pass features on as float16, beside the plain ones."""

from pathlib import Path

from bundles import (
    encoder_graph,
    fuse_decode_graph,
    golden_arrays,
    manifest_mapping,
    MODALITIES,
    npz_bytes,
    TinyModel,
)
from mle_sam_ros.runtime.bundle import Bundle, write_bundle
import onnx
from onnx import helper, TensorProto

# Large enough that every level's slot is a multiple of 256 bytes, in float16 too.
INPUT_HW = (128, 256)


def write_half_bundle(directory: Path) -> Bundle:
    model = TinyModel(INPUT_HW)
    graphs = {f'encoder_{name}': encoder_graph(model, name) for name in MODALITIES}
    graphs['fuse_decode'] = fuse_decode_graph(model)
    files: dict[str, bytes | Path] = {}
    for name, graph in graphs.items():
        files[f'{name}.onnx'] = graph.SerializeToString()
        files[f'{name}.fp16.onnx'] = half(graph).SerializeToString()
    files['golden.npz'] = npz_bytes(golden_arrays(model))
    return write_bundle(directory, files, manifest_mapping(INPUT_HW))


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its features cast to float16 where they cross its border."""
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    for value in graph.input:
        if value.name.startswith('features_'):
            _rename_uses(graph, value.name, f'{value.name}_wide')
            cast = helper.make_node(
                'Cast', [value.name], [f'{value.name}_wide'], to=TensorProto.FLOAT
            )
            graph.node.insert(0, cast)
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for value in graph.output:
        if value.name.startswith('features_'):
            for node in graph.node:
                names = [f'{n}_wide' if n == value.name else n for n in node.output]
                del node.output[:]
                node.output.extend(names)
            cast = helper.make_node(
                'Cast', [f'{value.name}_wide'], [value.name], to=TensorProto.FLOAT16
            )
            graph.node.append(cast)
            value.type.tensor_type.elem_type = TensorProto.FLOAT16
    opsets = [helper.make_opsetid('', 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def _rename_uses(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        names = [new if name == old else name for name in node.input]
        del node.input[:]
        node.input.extend(names)
