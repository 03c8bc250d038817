from dataclasses import replace

from mle_sam.datasets.simulated import make_rasters, prepare, read_shards, seed_range
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.simulation.moments import moments
import numpy as np
import pytest

NAMES = ('camera', 'event', 'lidar')


@pytest.fixture(scope='module')
def directory(network, tmp_path_factory):
    path = tmp_path_factory.mktemp('data')
    prepare(network, seed_range((7, 7)), 2, path, num_processes=1)
    return path


def test_shards_hold_what_the_vehicle_would_see(network, directory):
    (shard,) = read_shards(directory, seed_range((7, 7)), NAMES)
    for index, moment in enumerate(moments(7, 2)):
        projection = Projection(network, moment.calibration)
        stored = {name: shard.rasters[name][index] for name in NAMES}
        assert np.array_equal(stored['camera'], projection.raster('camera', moment.image))
        assert np.array_equal(stored['event'], projection.raster('event', moment.events))
        lidar = projection.raster('lidar', moment.cloud)
        np.testing.assert_allclose(stored['lidar'], lidar, rtol=1e-3, atol=1e-3)
        assert (lidar > 0).any()
        assert (shard.conditions[index], shard.failures[index]) == (
            moment.condition,
            moment.failure,
        )
    assert shard.labels.shape == (2, *network.input_hw)
    assert len(np.unique(shard.labels)) > 3


def test_what_is_there_is_not_made_again(network, directory):
    before = {path: path.stat().st_mtime_ns for path in directory.rglob('*')}
    prepare(network, seed_range((7, 7)), 2, directory, num_processes=1)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob('*')} == before
    assert not list(directory.glob('partial_*'))


def test_missing_shards(directory):
    with pytest.raises(InputError, match='got none of 2 of them; run mle-sam-training prepare'):
        read_shards(directory, seed_range((7, 9)), NAMES)


def test_events_are_cut_to_the_networks_window(network):
    (moment,) = moments(7, 1)
    short = tuple(
        replace(spec, encoding=replace(spec.encoding, window_ns=10_000_000))
        if spec.name == 'event'
        else spec
        for spec in network.modalities
    )
    full = make_rasters(moment, network)['event'].sum(dtype=int)
    cut = make_rasters(moment, replace(network, modalities=short))['event'].sum(dtype=int)
    assert cut < full
