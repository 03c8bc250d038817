"""The torch backend: compiled here, proven, and captured in the right order."""

from collections.abc import Callable
import ctypes
from itertools import combinations
import json
from pathlib import Path
import shutil

from bundles import (
    golden_arrays,
    MODALITIES,
    npz_bytes,
    TinyModel,
    write_tiny_bundle,
)
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import build_engine, build_key, BuildOptions
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.engine_cache import CachedEngine
from mle_sam_ros.runtime.gate import prove
from mle_sam_ros.runtime.latency import Latency
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from mle_sam_ros.runtime import torch_build  # noqa: E402
from mle_sam_ros.runtime.torch_device import HostDevice  # noqa: E402
from mle_sam_ros.runtime.torch_engine import SIGNATURES_NAME, TorchEngine  # noqa: E402
from torch_programs import stacked_program, with_files, write_program_bundle  # noqa: E402

HW = (64, 128)
MODEL = TinyModel(HW)
pytestmark = pytest.mark.slow  # the one build
SUBSETS = [s for n in (1, 2, 3) for s in combinations(MODALITIES, n)]
FP32 = BuildOptions(precision='fp32')


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Bundle:
    room = tmp_path_factory.mktemp('bundle')
    files = {'encoders_stacked.pt2': stacked_program(MODEL)}
    return with_files(write_program_bundle(room / 'tiny', HW), room / 'stacked', files)


@pytest.fixture(scope='module')
def steps() -> list[tuple[str, float]]:
    return []


@pytest.fixture(scope='module')
def built(bundle, steps, tmp_path_factory) -> CachedEngine:
    """Compiling takes a minute: once for all tests. All encoders as one package are faster."""

    def measure(engine, rasters, present):
        return Latency(1.0 if engine.is_stacked else 2.0, 3.0, 20)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mle_sam_ros.runtime.build.measure_latency', measure)
        patch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path_factory.mktemp('cache')))
        return build_engine(bundle, 'torch', FP32, lambda *step: steps.append(step))


@pytest.fixture
def cache(built, monkeypatch) -> Path:
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(built.directory.parent))
    return built.directory.parent


@pytest.fixture(scope='module')
def separate(built, tmp_path_factory) -> Path:
    """What a build leaves where the encoders are faster one by one."""
    directory = tmp_path_factory.mktemp('separate') / 'engine'
    left_out = shutil.ignore_patterns('encoders_stacked.*')
    return shutil.copytree(built.directory, directory, ignore=left_out)


@pytest.fixture(scope='module')
def engine(bundle, separate) -> TorchEngine:
    return TorchEngine(bundle, separate)


@pytest.mark.parametrize('present', SUBSETS)
def test_answers_as_the_numpy_twin(engine, present):
    rasters = MODEL.rasters(1)
    only_present = {name: rasters[name] for name in present}
    got = engine.infer(only_present, frozenset(present))
    expected = MODEL.infer(rasters, frozenset(present))
    assert (got.label_map.dtype, got.confidence.dtype) == (np.uint8, np.uint8)
    assert (got.label_map == expected.label_map).mean() > 0.999
    assert np.abs(got.confidence.astype(int) - expected.confidence).max() <= 1
    np.testing.assert_allclose(got.router_weights, expected.router_weights, atol=1e-5)
    parts = [f'encoder_{name}' for name in MODALITIES if name in present]
    assert list(got.timings_ms) == [*parts, 'fuse_decode']


