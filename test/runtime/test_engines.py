"""Both engines answer as the numpy twin does, and nothing runs unproven."""

from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
import subprocess
import sys

from bundles import (
    encoder_graph,
    fuse_decode_graph,
    golden_arrays,
    manifest_mapping,
    MODALITIES,
    npz_bytes,
    TinyModel,
    write_tiny_bundle,
)
from half_bundle import INPUT_HW as HALF_HW
from half_bundle import write_half_bundle
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import Bundle, write_bundle
from mle_sam_ros.runtime.check import check_bundle
from mle_sam_ros.runtime.engine import load_engine, open_engine
from mle_sam_ros.runtime.gate import prove
from mle_sam_ros.runtime.golden import read_golden, subsets
import numpy as np
import onnx
import pytest

MODEL = TinyModel()
EITHER = [
    'onnx',
    pytest.param(
        'openvino',
        marks=pytest.mark.skipif(
            find_spec('openvino') is None, reason='the extra openvino is not installed'
        ),
    ),
]


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


@pytest.fixture(scope='module', params=EITHER)
def engine(request, bundle):
    return open_engine(bundle, request.param, threads=1)


def files_of(bundle: Bundle) -> dict[str, bytes | Path]:
    return {name: bundle.path(name) for name in bundle.manifest.files}


def test_subsets_are_all_of_them_the_largest_first():
    assert list(subsets(('a', 'b'))) == [('a', 'b'), ('a',), ('b',)]
    assert len(list(subsets(MODALITIES))) == 7


@pytest.mark.parametrize('seed', [1, 2])
@pytest.mark.parametrize('present', [s for n in (1, 2, 3) for s in combinations(MODALITIES, n)])
def test_answers_as_the_numpy_twin(engine, present, seed):
    rasters = MODEL.rasters(seed)
    only_present = {name: rasters[name] for name in present}
    got = engine.infer(only_present, frozenset(present))
    expected = MODEL.infer(rasters, frozenset(present))
    assert (got.label_map.dtype, got.confidence.dtype) == (np.uint8, np.uint8)
    assert (got.label_map == expected.label_map).mean() > 0.999
    assert np.abs(got.confidence.astype(int) - expected.confidence).max() <= 1
    np.testing.assert_allclose(got.router_weights, expected.router_weights, atol=1e-5)
    absent = [name not in present for name in MODALITIES]
    assert not got.router_weights[:, absent].any()


@pytest.mark.parametrize('backend', EITHER)
@pytest.mark.parametrize('num_levels', [1, 2])
def test_networks_may_have_fewer_levels(backend, num_levels, tmp_path):
    bundle = write_tiny_bundle(tmp_path / 'tiny', modalities=('camera',), num_levels=num_levels)
    golden = read_golden(bundle.path('golden.npz'), bundle.manifest)
    assert len(golden.features['camera']) == num_levels
    engine = open_engine(bundle, backend, threads=1)  # proves it
    assert engine.infer(golden.rasters, frozenset({'camera'})).router_weights.shape == (
        num_levels,
        1,
    )


@pytest.mark.parametrize('backend', EITHER)
def test_half_precision_passes_features_on_as_float16(backend, tmp_path):
    half = write_half_bundle(tmp_path / 'half')
    engine, model = load_engine(half, backend, 1, 'fp16'), TinyModel(HALF_HW)
    assert engine.precision == 'fp16'
    assert 'fp16' in engine.description
    assert len(prove(engine, half).subsets) == 7
    rasters = model.rasters(1)
    got = engine.infer(rasters, frozenset({'camera', 'lidar'}))
    expected = model.infer(rasters, frozenset({'camera', 'lidar'}))
    assert (got.label_map == expected.label_map).mean() > 0.99
    for features, wanted in zip(
        engine.features('camera'), model.features('camera', rasters['camera']), strict=True
    ):
        assert features.dtype == np.float16
        assert not np.array_equal(features, wanted)
        np.testing.assert_allclose(features, wanted, atol=4e-3)


def test_a_bundle_without_graphs_of_a_precision_says_which_is_missing(bundle):
    with pytest.raises(InputError, match=r'expected the file encoder_camera.fp16.onnx'):
        load_engine(bundle, 'onnx', 1, 'fp16')


def test_every_subset_gives_another_label_map_even_of_nothing():
    rasters = {name: np.zeros_like(raster) for name, raster in MODEL.rasters().items()}
    maps = [MODEL.infer(rasters, frozenset(present)).label_map for present in subsets(MODALITIES)]
    for a, b in combinations(maps, 2):
        assert (a != b).mean() > 0.1


