"""The gate refuses what answers otherwise, and names the graph at fault."""

from collections.abc import Callable
from pathlib import Path

from bundles import golden_arrays, manifest_mapping, npz_bytes, TinyModel, write_tiny_bundle
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import Bundle, write_bundle
from mle_sam_ros.runtime.engine import load_engine
from mle_sam_ros.runtime.gate import prove
import numpy as np
import onnx
from onnx import numpy_helper
import pytest


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


def without_features() -> bytes:
    arrays = golden_arrays(TinyModel())
    return npz_bytes({key: value for key, value in arrays.items() if 'features' not in key})


def planted(
    bundle: Bundle, directory: Path, graph: str, name: str, edit: Callable, **others: bytes
) -> Bundle:
    """The bundle with another constant in one graph; its manifest has the right hashes."""
    model = onnx.load(bundle.path(graph))
    (tensor,) = [item for item in model.graph.initializer if item.name == name]
    changed = edit(numpy_helper.to_array(tensor)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(changed, name))
    files: dict[str, bytes | Path] = {n: bundle.path(n) for n in bundle.manifest.files}
    files |= {graph: model.SerializeToString(), **others}
    return write_bundle(directory, files, manifest_mapping())


def test_a_right_engine_passes(bundle):
    proof = prove(load_engine(bundle, 'onnx', 1), bundle)
    assert len(proof.subsets) == 7
    assert proof.miou_drop < 0.01
    assert min(proof.cosines.values()) > 0.999999
    assert list(proof.cosines) == ['camera', 'event', 'lidar']


@pytest.mark.parametrize('golden', ['with features', 'without features'])
@pytest.mark.parametrize(
    ('graph', 'constant', 'edit'),
    [
        ('encoder_event.onnx', 'pattern_0', lambda weight: -weight),
        ('encoder_camera.onnx', 'mean', lambda mean: mean - 64),
        ('encoder_lidar.onnx', 'std', lambda std: std / 3),
        ('fuse_decode.onnx', 'class_weights', lambda weight: weight[::-1].copy()),
    ],
)
def test_the_graph_with_a_wrong_constant_is_named(bundle, tmp_path, golden, graph, constant, edit):
    others = {} if golden == 'with features' else {'golden.npz': without_features()}
    wrong = planted(bundle, tmp_path / 'wrong', graph, constant, edit, **others)
    wrong.verify_hashes()
    with pytest.raises(InputError, match=rf'diverges: {graph.split(".")[0]} \('):
        prove(load_engine(wrong, 'onnx', 1), wrong)


def test_a_compiler_that_spoils_every_encoder_is_told_by_the_reference(bundle, tmp_path):
    """Nothing is right alone then, and the bundle's own graphs say what features should be."""
    files: dict[str, bytes | Path] = {n: bundle.path(n) for n in bundle.manifest.files}
    files['golden.npz'] = without_features()
    plain = write_bundle(tmp_path / 'plain', files, manifest_mapping())
    engine = load_engine(plain, 'onnx', 1)
    encode = engine._encode

    def spoiled(name, raster):
        encode(name, raster)
        for features in engine._features:
            features[engine._names.index(name)] *= -1

    engine._encode = spoiled
    with pytest.raises(InputError, match=r'diverges: encoder_camera \(cosine -1'):
        prove(engine, plain)
