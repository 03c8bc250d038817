"""A tiny bundle whose graphs also exist in numpy: what engines answer can be checked by hand.

Each encoder averages its normalised raster over blocks and adds a fixed pattern of its own, so
the label map depends on every modality that is present, even where all rasters are zero.
"""

import io
from itertools import combinations
from pathlib import Path

from mle_sam_ros.core.inference import Inference
from mle_sam_ros.runtime.bundle import Bundle, write_bundle
import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto

MODALITIES = ('camera', 'event', 'lidar')
CLASSES = (
    'road', 'road_line', 'sidewalk', 'terrain', 'building', 'vegetation', 'pole', 'traffic_sign',
    'vehicle', 'pedestrian', 'sky',
)  # fmt: skip
# Beside the usual three, what a bundle for aligned images may have.
RASTER_DTYPES = {
    'camera': np.uint8,
    'event': np.uint8,
    'lidar': np.float32,
    'depth': np.uint8,
    'nir': np.uint8,
    'aolp': np.float32,
}
ENCODINGS = {
    'camera': {'kind': 'rgb'},
    'event': {'kind': 'event_polarity_counts', 'window_ns': 30_000_000, 'dilation_px': 1},
    'lidar': {'kind': 'lidar_range_intensity_height', 'min_range_m': 1.0, 'dilation_px': 3},
    'depth': {'kind': 'depth_hha'},
    'nir': {'kind': 'aligned_image', 'dtype': 'uint8', 'resize': 'area'},
    'aolp': {'kind': 'aligned_image', 'dtype': 'float32', 'resize': 'nearest'},
}
_GREY = (128.0, 128.0, 128.0)
MEAN = dict.fromkeys(ENCODINGS, (0.0, 0.0, 0.0)) | {'camera': _GREY, 'depth': _GREY, 'nir': _GREY}
STD = dict.fromkeys(ENCODINGS, (64.0, 64.0, 64.0)) | {
    'event': (2.0, 2.0, 1.0),
    'lidar': (20.0, 100.0, 2.0),
}
STRIDES = (4, 8, 16)


