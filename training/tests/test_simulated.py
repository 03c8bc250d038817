from dataclasses import replace
from multiprocessing import get_context
import os
import time

from mle_sam.datasets.shards import read_record, read_sample
from mle_sam.datasets.simulated import lacking, make_rasters, seed_path, simulate
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.simulation import moments as simulation
import numpy as np
import pytest

NAMES = ('camera', 'event', 'lidar')
SEED, COUNT = 7, 2


@pytest.fixture(scope='module')
def truth():
    return list(simulation.moments(SEED, COUNT))


@pytest.fixture
def renderings(truth, monkeypatch, tmp_path):
    """Counts how often a drive is rendered, in whatever process; the same moments every time."""
    log = tmp_path / 'renderings.log'
    log.touch()

    def slow_moments(seed, count):
        with open(log, 'a') as file:
            print(seed, count, os.getpid(), file=file)
        time.sleep(0.3)
        yield from truth[:count]

    monkeypatch.setattr(simulation, 'moments', slow_moments)
    return lambda: log.read_text().splitlines()


def only(network, *names):
    specs = tuple(spec for spec in network.modalities if spec.name in names)
    return replace(network, modalities=specs)


def test_shards_hold_what_the_vehicle_would_see(network, truth, tmp_path):
    simulate(SEED, COUNT, network, tmp_path / 'a')
    for index, moment in enumerate(truth):
        projection = Projection(network, moment.calibration)
        stored = read_sample(tmp_path / 'a', index, replace(network, classes=11 * network.classes))
        assert np.array_equal(stored.rasters['camera'], projection.raster('camera', moment.image))
        assert np.array_equal(stored.rasters['event'], projection.raster('event', moment.events))
        lidar = projection.raster('lidar', moment.cloud)
        np.testing.assert_allclose(stored.rasters['lidar'], lidar, rtol=1e-3, atol=1e-3)
        assert (lidar > 0).any()
        assert (stored.condition, stored.failure) == (moment.condition, moment.failure)
        assert stored.source == f'seed 7 at {moment.stamp_ns / 1e9:.3f} s'
        assert stored.labels.shape == network.input_hw
        assert len(np.unique(stored.labels)) > 3


def test_what_is_there_is_not_made_again(network, renderings, tmp_path):
    shard = seed_path(tmp_path, SEED)
    assert lacking(shard, COUNT, network) == NAMES
    simulate(SEED, COUNT, network, shard)
    before = {path: path.stat().st_mtime_ns for path in shard.rglob('*')}
    simulate(SEED, COUNT, network, shard)
    simulate(SEED, 1, only(network, 'event'), shard)
    assert {path: path.stat().st_mtime_ns for path in shard.rglob('*')} == before
    assert len(renderings()) == 1


def test_a_stage_with_fewer_modalities_does_not_spoil_the_shard(network, renderings, tmp_path):
    """The trunk sees the camera only; what the experts need joins later, of the same moments."""
    simulate(SEED, COUNT, only(network, 'camera'), tmp_path / 'a')
    assert lacking(tmp_path / 'a', 1, network) == ('event', 'lidar')
    simulate(SEED, 1, network, tmp_path / 'a')
    simulate(SEED, COUNT, network, tmp_path / 'b')
    assert [line.split()[:2] for line in renderings()] == [[str(SEED), str(COUNT)]] * 3
    for name in (*NAMES, 'labels'):
        assert (tmp_path / 'a' / f'{name}.npy').read_bytes() == (
            tmp_path / 'b' / f'{name}.npy'
        ).read_bytes()
    assert read_record(tmp_path / 'a') == read_record(tmp_path / 'b')


def test_of_many_that_want_a_shard_at_once_one_makes_it(network, renderings, tmp_path):
    shard = tmp_path / 'a'
    context = get_context('fork')
    several = [
        context.Process(target=simulate, args=(SEED, COUNT, network, shard)) for _ in range(3)
    ]
    for process in several:
        process.start()
    for process in several:
        process.join(timeout=300)
    assert [process.exitcode for process in several] == [0, 0, 0]
    assert len(renderings()) == 1
    assert lacking(shard, COUNT, network) == ()


def test_a_killed_maker_leaves_nothing_that_hinders(network, renderings, tmp_path, monkeypatch):
    shard, begun = tmp_path / 'a', tmp_path / 'begun'

    def endless_moments(seed, count):
        begun.touch()
        time.sleep(3600)
        yield

    with monkeypatch.context() as patch:
        patch.setattr(simulation, 'moments', endless_moments)
        process = get_context('fork').Process(target=simulate, args=(SEED, COUNT, network, shard))
        process.start()
    while not begun.exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert not shard.exists()
    simulate(SEED, COUNT, network, shard)
    assert lacking(shard, COUNT, network) == ()


def test_a_shard_of_too_few_moments_is_refused(network, renderings, tmp_path):
    simulate(SEED, COUNT, network, tmp_path / 'a')
    with pytest.raises(InputError, match=r'/a: expected 3 moments, got 2; lower'):
        simulate(SEED, 3, network, tmp_path / 'a')


def test_events_are_cut_to_the_networks_window(network, truth):
    short = tuple(
        replace(spec, encoding=replace(spec.encoding, window_ns=10_000_000))
        if spec.name == 'event'
        else spec
        for spec in network.modalities
    )
    full = make_rasters(truth[0], network)['event'].sum(dtype=int)
    cut = make_rasters(truth[0], replace(network, modalities=short))['event'].sum(dtype=int)
    assert cut < full