def test_earlier_instants_leave_no_trace(engine):
    rasters = MODEL.rasters(3)
    alone = engine.infer(rasters, frozenset({'camera'}))
    kept = alone.label_map.copy()
    poison = {**MODEL.rasters(4), 'lidar': np.full((64, 128, 3), np.nan, np.float32)}
    engine.infer(poison, frozenset(MODALITIES))
    again = engine.infer(rasters, frozenset({'camera'}))
    np.testing.assert_array_equal(again.label_map, alone.label_map)
    np.testing.assert_array_equal(again.confidence, alone.confidence)
    np.testing.assert_array_equal(again.router_weights, alone.router_weights)
    np.testing.assert_array_equal(alone.label_map, kept)  # results own their memory


@pytest.mark.parametrize('backend', EITHER)
def test_two_threads_give_the_same_bits_every_time(bundle, backend):
    engine, rasters = load_engine(bundle, backend, threads=2), MODEL.rasters(5)
    first = engine.infer(rasters, frozenset(MODALITIES))
    for _ in range(5):
        again = engine.infer(rasters, frozenset(MODALITIES))
        np.testing.assert_array_equal(again.label_map, first.label_map)
        np.testing.assert_array_equal(again.confidence, first.confidence)
        np.testing.assert_array_equal(again.router_weights, first.router_weights)


def test_only_the_encoders_of_present_modalities_run(engine):
    timings_ms = engine.infer(MODEL.rasters(), frozenset({'event', 'lidar'})).timings_ms
    assert list(timings_ms) == ['encoder_event', 'encoder_lidar', 'fuse_decode']
    assert all(value > 0 for value in timings_ms.values())


def test_rasters_may_be_read_only_and_strided(engine):
    rasters = MODEL.rasters(6)
    expected = engine.infer(rasters, frozenset({'camera'})).label_map
    frozen = rasters['camera'].copy()
    frozen.setflags(write=False)
    strided = np.zeros((64, 128, 4), np.uint8)
    strided[:, :, :3] = rasters['camera']
    for raster in (frozen, strided[:, :, :3]):
        got = engine.infer({'camera': raster}, frozenset({'camera'})).label_map
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ('rasters', 'present', 'message'),
    [
        ({}, set(), r'expected some of the modalities camera, event, lidar, got none'),
        ({}, {'radar'}, r'expected some of the modalities camera, event, lidar, got radar'),
        ({}, {'camera'}, r'expected a camera raster \(64, 128, 3\) uint8, got none'),
        ({'camera': np.zeros((64, 64, 3), np.uint8)}, {'camera'}, r'got \(64, 64, 3\) uint8'),
        ({'lidar': np.zeros((64, 128, 3))}, {'lidar'}, r'float32, got \(64, 128, 3\) float64'),
    ],
)
def test_bad_requests(engine, rasters, present, message):
    with pytest.raises(InputError, match=message):
        engine.infer(rasters, frozenset(present))


