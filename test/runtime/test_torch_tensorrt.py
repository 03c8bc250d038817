"""Torch-TensorRT as a way to plans, on fakes of it and of TensorRT."""

import gc
import sys
from types import ModuleType

from bundles import MODALITIES, TinyModel
from fake_tensorrt import forget, install
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import build_engine, build_key, BuildOptions
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.golden import subsets
import numpy as np
import onnx
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from torch_programs import write_program_bundle  # noqa: E402

# Large enough that every level's slot is a multiple of 256 bytes.
MODEL = TinyModel((128, 256))
FP32 = BuildOptions(precision='fp32')


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Bundle:
    return write_program_bundle(tmp_path_factory.mktemp('bundle') / 'tiny', MODEL.input_hw)


@pytest.fixture
def compiler(bundle, tmp_path, monkeypatch):
    """The fakes: plans are made of the ONNX graphs, with outputs that are numbered."""
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'cache'))
    cuda = install('10.16.1.11')
    module = ModuleType('torch_tensorrt')
    module.__version__ = '2.12.0'
    module.dynamo = ModuleType('torch_tensorrt.dynamo')
    module.asked = []

    def convert(program, *, arg_inputs, use_explicit_typing, disable_tf32, optimization_level):
        from mle_sam_ros.runtime.tensorrt_build import _compile

        names = list(program.graph_signature.user_inputs)
        module.asked.append((names, use_explicit_typing, disable_tf32, optimization_level))
        assert [tuple(value.shape) for value in arg_inputs]
        index = len(module.asked) - 1
        name = f'encoder_{MODALITIES[index]}' if index < len(MODALITIES) else 'fuse_decode'
        path = tmp_path / f'{name}.onnx'
        onnx.save(numbered(onnx.load(bundle.path(path.name))), path)
        return _compile(path, FP32, b'', lambda share: None)[0]

    module.dynamo.convert_exported_program_to_serialized_trt_engine = convert
    monkeypatch.setitem(sys.modules, 'torch_tensorrt', module)
    try:
        yield module
        gc.collect()
        assert not cuda.live, 'something was not freed'
    finally:
        sys.modules.pop('mle_sam_ros.runtime.torch_tensorrt_build', None)
        forget()


def numbered(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its outputs called output0, output1, …"""
    new = {value.name: f'output{i}' for i, value in enumerate(model.graph.output)}
    for node in model.graph.node:
        for ports in (node.input, node.output):
            names = [new.get(name, name) for name in ports]
            del ports[:]
            ports.extend(names)
    for value in model.graph.output:
        value.name = new[value.name]
    return model


def test_plans_are_proven_and_answer_as_the_numpy_twin(bundle, compiler):
    built = build_engine(bundle, 'torch_tensorrt', BuildOptions('fp32', optimization_level=2))
    assert built.record.key.environment['torch_tensorrt'] == '2.12.0'
    assert built.record.key.environment['tensorrt'] == '10.16.1.11'
    assert {'encoder_camera.plan', 'encoder_camera.names.json'} <= set(built.record.files)
    decoder_inputs = ['features_0', 'features_1', 'features_2', 'present']
    assert compiler.asked == [
        *[(['raster'], True, True, 2)] * 3,
        (decoder_inputs, True, True, 2),
    ]
    engine, rasters = open_engine(bundle, 'torch_tensorrt'), MODEL.rasters(3)
    for present in subsets(MODALITIES):
        got = engine.infer({name: rasters[name] for name in present}, frozenset(present))
        expected = MODEL.infer(rasters, frozenset(present))
        assert (got.label_map == expected.label_map).mean() > 0.999
        np.testing.assert_allclose(got.router_weights, expected.router_weights, atol=1e-5)


def test_what_cannot_be_compiled_names_the_program_and_the_other_way(bundle, compiler):
    def refuse(program, *, arg_inputs):
        raise RuntimeError('no converter for aten.topk')

    compiler.dynamo.convert_exported_program_to_serialized_trt_engine = refuse
    with pytest.raises(InputError, match=r'encoder_camera\.pt2: .*no converter.*for tensorrt'):
        build_engine(bundle, 'torch_tensorrt', FP32)


def test_a_release_that_chooses_precisions_itself_is_refused(bundle, compiler):
    def old(program, *, arg_inputs, enabled_precisions):
        return b''

    compiler.dynamo.convert_exported_program_to_serialized_trt_engine = old
    with pytest.raises(InputError, match=r'keeps the precision of the program, got 2\.12\.0'):
        build_engine(bundle, 'torch_tensorrt', FP32)


def test_without_the_package(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch_tensorrt', None)
    install('10.16.1.11')
    try:
        with pytest.raises(InputError, match=r'package torch_tensorrt for torch_tensorrt, got no'):
            build_key(bundle, 'torch_tensorrt', FP32)
    finally:
        forget()
