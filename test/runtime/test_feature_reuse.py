"""A raster that was encoded last is not encoded again, and nothing else changes."""

from importlib.util import find_spec

from bundles import MODALITIES, TinyModel, write_tiny_bundle
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import load_engine, open_engine
import numpy as np
import pytest

MODEL = TinyModel()
ALL = frozenset(MODALITIES)
BACKENDS = [
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


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    return request.param


def encoded(inference) -> set[str]:
    return {part.removeprefix('encoder_') for part in inference.timings_ms} - {'fuse_decode'}


def assert_same(a, b):
    np.testing.assert_array_equal(a.label_map, b.label_map)
    np.testing.assert_array_equal(a.confidence, b.confidence)
    np.testing.assert_array_equal(a.router_weights, b.router_weights)


def test_off_unless_asked_for(bundle, backend):
    engine, rasters = open_engine(bundle, backend, threads=1), MODEL.rasters(1)
    for _ in range(2):
        assert encoded(engine.infer(rasters, ALL)) == ALL


def test_a_slow_sensor_is_encoded_once_per_sample(bundle, backend):
    """A camera at twice the rate of the LiDAR, which also drops out once."""
    engine = open_engine(bundle, backend, threads=1, reuse_features=True)
    plain = load_engine(bundle, backend, threads=1)
    sweeps = [MODEL.rasters(seed)['lidar'] for seed in (100, 101, 102)]
    for frame in range(6):
        fresh = MODEL.rasters(frame)
        rasters = {'camera': fresh['camera'], 'lidar': sweeps[frame // 2]}
        present = frozenset({'camera'} if frame == 2 else {'camera', 'lidar'})
        got = engine.infer(rasters, present)
        expects_sweep = frame in (0, 3, 4)
        assert encoded(got) == {'camera'} | ({'lidar'} if expects_sweep else set())
        assert_same(got, plain.infer(rasters, present))


def test_subsets_of_one_instant_are_encoded_once(bundle, backend):
    engine = open_engine(bundle, backend, threads=1, reuse_features=True)
    rasters = MODEL.rasters(4)
    plain = load_engine(bundle, backend, threads=1)
    assert encoded(engine.infer(rasters, ALL)) == ALL
    for present in ({'camera', 'lidar'}, {'event'}, ALL):
        got = engine.infer(rasters, frozenset(present))
        assert encoded(got) == set()
        assert_same(got, plain.infer(rasters, frozenset(present)))


def test_an_equal_raster_in_another_array_is_encoded(bundle, backend):
    """Only the very array is known to be the same sample."""
    engine = open_engine(bundle, backend, threads=1, reuse_features=True)
    rasters = MODEL.rasters(4)
    engine.infer(rasters, ALL)
    copies = {name: raster.copy() for name, raster in rasters.items()}
    assert encoded(engine.infer(copies, ALL)) == ALL
    assert encoded(engine.infer(rasters, ALL)) == ALL  # the copies came between


def test_an_encoder_that_failed_left_nothing_to_reuse(bundle, backend, monkeypatch):
    engine = open_engine(bundle, backend, threads=1, reuse_features=True)
    rasters, encode = MODEL.rasters(5), engine._encode

    def fail(name, raster):
        encode(name, MODEL.rasters(6)[name])
        raise RuntimeError('out of memory')

    engine.infer(rasters, ALL)
    monkeypatch.setattr(engine, '_encode', fail)
    other = {**rasters, 'lidar': rasters['lidar'].copy()}
    with pytest.raises(RuntimeError):
        engine.infer(other, ALL)
    monkeypatch.setattr(engine, '_encode', encode)
    for lidar in (other['lidar'], rasters['lidar']):
        asked = {**rasters, 'lidar': lidar}
        got = engine.infer(asked, ALL)
        assert 'lidar' in encoded(got)
        assert_same(got, load_engine(bundle, backend, threads=1).infer(asked, ALL))
