"""The TensorRT backend, from ONNX to label map.

On the fakes of TensorRT 10 and 11 everywhere; on the real one where there are its libraries and a
GPU.
"""

import gc
from importlib.util import find_spec
import json
import shutil
import sys

from bundles import encoder_graph, manifest_mapping, MODALITIES, TinyModel
from fake_tensorrt import forget, install
from half_bundle import half, INPUT_HW, write_half_bundle
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import build_engine, build_key, BuildOptions
from mle_sam_ros.runtime.built_engines import load_built, NotBuiltError
from mle_sam_ros.runtime.bundle import Bundle, write_bundle
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.golden import subsets
import numpy as np
import onnx
import pytest

MODEL = TinyModel(INPUT_HW)
FAKES = ['10.3.0.26', '10.13.3.9', '11.4.0.106']
WHY_NOT = 'needs the TensorRT libraries and a GPU: only fakes were tested'


def has_tensorrt() -> bool:
    if find_spec('tensorrt') is None:
        return False
    try:
        from mle_sam_ros.runtime.tensorrt_build import environment
    except ImportError:
        return False
    try:
        return bool(environment(BuildOptions()))
    except InputError:
        return False


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Bundle:
    return write_half_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr('mle_sam_ros.runtime.latency._NUM_WARM_UP', 0)
    monkeypatch.setattr('mle_sam_ros.runtime.latency._NUM_CALLS', (2, 2))
    return tmp_path / 'cache'


@pytest.fixture(scope='module')
def store(bundle, tmp_path_factory):
    """A cache with an engine of each kind of machine, built once for all tests."""
    built = {}

    def cache_of(cuda):
        version = sys.modules['tensorrt'].__version__
        if version not in built:
            built[version] = tmp_path_factory.mktemp('store')
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv('MLE_SAM_ENGINE_CACHE', str(built[version]))
                build_engine(bundle, 'tensorrt')
        return built[version]

    return cache_of


@pytest.fixture
def built(cuda, cache, store):
    """The fp16 engine is there for the fake of TensorRT 10.13."""
    shutil.copytree(store(cuda), cache)


@pytest.fixture
def built_for_any(any_cuda, cache, store):
    """Likewise for each fake, and for the real one where there is one."""
    shutil.copytree(store(any_cuda), cache)


@pytest.fixture
def cuda():
    """The fake of TensorRT 10.13, with nothing left behind at the end."""
    yield from fake('10.13.3.9')


@pytest.fixture(params=[*FAKES, pytest.param('real', marks=pytest.mark.gpu)])
def any_cuda(request):
    if request.param == 'real':
        if not has_tensorrt():
            pytest.skip(WHY_NOT)
        yield None
    else:
        yield from fake(request.param)


def fake(version):
    cuda = install(version)
    try:
        yield cuda
        gc.collect()
        assert not cuda.live, 'something was not freed'
        assert not cuda.pending, 'something was not waited for'
    finally:
        forget()


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_answers_as_the_numpy_twin_for_every_subset(any_cuda, bundle, precision):
    record = build_engine(bundle, 'tensorrt', BuildOptions(precision=precision)).record
    assert record.key.options['precision'] == precision
    assert len(record.proof.subsets) == 7
    engine = open_engine(bundle, 'tensorrt')
    assert precision in engine.description
    for present in subsets(MODALITIES):
        rasters = MODEL.rasters(seed=len(present))
        got = engine.infer({name: rasters[name] for name in present}, frozenset(present))
        expected = MODEL.infer(rasters, frozenset(present))
        assert (got.label_map == expected.label_map).mean() > 0.99
        assert np.abs(got.confidence.astype(int) - expected.confidence).max() <= 3
        np.testing.assert_allclose(got.router_weights, expected.router_weights, atol=1e-3)
        assert list(got.timings_ms) == [*(f'encoder_{name}' for name in present), 'fuse_decode']
        assert all(value > 0 for value in got.timings_ms.values())