def test_build_tells_where_it_is_and_what_it_wrote(built, steps):
    encoders = [f'encoder_{name}' for name in MODALITIES]
    compiled = [stage for stage, _ in steps][:6]
    assert compiled == [*encoders, 'encoders_stacked', 'fuse_decode', 'compiled']
    shares = [share for _, share in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert built.record.key.environment['torch'] == torch.__version__
    assert set(built.record.files) == {*built.record.graphs, SIGNATURES_NAME}
    camera = built.record.graphs['encoder_camera.compiled.pt2']
    assert camera['inputs'] == {'raster': [[1, *HW, 3], 'uint8']}


def test_the_proven_engine_is_the_one_that_opens(bundle, cache):
    engine = open_engine(bundle, 'torch')
    assert isinstance(engine, TorchEngine)
    assert engine.description == f'torch {torch.__version__} fp32, {HostDevice.name}'


def test_all_encoders_as_one_package(bundle, built, cache):
    ports = built.record.graphs['encoders_stacked.compiled.pt2']['inputs']
    assert list(ports) == [f'raster_{name}' for name in MODALITIES]
    engine, rasters = open_engine(bundle, 'torch'), MODEL.rasters(2)
    got = engine.infer(rasters, frozenset(MODALITIES))
    assert list(got.timings_ms) == ['encoders_stacked', 'fuse_decode']
    expected = MODEL.infer(rasters, frozenset(MODALITIES))
    assert (got.label_map == expected.label_map).mean() > 0.999
    one = engine.infer(rasters, frozenset({'lidar'}))
    assert list(one.timings_ms) == ['encoder_lidar', 'fuse_decode']


def test_features_are_those_of_the_encoder(engine):
    rasters = MODEL.rasters(7)
    engine.infer(rasters, frozenset({'lidar'}))
    expected = MODEL.features('lidar', rasters['lidar'])
    for got, wanted in zip(engine.features('lidar'), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_earlier_instants_leave_no_trace_and_results_own_their_memory(engine):
    rasters = MODEL.rasters(3)
    alone = engine.infer(rasters, frozenset({'camera'}))
    kept = alone.label_map.copy()
    poison = {**MODEL.rasters(4), 'lidar': np.full((*HW, 3), np.nan, np.float32)}
    engine.infer(poison, frozenset(MODALITIES))
    again = engine.infer(rasters, frozenset({'camera'}))
    np.testing.assert_array_equal(alone.label_map, kept)
    np.testing.assert_array_equal(again.label_map, kept)
    np.testing.assert_array_equal(again.router_weights, alone.router_weights)


def test_a_sweep_of_several_frames_is_encoded_once(engine, monkeypatch):
    rasters, present = MODEL.rasters(7), frozenset({'camera', 'lidar'})
    expected = engine.infer(rasters, present)
    monkeypatch.setattr(engine, 'reuse_features', True)
    newer = {**rasters, 'camera': rasters['camera'].copy()}
    got = engine.infer(newer, present)
    assert list(got.timings_ms) == ['encoder_camera', 'fuse_decode']
    np.testing.assert_array_equal(got.label_map, expected.label_map)
    np.testing.assert_array_equal(got.router_weights, expected.router_weights)


def test_rasters_may_be_read_only_and_strided(engine):
    rasters = MODEL.rasters(6)
    expected = engine.infer(rasters, frozenset({'camera'})).label_map
    strided = np.zeros((*HW, 4), np.uint8)
    strided[:, :, :3] = rasters['camera']
    strided.setflags(write=False)
    got = engine.infer({'camera': strided[:, :, :3]}, frozenset({'camera'})).label_map
    np.testing.assert_array_equal(got, expected)


class GraphDevice(HostDevice):
    """The processor with some manners of a GPU: staging memory of its own, and captured graphs."""

    def __init__(self):
        self.num_captured = 0
        self.launched: list[int] = []
        self.finished = 0

    def staging(self, tensor):
        return torch.full_like(tensor, 7 if tensor.dtype != torch.bool else True)

    def capture(self, run: Callable[[], None]) -> Callable[[], None]:
        run()
        index, self.num_captured = self.num_captured, self.num_captured + 1

        def replay() -> None:
            self.launched.append(index)
            run()

        return replay

    def finish(self):
        self.finished += 1


def test_absent_modalities_are_neither_copied_nor_launched(bundle, separate):
    device = GraphDevice()
    engine = TorchEngine(bundle, separate, device=device)
    assert device.num_captured == 4
    rasters = MODEL.rasters(2)
    expected = MODEL.infer(rasters, frozenset({'event', 'lidar'}))
    got = engine.infer(
        {'event': rasters['event'], 'lidar': rasters['lidar']}, frozenset({'event', 'lidar'})
    )
    assert device.launched == [1, 2, 3]
    assert device.finished == 1
    assert (got.label_map == expected.label_map).mean() > 0.999
    np.testing.assert_allclose(got.router_weights, expected.router_weights, atol=1e-5)


def test_an_engine_that_answers_otherwise_is_refused(bundle, separate, tmp_path):
    arrays = golden_arrays(MODEL)
    arrays['router_weights/event'] = np.full((3, 3), 0.5, np.float32)
    wrong = with_files(bundle, tmp_path / 'wrong', {'golden.npz': npz_bytes(arrays)})
    with pytest.raises(InputError, match=r'torch.*fp32.*for event agreement 1.*router 0\.5'):
        prove(TorchEngine(wrong, separate), wrong)


def test_a_program_that_cannot_be_read(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'cache'))
    broken = with_files(bundle, tmp_path / 'broken', {'encoder_camera.pt2': b'PK'})
    with pytest.raises(InputError, match=r'encoder_camera\.pt2: expected a program that torch'):
        build_engine(broken, 'torch', FP32)


def test_a_bundle_without_programs_names_the_first(tmp_path):
    plain = write_tiny_bundle(tmp_path / 'plain', HW)
    with pytest.raises(InputError, match=r'expected encoder_camera\.pt2 for a fp32 engine of t'):
        build_key(plain, 'torch', FP32)


def test_what_is_compiled_for_a_gpu_depends_on_the_gpu_and_its_driver(monkeypatch):
    class Driver:
        @staticmethod
        def cuDriverGetVersion(version):
            version._obj.value = 13020

    monkeypatch.setattr(ctypes, 'CDLL', {'libcuda.so.1': Driver}.__getitem__)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (9, 0))
    monkeypatch.setattr(torch_build, 'best_device', HostDevice)
    facts = torch_build.environment(FP32)
    assert facts.keys() == {'torch', 'device', 'compute_capability', 'cuda', 'driver'}
    assert (facts['compute_capability'], facts['driver']) == ('9.0', '13020')


