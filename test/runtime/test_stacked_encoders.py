"""All encoders as one batch: where it is faster, only for all modalities, and proven likewise."""

import gc

from bundles import MODALITIES, TinyModel
from fake_tensorrt import forget, install
from half_bundle import half, INPUT_HW
from mle_sam_ros.cli import main
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import build_engine
from mle_sam_ros.runtime.built_engines import load_built
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.engine_cache import EngineCache
from mle_sam_ros.runtime.golden import subsets
from mle_sam_ros.runtime.latency import Latency
import numpy as np
import pytest
from stacked_bundle import stacked_graph, write_stacked_bundle

MODEL = TinyModel(INPUT_HW)
ALL = frozenset(MODALITIES)
SEPARATE = [f'encoder_{name}' for name in MODALITIES]


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Bundle:
    return write_stacked_bundle(tmp_path_factory.mktemp('bundle') / 'tiny')


@pytest.fixture(autouse=True, params=['10.3.0.26', '11.4.0.106'])
def cuda(request, tmp_path, monkeypatch):
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'cache'))
    cuda = install(request.param)
    try:
        yield cuda
        gc.collect()
        assert not cuda.live, 'something was not freed'
    finally:
        forget()


@pytest.fixture
def pace(monkeypatch):
    """Milliseconds that each form takes on this machine."""
    times = {'separate': 8.0, 'stacked': 7.0}

    def measure(engine, rasters, present):
        assert present == ALL
        engine.infer(rasters, present)
        milliseconds = times['stacked' if engine.is_stacked else 'separate']
        return Latency(milliseconds, milliseconds + 1, 20)

    monkeypatch.setattr('mle_sam_ros.runtime.build.measure_latency', measure)
    return times


def encoders_of(inference) -> list[str]:
    return [graph for graph in inference.timings_ms if graph != 'fuse_decode']


def test_the_faster_form_runs_where_all_are_there_and_nothing_else_ever(bundle, pace):
    record = build_engine(bundle, 'tensorrt').record
    assert {form: latency.p50_ms for form, latency in record.encoders.items()} == pace
    assert record.latency.p50_ms == 7.0
    engine = open_engine(bundle, 'tensorrt')
    for present in subsets(MODALITIES):
        rasters = MODEL.rasters(seed=len(present))
        got = engine.infer({name: rasters[name] for name in present}, frozenset(present))
        expected = MODEL.infer(rasters, frozenset(present))
        assert (got.label_map == expected.label_map).mean() > 0.99
        np.testing.assert_allclose(got.router_weights, expected.router_weights, atol=1e-3)
        one_by_one = [f'encoder_{name}' for name in present]
        assert encoders_of(got) == (one_by_one if present != MODALITIES else ['encoders_stacked'])


def test_what_is_encoded_already_is_not_encoded_with_the_others(bundle, pace):
    build_engine(bundle, 'tensorrt')
    engine = load_built(bundle, 'tensorrt')
    engine.reuse_features = True
    first, second = MODEL.rasters(1), MODEL.rasters(2)
    assert encoders_of(engine.infer(first, ALL)) == ['encoders_stacked']
    assert encoders_of(engine.infer(first, ALL)) == []
    got = engine.infer({**second, 'lidar': first['lidar']}, ALL)
    assert encoders_of(got) == ['encoder_camera', 'encoder_event']
    assert encoders_of(engine.infer(first, ALL)) == ['encoder_camera', 'encoder_event']
    assert encoders_of(engine.infer(second, ALL)) == ['encoders_stacked']


def test_the_slower_form_is_not_kept(bundle, pace, capsys):
    pace['stacked'] = 9.0
    engine = build_engine(bundle, 'tensorrt')
    assert not any('stacked' in name for name in (*engine.record.files, *engine.record.graphs))
    assert not list(engine.directory.glob('*stacked*'))
    engine.verify()
    inference = open_engine(bundle, 'tensorrt').infer(MODEL.rasters(), ALL)
    assert encoders_of(inference) == SEPARATE
    assert main(['build-engine', '--list']) == 0
    listed = capsys.readouterr().out
    assert 'p50 8.00 ms, p99 9.00 ms (encoders separate; stacked 9.00 ms)' in listed


def test_a_wrong_stacked_graph_is_refused_by_its_name(tmp_path, pace):
    mistaken = stacked_graph(MODEL, ('camera', 'camera', 'lidar'))
    files = {'encoders_stacked__fp16__onnx': half(mistaken).SerializeToString()}
    wrong = write_stacked_bundle(tmp_path / 'wrong', **files)
    with pytest.raises(InputError, match=r'diverges: encoders_stacked \(one by one'):
        build_engine(wrong, 'tensorrt')
    assert EngineCache().directories() == []


def test_a_stacked_graph_of_fewer_modalities_breaks_the_contract(tmp_path, pace):
    fewer = stacked_graph(MODEL, ('camera', 'event'))
    files = {'encoders_stacked__fp16__onnx': half(fewer).SerializeToString()}
    wrong = write_stacked_bundle(tmp_path / 'wrong', **files)
    with pytest.raises(InputError, match=r'encoders_stacked.plan: outputs: expected .* 3x3x32x64'):
        build_engine(wrong, 'tensorrt')


def test_a_bundle_tells_what_it_holds(bundle, capsys):
    assert main(['check-bundle', str(bundle.directory), '--backend', 'onnx']) == 0
    both = 'fp32 graphs (encoders stacked, too), fp16 graphs (encoders stacked, too)'
    assert f'holds: {both}\n' in capsys.readouterr().out


def test_processors_leave_it_alone(bundle):
    assert encoders_of(open_engine(bundle, 'onnx', 1).infer(MODEL.rasters(), ALL)) == SEPARATE