def test_a_sweep_of_several_frames_is_encoded_once(built_for_any, bundle):
    engine, plain = load_built(bundle, 'tensorrt'), load_built(bundle, 'tensorrt')
    engine.reuse_features = True
    sweep = MODEL.rasters(1)['lidar']
    for frame, launched in enumerate((['camera', 'lidar'], ['camera'])):
        rasters = {'camera': MODEL.rasters(frame)['camera'], 'lidar': sweep}
        got = engine.infer(rasters, frozenset(rasters))
        assert list(got.timings_ms) == [*(f'encoder_{name}' for name in launched), 'fuse_decode']
        expected = plain.infer(rasters, frozenset(rasters))
        np.testing.assert_array_equal(got.label_map, expected.label_map)
        np.testing.assert_array_equal(got.router_weights, expected.router_weights)


def test_results_own_their_memory_and_earlier_instants_leave_no_trace(built_for_any, bundle):
    engine, rasters = load_built(bundle, 'tensorrt'), MODEL.rasters(3)
    alone = engine.infer(rasters, frozenset({'camera'}))
    kept = alone.label_map.copy()
    poison = {**MODEL.rasters(4), 'lidar': np.full((*INPUT_HW, 3), np.nan, np.float32)}
    engine.infer(poison, frozenset(MODALITIES))
    again = engine.infer(rasters, frozenset({'camera'}))
    np.testing.assert_array_equal(alone.label_map, kept)
    np.testing.assert_array_equal(again.label_map, kept)
    np.testing.assert_array_equal(again.router_weights, alone.router_weights)


def test_rasters_may_be_read_only_and_strided(built_for_any, bundle):
    engine, raster = load_built(bundle, 'tensorrt'), MODEL.rasters(6)['camera']
    expected = engine.infer({'camera': raster}, frozenset({'camera'})).label_map
    strided = np.zeros((*INPUT_HW, 4), np.uint8)
    strided[:, :, :3] = raster
    strided.setflags(write=False)
    got = engine.infer({'camera': strided[:, :, :3]}, frozenset({'camera'})).label_map
    np.testing.assert_array_equal(got, expected)


def test_one_graph_per_plan_and_nothing_else_crosses_the_bus(cuda, built, bundle):
    engine = load_built(bundle, 'tensorrt')
    cuda.log.clear()
    engine.infer(MODEL.rasters(), frozenset({'camera', 'lidar'}))
    pixels, up, down = INPUT_HW[0] * INPUT_HW[1], 'HostToDevice', 'DeviceToHost'
    expected = [
        ['graph', f'{up} {pixels * 3}', 'execute encoder_camera'],
        ['graph', f'{up} {pixels * 3 * 4}', 'execute encoder_lidar'],
        ['graph', f'{up} 3', 'execute fuse_decode'],
        [f'{down} {pixels}', f'{down} {pixels}', f'{down} {3 * 3 * 4}'],
    ]
    log = [line.removeprefix('cudaMemcpy') for line in cuda.log]
    assert log == [line for lines in expected for line in lines]
    assert engine.description == 'TensorRT 10.13.3.9 fp16 on Fake GPU, CUDA graphs'


def test_steady_calls_take_no_memory(cuda, built, bundle):
    engine = load_built(bundle, 'tensorrt')
    live = set(cuda.live)
    for seed in range(3):
        engine.infer(MODEL.rasters(seed), frozenset(MODALITIES))
    assert cuda.live == live