def test_fp16_programs_are_others():
    assert torch_build.program_name('encoder_camera', 'fp16') == 'encoder_camera.fp16.pt2'
    assert torch_build.program_name('fuse_decode') == 'fuse_decode.pt2'


def test_options_of_tensorrt_are_refused(bundle):
    with pytest.raises(InputError, match=r'refittable: expected none for torch, got True'):
        build_key(bundle, 'torch', BuildOptions('fp32', refittable=True))


@pytest.mark.parametrize('damage', ['package', 'signatures', 'shape'])
def test_damaged_builds_are_refused(bundle, separate, tmp_path, damage):
    copy = tmp_path / 'copy'
    shutil.copytree(separate, copy)
    if damage == 'package':
        (copy / 'encoder_event.compiled.pt2').write_bytes(b'PK')
        message = r'encoder_event\.compiled\.pt2: expected a package that torch'
    elif damage == 'signatures':
        (copy / SIGNATURES_NAME).write_text('{')
        message = r'signatures\.json: expected the signatures'
    else:
        signatures = json.loads((copy / SIGNATURES_NAME).read_text())
        signatures['encoder_lidar.compiled.pt2']['inputs']['raster'][0][1] = 32
        (copy / SIGNATURES_NAME).write_text(json.dumps(signatures))
        message = r'encoder_lidar: inputs: expected raster 1x64x128x3 float32, got raster 1x32x'
    with pytest.raises(InputError, match=message):
        TorchEngine(bundle, copy)