class TinyModel:
    """The weights of the tiny network, and its answers in plain numpy."""

    def __init__(
        self,
        input_hw: tuple[int, int] = (64, 128),
        modalities: tuple[str, ...] = MODALITIES,
        num_levels: int = 3,
    ) -> None:
        random = np.random.default_rng(5)
        height, width = input_hw
        self.input_hw = input_hw
        self.modalities = modalities
        self.strides = STRIDES[:num_levels]
        self.patterns = {
            (name, level): random.normal(
                size=(1, 3, height // STRIDES[level], width // STRIDES[level])
            ).astype(np.float32)
            for name in modalities
            for level in range(num_levels)
        }
        self.class_weights = random.normal(size=(len(CLASSES), 3)).astype(np.float32)

    def rasters(self, seed: int = 0) -> dict[str, np.ndarray]:
        random = np.random.default_rng(seed)
        shape = (*self.input_hw, 3)
        rasters = {
            'camera': random.integers(0, 256, shape, np.uint8),
            'event': random.integers(0, 4, shape, np.uint8),
            'lidar': random.uniform(0, 50, shape).astype(np.float32),
            'depth': random.integers(0, 256, shape, np.uint8),
            'nir': random.integers(0, 256, shape, np.uint8),
            'aolp': random.uniform(-1, 1, shape).astype(np.float32),
        }
        return {name: rasters[name] for name in self.modalities}

    def features(self, name: str, raster: np.ndarray) -> list[np.ndarray]:
        height, width = self.input_hw
        mean, std = np.float32(MEAN[name]), np.float32(STD[name])
        image = ((raster.astype(np.float32) - mean) / std).transpose(2, 0, 1)
        return [
            image.reshape(3, height // s, s, width // s, s).mean((2, 4))[None]
            + self.patterns[name, level]
            for level, s in enumerate(self.strides)
        ]

    def infer(self, rasters: dict[str, np.ndarray], present: frozenset[str]) -> Inference:
        here = np.array([name in present for name in self.modalities])
        levels: list[list[np.ndarray]] = [[] for _ in self.strides]
        for name in self.modalities:
            if name in present:
                for level, features in zip(
                    levels, self.features(name, rasters[name]), strict=True
                ):
                    level.append(features[0])
        router_weights = np.zeros((len(levels), len(self.modalities)), np.float32)
        for row, level in zip(router_weights, levels, strict=True):
            pooled = np.exp(np.array([features.mean() for features in level]))
            row[here] = pooled / pooled.sum()
        fused = np.mean(levels[0], axis=0)
        logits = np.tensordot(self.class_weights, fused, 1).repeat(4, 1).repeat(4, 2)
        confidence = 1 / np.exp(logits - logits.max(0)).sum(0)
        return Inference(
            logits.argmax(0).astype(np.uint8),
            np.round(confidence * 255).astype(np.uint8),
            router_weights,
            {},
        )


def write_tiny_bundle(
    directory: Path,
    input_hw: tuple[int, int] = (64, 128),
    modalities: tuple[str, ...] = MODALITIES,
    num_levels: int = 3,
) -> Bundle:
    """Write the bundle of `TinyModel`; the golden answers come from numpy, not from an engine."""
    model = TinyModel(input_hw, modalities, num_levels)
    files: dict[str, bytes | Path] = {
        f'encoder_{name}.onnx': encoder_graph(model, name).SerializeToString()
        for name in modalities
    }
    files['fuse_decode.onnx'] = fuse_decode_graph(model).SerializeToString()
    files['golden.npz'] = npz_bytes(golden_arrays(model))
    return write_bundle(directory, files, manifest_mapping(input_hw, modalities, num_levels))


def manifest_mapping(
    input_hw: tuple[int, int] = (64, 128),
    modalities: tuple[str, ...] = MODALITIES,
    num_levels: int = 3,
) -> dict[str, object]:
    """The manifest without its files."""
    return {
        'schema_version': 1,
        'model': 'tiny',
        'revision': 'test',
        'recipe': {},
        'input_hw': list(input_hw),
        'resize': 'stretch_area',
        'modalities': [
            {
                'name': name,
                'encoding': ENCODINGS[name],
                'mean': list(MEAN[name]),
                'std': list(STD[name]),
            }
            for name in modalities
        ],
        'classes': [
            {'name': name, 'colour': [20 * index, 255 - 20 * index, 128]}
            for index, name in enumerate(CLASSES)
        ],
        'router': {'levels': num_levels, 'k': len(modalities)},
        'accuracy': {},
    }


def golden_arrays(model: TinyModel) -> dict[str, np.ndarray]:
    rasters = model.rasters()
    arrays = {f'raster_{name}': rasters[name] for name in model.modalities}
    for name in model.modalities:
        for level, features in enumerate(model.features(name, rasters[name])):
            arrays[f'features_{level}/{name}'] = features
    for size in range(len(model.modalities), 0, -1):
        for subset in combinations(model.modalities, size):
            answer, key = model.infer(rasters, frozenset(subset)), '+'.join(subset)
            arrays[f'label_map/{key}'] = answer.label_map
            arrays[f'confidence/{key}'] = answer.confidence
            arrays[f'router_weights/{key}'] = answer.router_weights
    return arrays


def encoder_graph(model: TinyModel, name: str) -> onnx.ModelProto:
    height, width = model.input_hw
    element = TensorProto.UINT8 if RASTER_DTYPES[name] == np.uint8 else TensorProto.FLOAT
    nodes = [
        helper.make_node('Cast', ['raster'], ['float'], to=TensorProto.FLOAT),
        helper.make_node('Sub', ['float', 'mean'], ['centred']),
        helper.make_node('Div', ['centred', 'std'], ['normal']),
        helper.make_node('Transpose', ['normal'], ['image'], perm=[0, 3, 1, 2]),
    ]
    constants = [
        _constant('mean', np.float32(MEAN[name])),
        _constant('std', np.float32(STD[name])),
    ]
    outputs = []
    for level, s in enumerate(model.strides):
        nodes += [
            helper.make_node(
                'AveragePool', ['image'], [f'pooled_{level}'], kernel_shape=[s, s], strides=[s, s]
            ),
            helper.make_node(
                'Add', [f'pooled_{level}', f'pattern_{level}'], [f'features_{level}']
            ),
        ]
        constants.append(_constant(f'pattern_{level}', model.patterns[name, level]))
        shape = [1, 3, height // s, width // s]
        outputs.append(
            helper.make_tensor_value_info(f'features_{level}', TensorProto.FLOAT, shape)
        )
    raster = helper.make_tensor_value_info('raster', element, [1, height, width, 3])
    return _model(nodes, f'encoder_{name}', [raster], outputs, constants)


def fuse_decode_graph(model: TinyModel) -> onnx.ModelProto:
    height, width = model.input_hw
    num_modalities = len(model.modalities)
    nodes = [
        helper.make_node('Unsqueeze', ['present', 'last_axes'], ['present_M111']),
        helper.make_node('Cast', ['present'], ['present_float'], to=TensorProto.FLOAT),
        helper.make_node('ReduceSum', ['present_float'], ['num_present'], keepdims=0),
    ]
    rows = []
    for level in range(len(model.strides)):
        nodes += [
            helper.make_node(
                'Where', ['present_M111', f'features_{level}', 'zero'], [f'blanked_{level}']
            ),
            helper.make_node(
                'ReduceMean', [f'blanked_{level}', 'inner_axes'], [f'pooled_{level}'], keepdims=0
            ),
            helper.make_node(
                'Where', ['present', f'pooled_{level}', 'minus_infinity'], [f'scores_{level}']
            ),
            helper.make_node('Softmax', [f'scores_{level}'], [f'weights_{level}'], axis=0),
            helper.make_node('Unsqueeze', [f'weights_{level}', 'first_axis'], [f'row_{level}']),
        ]
        rows.append(f'row_{level}')
    nodes += [
        helper.make_node('Concat', rows, ['router_weights'], axis=0),
        helper.make_node('ReduceSum', ['blanked_0', 'first_axis'], ['sum'], keepdims=1),
        helper.make_node('Div', ['sum', 'num_present'], ['fused']),
        helper.make_node('Conv', ['fused', 'class_weights'], ['coarse']),
        helper.make_node(
            'Resize', ['coarse', '', 'scales'], ['logits'], mode='nearest',
            coordinate_transformation_mode='asymmetric', nearest_mode='floor',
        ),
        helper.make_node('ArgMax', ['logits'], ['argmax'], axis=1, keepdims=0),
        # By way of float32: TensorRT has no cast from integers to uint8.
        helper.make_node('Cast', ['argmax'], ['argmax_float'], to=TensorProto.FLOAT),
        helper.make_node('Cast', ['argmax_float'], ['label_1HW'], to=TensorProto.UINT8),
        helper.make_node('Squeeze', ['label_1HW', 'first_axis'], ['label_map']),
        helper.make_node('Softmax', ['logits'], ['probability'], axis=1),
        helper.make_node('ReduceMax', ['probability', 'two_axes'], ['top'], keepdims=0),
        helper.make_node('Mul', ['top', 'full'], ['scaled']),
        helper.make_node('Round', ['scaled'], ['rounded']),
        helper.make_node('Cast', ['rounded'], ['confidence'], to=TensorProto.UINT8),
    ]  # fmt: skip
    constants = [
        _constant('last_axes', np.int64([1, 2, 3])),
        _constant('inner_axes', np.int64([1, 2, 3])),
        _constant('first_axis', np.int64([0])),
        _constant('two_axes', np.int64([0, 1])),
        _constant('zero', np.float32(0)),
        _constant('full', np.float32(255)),
        _constant('minus_infinity', np.float32(-np.inf)),
        _constant('class_weights', model.class_weights[:, :, None, None]),
        _constant('scales', np.float32([1, 1, 4, 4])),
    ]
    value = helper.make_tensor_value_info
    inputs = [
        value(f'features_{level}', TensorProto.FLOAT, [num_modalities, 3, height // s, width // s])
        for level, s in enumerate(model.strides)
    ]
    inputs.append(value('present', TensorProto.BOOL, [num_modalities]))
    outputs = [
        value('label_map', TensorProto.UINT8, [height, width]),
        value('confidence', TensorProto.UINT8, [height, width]),
        value('router_weights', TensorProto.FLOAT, [len(rows), num_modalities]),
    ]
    return _model(nodes, 'fuse_decode', inputs, outputs, constants)


def _model(nodes, name, inputs, outputs, constants) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def _constant(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