def test_the_decoder_waits_for_the_encoders(built, bundle, monkeypatch):
    """The fake would show old features otherwise: this proves that it does."""
    engine = load_built(bundle, 'tensorrt')
    rasters = MODEL.rasters(7)
    expected = engine.infer(rasters, frozenset({'camera'})).label_map
    engine.infer(MODEL.rasters(8), frozenset({'camera'}))
    monkeypatch.setattr('mle_sam_ros.runtime.cuda_runtime.Event.hold_back', lambda *_: None)
    lane = engine._decoder
    engine._encoders['encoder_camera'].launch()
    lane.launch(after=[engine._encoders['encoder_camera']])
    lane.stream.synchronize()
    assert (engine._outputs['label_map'].array != expected).any()
    engine._encoders['encoder_camera'].stream.synchronize()


def test_what_cannot_be_recorded_is_launched_kernel_by_kernel(cuda, bundle):
    sys.modules['tensorrt'].faults.add('capture')
    build_engine(bundle, 'tensorrt')
    engine = open_engine(bundle, 'tensorrt')
    assert engine.description.endswith('no CUDA graphs')
    assert 'graph' not in cuda.log
    expected = MODEL.infer(MODEL.rasters(), frozenset(MODALITIES))
    got = engine.infer(MODEL.rasters(), frozenset(MODALITIES))
    assert (got.label_map == expected.label_map).mean() > 0.99


def test_no_memory_left(cuda, bundle, built):
    cuda.free_bytes = 1000
    with pytest.raises(RuntimeError, match=r'CUDA: cudaMalloc: fake cudaErrorMemoryAllocation'):
        load_built(bundle, 'tensorrt')
    cuda.free_bytes = 1 << 30


def test_no_gpu(cuda, bundle):
    cuda.gpus = []
    with pytest.raises(InputError, match=r'cudaErrorNoDevice: expected a GPU; check its driver'):
        build_key(bundle, 'tensorrt', BuildOptions())
    with pytest.raises(InputError, match=r'expected a GPU'):
        load_built(bundle, 'tensorrt')


def test_no_tensorrt(bundle, monkeypatch):
    forget()
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with pytest.raises(InputError, match=r'expected the package (tensorrt|cuda)'):
        load_built(bundle, 'tensorrt')


def test_bad_requests(cuda, built, bundle):
    engine = load_built(bundle, 'tensorrt')
    with pytest.raises(InputError, match=r'expected some of the modalities .* got none'):
        engine.infer({}, frozenset())
    with pytest.raises(InputError, match=r'expected a camera raster .* got none'):
        engine.infer({}, frozenset({'camera'}))
    assert not cuda.pending


def test_features_too_small_for_tensorrt(cuda, tmp_path):
    from bundles import write_tiny_bundle

    small = write_tiny_bundle(tmp_path / 'small', (64, 128))
    with pytest.raises(InputError, match=r'encoder_camera: .* multiple of 256 bytes, got 384'):
        build_engine(small, 'tensorrt')


# Building


def head_of(engine, graph):
    content = (engine.directory / f'{graph}.plan').read_bytes()
    return json.loads(content.partition(b'\n')[0])


def test_what_is_asked_of_the_builder(any_cuda, bundle):
    if any_cuda is None:
        pytest.skip('only the fakes show what they were asked')
    plain = build_engine(bundle, 'tensorrt')
    head = head_of(plain, 'encoder_camera')
    assert (head['flags'], head['level'], head['pools']) == ([], 3, {})  # TF32 is cleared
    assert plain.record.key.options['precision'] == 'fp16'
    options = BuildOptions('fp32', 5, 1 << 20, refittable=True, version_compatible=True)
    other = build_engine(bundle, 'tensorrt', options)
    head = head_of(other, 'fuse_decode')
    assert head['flags'] == ['REFIT', 'VERSION_COMPATIBLE']
    assert (head['level'], head['pools']) == (5, {'WORKSPACE': 1 << 20})