@pytest.mark.parametrize('backend', EITHER)
@pytest.mark.parametrize('content', [b'', b'not a graph', 'half'])
def test_corrupt_graph(bundle, tmp_path, backend, content):
    files = files_of(bundle)
    whole = bundle.path('encoder_event.onnx').read_bytes()
    files['encoder_event.onnx'] = whole[: len(whole) // 2] if content == 'half' else content
    broken = write_bundle(tmp_path / 'broken', files, manifest_mapping())
    with pytest.raises(
        InputError, match=r'encoder_event\.onnx: .*(expected an? (ONNX )?graph|got nothing)'
    ) as error:
        open_engine(broken, backend, threads=1)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('backend', EITHER)
def test_graphs_of_another_size(bundle, tmp_path, backend):
    files = files_of(bundle)
    files['encoder_lidar.onnx'] = encoder_graph(TinyModel((32, 64)), 'lidar').SerializeToString()
    broken = write_bundle(tmp_path / 'broken', files, manifest_mapping())
    with pytest.raises(
        InputError, match=r'inputs: expected raster 1x64x128x3 float32, got raster 1x32x64x3'
    ):
        open_engine(broken, backend, threads=1)


@pytest.mark.parametrize('backend', EITHER)
def test_decoder_with_another_output(bundle, tmp_path, backend):
    graph = fuse_decode_graph(MODEL)
    graph.graph.output[0].name = 'classes'
    graph.graph.node.append(onnx.helper.make_node('Identity', ['label_map'], ['classes']))
    files = {**files_of(bundle), 'fuse_decode.onnx': graph.SerializeToString()}
    broken = write_bundle(tmp_path / 'broken', files, manifest_mapping())
    with pytest.raises(InputError, match=r'outputs: expected label_map .* got classes 64x128'):
        open_engine(broken, backend, threads=1)


@pytest.mark.parametrize('backend', EITHER)
def test_an_engine_that_answers_otherwise_is_refused(bundle, tmp_path, backend):
    other = TinyModel()
    other.class_weights = other.class_weights[::-1].copy()
    files = {**files_of(bundle), 'fuse_decode.onnx': fuse_decode_graph(other).SerializeToString()}
    wrong = write_bundle(tmp_path / 'wrong', files, manifest_mapping())
    with pytest.raises(
        InputError,
        match=r'expected the golden answer .* got for camera\+event\+lidar agreement 0\.',
    ):
        open_engine(wrong, backend, threads=1)


def test_one_wrong_subset_is_enough_to_refuse(bundle, tmp_path):
    arrays = golden_arrays(MODEL)
    arrays['router_weights/event'] = np.full((3, 3), 0.5, np.float32)
    files = {**files_of(bundle), 'golden.npz': npz_bytes(arrays)}
    wrong = write_bundle(tmp_path / 'wrong', files, manifest_mapping())
    with pytest.raises(InputError, match=r'golden answer .* got for event .*router 0\.5'):
        open_engine(wrong, threads=1)


def test_golden_that_cannot_be_read(bundle, tmp_path):
    arrays = golden_arrays(MODEL)
    del arrays['confidence/event+lidar']
    for content, message in [
        (b'', r'golden\.npz: expected an npz archive'),
        (b'PK\x03\x04', r'golden\.npz: expected an npz archive'),
        (npz_bytes(arrays), r'expected confidence/event\+lidar \(64, 128\) uint8, got none'),
    ]:
        files = {**files_of(bundle), 'golden.npz': content}
        wrong = write_bundle(tmp_path / 'wrong', files, manifest_mapping())
        with pytest.raises(InputError, match=message):
            read_golden(wrong.path('golden.npz'), wrong.manifest)


def test_hashes_are_verified_before_anything_runs(bundle, tmp_path):
    copy = write_bundle(tmp_path / 'copy', files_of(bundle), manifest_mapping())
    (copy.directory / 'golden.npz').write_bytes(b'')
    with pytest.raises(InputError, match=r'golden\.npz: expected sha256'):
        open_engine(copy, threads=1)


@pytest.mark.parametrize('backend', EITHER)
def test_weights_beside_the_graph(bundle, tmp_path, backend):
    """External data, which several graphs may share, is found and hashed like any file."""
    onnx.save(
        fuse_decode_graph(MODEL), tmp_path / 'fuse_decode.onnx', save_as_external_data=True,
        location='weights.bin', size_threshold=64,
    )  # fmt: skip
    files = files_of(bundle)
    files |= {name: tmp_path / name for name in ('fuse_decode.onnx', 'weights.bin')}
    split = write_bundle(tmp_path / 'split', files, manifest_mapping())
    open_engine(split, backend, threads=1)


def test_check_bundle_says_what_it_found(bundle):
    lines = list(check_bundle(bundle.directory, threads=1))
    assert len(lines) == 4 + 7 + 1
    assert lines[0].startswith('manifest: tiny test, 64 x 128, camera, event, lidar, 11 classes')
    assert lines[2] == 'holds: fp32 graphs'
    assert lines[-2].startswith('golden lidar: same class at 100')
    assert lines[-1].startswith('golden altogether: mIoU drop 0.000 points; cosine of features ')


SIGNAL = """
import gc, signal, sys
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import load_engine
engine = load_engine(Bundle.open(sys.argv[1]), sys.argv[2], 1)
del engine
gc.collect()
signal.signal(signal.SIGTERM, lambda number, frame: print('heard'))
signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.parametrize('backend', EITHER)
def test_signals_are_heard_after_an_engine_went(bundle, backend):
    command = [sys.executable, '-c', SIGNAL, str(bundle.directory), backend]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, 'heard\n'), done.stderr


def test_a_backend_that_is_not_installed(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    monkeypatch.delitem(sys.modules, 'mle_sam_ros.runtime.openvino_engine', raising=False)
    with pytest.raises(InputError, match=r'expected the package openvino for openvino, got none'):
        load_engine(bundle, 'openvino')


def test_bad_options(bundle):
    with pytest.raises(
        InputError, match=r'expected auto, onnx, .*, torch_tensorrt, got .tensor.; choose'
    ):
        open_engine(bundle, 'tensor')
    with pytest.raises(InputError, match=r'threads: expected at least 1, got 0'):
        open_engine(bundle, threads=0)
