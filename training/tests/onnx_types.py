"""The element types and shapes of what flows through an ONNX graph."""

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto


class TypedGraph:
    """A graph whose every value has an inferred type."""

    def __init__(self, path: Path):
        """Read a graph, and check that ONNX finds its types consistent."""
        self.path = path
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        self.opset = next(item.version for item in model.opset_import if item.domain == '')
        self.graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        self._types = {item.name: item.data_type for item in self.graph.initializer}
        self._shapes = {item.name: tuple(item.dims) for item in self.graph.initializer}
        for value in (*self.graph.value_info, *self.graph.input, *self.graph.output):
            tensor = value.type.tensor_type
            self._types[value.name] = tensor.elem_type
            self._shapes[value.name] = tuple(d.dim_value for d in tensor.shape.dim)

    def nodes(self, *kinds: str) -> Iterator[onnx.NodeProto]:
        """Those of some kinds."""
        return (node for node in self.graph.node if node.op_type in kinds)

    def kinds(self) -> set[str]:
        """The kinds of node that there are."""
        return {node.op_type for node in self.graph.node}

    def types_in(self, node: onnx.NodeProto) -> set[str]:
        """Of what a node reads: `FLOAT`, `FLOAT16`, `BFLOAT16`, `INT64`, `UINT8`, `BOOL`."""
        return {TensorProto.DataType.Name(self._types[name]) for name in node.input if name}

    def type_out(self, node: onnx.NodeProto) -> str:
        """Of what it gives."""
        return TensorProto.DataType.Name(self._types[node.output[0]])

    def shape_out(self, node: onnx.NodeProto) -> tuple[int, ...]:
        """Of what it gives."""
        return self._shapes[node.output[0]]

    def is_constant(self, name: str) -> bool:
        """Whether a value stands in the file."""
        return any(item.name == name for item in self.graph.initializer)

    def types(self) -> set[str]:
        """Of all values."""
        return {TensorProto.DataType.Name(value) for value in self._types.values()}