def test_record_says_what_the_plans_are(cuda, bundle):
    record = build_engine(bundle, 'tensorrt', BuildOptions(precision='fp16')).record
    graph = record.graphs['encoder_camera.plan']
    assert graph['inputs'] == {'raster': '1x128x256x3 uint8'}
    assert graph['outputs']['features_0'] == '1x3x32x64 float16'
    assert graph['layer_types'] == {'Float': graph['num_layers']}
    assert set(record.files) == set(record.graphs)
    assert record.key.environment == {
        'gpu': 'Fake GPU', 'compute_capability': '9.0', 'cuda_driver': '13.0',
        'tensorrt': '10.13.3.9',
    }  # fmt: skip
    assert record.latency.num_calls == 2
    assert 0 < record.latency.p50_ms <= record.latency.p99_ms


def test_what_one_build_learnt_of_the_gpu_serves_the_next(cuda, bundle, cache):
    first = build_engine(bundle, 'tensorrt', BuildOptions(precision='fp32'))
    second = build_engine(bundle, 'tensorrt', BuildOptions(precision='fp16'))
    known = [head_of(first, f'encoder_{name}')['known_kernels'] for name in MODALITIES]
    assert known == [1, 2, 3]
    assert head_of(second, 'encoder_camera')['known_kernels'] == 5
    (timing,) = (cache / 'timing').iterdir()
    timing.write_bytes(b'of another GPU\n')
    third = build_engine(bundle, 'tensorrt', BuildOptions('fp32', optimization_level=1))
    assert head_of(third, 'encoder_camera')['known_kernels'] == 1


def test_progress_rises_to_the_end_and_names_what_is_done(any_cuda, bundle):
    told = []
    build_engine(bundle, 'tensorrt', progress=lambda *what: told.append(what))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) > 20 or any_cuda is None
    stages = list(dict.fromkeys(stage for stage, _ in told))
    encoders = [f'compiling encoder_{name}' for name in MODALITIES]
    expected = [*encoders, 'compiling fuse_decode', 'compiled', 'proving', 'measuring', 'done']
    assert stages == expected


def test_a_graph_that_does_not_compile(cuda, bundle, cache):
    sys.modules['tensorrt'].faults.add('compile')
    with pytest.raises(InputError, match=r'camera\.fp16\.onnx: .*got .no kernel for this layer.;'):
        build_engine(bundle, 'tensorrt')
    assert_nothing_is_left(cache)


def test_a_graph_that_cannot_be_read(cuda, bundle, tmp_path, cache):
    files = {name: bundle.path(name) for name in bundle.manifest.files}
    files['encoder_event.fp16.onnx'] = onnx.ModelProto(ir_version=10).SerializeToString()
    broken = write_bundle(tmp_path / 'broken', files, manifest_mapping(INPUT_HW))
    with pytest.raises(InputError, match=r'event\.fp16\.onnx: expected a graph that .*10\.13.* r'):
        build_engine(broken, 'tensorrt')
    assert_nothing_is_left(cache)


def test_a_plan_that_does_not_fit_into_the_gpu(cuda, bundle, cache):
    sys.modules['tensorrt'].faults.add('memory')
    with pytest.raises(InputError, match=r'GPU memory for what TensorRT 10\.13\.3\.9 computes'):
        build_engine(bundle, 'tensorrt')
    assert_nothing_is_left(cache)


def test_progress_that_raises_gives_the_build_up(cuda, bundle, cache):
    def stop(stage, share):
        if share > 0.3:
            raise InputError('enough')

    with pytest.raises(InputError, match=r'^enough$'):
        build_engine(bundle, 'tensorrt', progress=stop)
    assert_nothing_is_left(cache)


def test_an_encoder_of_other_features(cuda, bundle, tmp_path):
    """A graph that says float16 where its precision is float32 is refused by the contract."""
    files = {name: bundle.path(name) for name in bundle.manifest.files}
    files['encoder_lidar.onnx'] = half(encoder_graph(MODEL, 'lidar')).SerializeToString()
    wrong = write_bundle(tmp_path / 'wrong', files, manifest_mapping(INPUT_HW))
    with pytest.raises(InputError, match=r'encoder_lidar\.plan: outputs: expected .*float32'):
        build_engine(wrong, 'tensorrt', BuildOptions(precision='fp32'))


def test_a_wrong_weight_is_refused_and_its_graph_named(any_cuda, bundle, tmp_path, cache):
    other = TinyModel(INPUT_HW)
    for level in range(3):
        other.patterns['event', level] *= -1
    files = {name: bundle.path(name) for name in bundle.manifest.files}
    files['encoder_event.fp16.onnx'] = half(encoder_graph(other, 'event')).SerializeToString()
    wrong = write_bundle(tmp_path / 'wrong', files, manifest_mapping(INPUT_HW))
    with pytest.raises(InputError, match=r'fp16.* first graph that diverges: encoder_event \('):
        build_engine(wrong, 'tensorrt')
    assert_nothing_is_left(cache)


def test_weights_beside_the_graphs_are_part_of_the_key(cuda, bundle, tmp_path):
    keys = []
    for name, scale in (('one', 1), ('two', 2)):
        graph = onnx.load(bundle.path('fuse_decode.fp16.onnx'))
        directory = tmp_path / name
        directory.mkdir()
        weights = next(t for t in graph.graph.initializer if t.name == 'class_weights')
        array = scale * onnx.numpy_helper.to_array(weights)
        weights.CopyFrom(onnx.numpy_helper.from_array(array, 'class_weights'))
        onnx.save(
            graph, directory / 'fuse_decode.fp16.onnx', save_as_external_data=True,
            location='weights.bin', size_threshold=64,
        )  # fmt: skip
        files = {n: bundle.path(n) for n in bundle.manifest.files}
        files |= {n: directory / n for n in ('fuse_decode.fp16.onnx', 'weights.bin')}
        split = write_bundle(tmp_path / f'{name}-bundle', files, manifest_mapping(INPUT_HW))
        keys.append(build_key(split, 'tensorrt', BuildOptions())[0])
        if scale == 1:
            build_engine(split, 'tensorrt')
    assert keys[0].sources['fuse_decode.fp16.onnx'] == keys[1].sources['fuse_decode.fp16.onnx']
    assert keys[0].digest != keys[1].digest


def test_precision_that_the_bundle_does_not_have(cuda, bundle, tmp_path):
    names = [name for name in bundle.manifest.files if 'fp16' not in name]
    plain = write_bundle(
        tmp_path / 'plain', {n: bundle.path(n) for n in names}, manifest_mapping(INPUT_HW)
    )
    assert build_key(plain, 'tensorrt', BuildOptions())[1].precision == 'fp32'
    with pytest.raises(InputError, match=r'expected encoder_camera\.fp16\.onnx for a fp16'):
        build_key(plain, 'tensorrt', BuildOptions(precision='fp16'))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (BuildOptions(precision='int8'), r'precision: expected fp32 or fp16, got .int8.'),
        (BuildOptions(optimization_level=6), r'optimization_level: expected 0 to 5, got 6'),
        (BuildOptions(workspace_bytes=0), r'workspace_bytes: expected > 0, got 0'),
    ],
)
def test_bad_options(cuda, bundle, options, message):
    with pytest.raises(InputError, match=message):
        build_engine(bundle, 'tensorrt', options)


def test_version_compatible_plans_serve_the_next_version(bundle):
    try:
        options = BuildOptions(version_compatible=True)
        install('10.13.3.9')
        build_engine(bundle, 'tensorrt', options)
        gc.collect()
        install('10.16.1.11')
        assert '10.16.1.11' in open_engine(bundle, 'tensorrt').description
        gc.collect()
        install('11.4.0.106')
        with pytest.raises(NotBuiltError, match=r'one for tensorrt 10, not 11'):
            open_engine(bundle, 'tensorrt')
    finally:
        forget()


def assert_nothing_is_left(cache):
    assert {path.name for path in cache.iterdir()} <= {'lock', 'timing'}
