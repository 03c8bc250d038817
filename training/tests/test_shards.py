from dataclasses import replace
import fcntl
import json

from mle_sam.datasets.shards import (
    missing_modalities,
    read_record,
    read_sample,
    shard_lock,
    write_shard,
)
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest
from toy import HW, ToyDataset

TOY = ToyDataset()


@pytest.fixture
def samples():
    """Four; the second lacks the LiDAR, the third the camera."""
    samples = [TOY[index] for index in range(4)]
    del samples[1].rasters['lidar'], samples[2].rasters['camera']
    return samples


@pytest.fixture
def shard(samples, network, tmp_path):
    write_shard(tmp_path / 'seed_00003', samples, network)
    return tmp_path / 'seed_00003'


def only(network, *names):
    specs = tuple(spec for spec in network.modalities if spec.name in names)
    return replace(network, modalities=specs)


def with_window(network, window_ns):
    specs = tuple(
        replace(spec, encoding=replace(spec.encoding, window_ns=window_ns))
        if spec.name == 'event'
        else spec
        for spec in network.modalities
    )
    return replace(network, modalities=specs)


def assert_same(sample, expected, names=('camera', 'event', 'lidar')):
    assert sample.rasters.keys() == expected.rasters.keys() & set(names)
    for name, raster in sample.rasters.items():
        assert raster.dtype == expected.rasters[name].dtype
        np.testing.assert_allclose(raster, expected.rasters[name], rtol=5e-4)
    assert np.array_equal(sample.labels, expected.labels)
    assert sample[2:] == expected[2:]


def test_samples_come_back(shard, samples, network):
    """Images and labels exactly, floats to half precision, absent modalities absent."""
    assert len(read_record(shard)) == 4
    for index, expected in enumerate(samples):
        assert_same(read_sample(shard, index, network), expected)
        camera = only(network, 'camera')
        assert_same(read_sample(shard, index, camera), expected, ('camera',))


def test_floats_that_are_too_large_for_half_precision_are_kept(samples, network, tmp_path):
    samples[0].rasters['lidar'][0, 0, 1] = 70_000
    write_shard(tmp_path / 'a', samples, network)
    assert np.array_equal(
        read_sample(tmp_path / 'a', 0, network).rasters['lidar'], samples[0].rasters['lidar']
    )


def test_what_is_read_is_no_part_of_the_file(shard, network):
    before = read_sample(shard, 0, network)
    for array in (*before.rasters.values(), before.labels):
        array[:] = 1
    assert not np.array_equal(read_sample(shard, 0, network).labels, before.labels)


def test_shards_of_release_0_1_are_read(shard, samples, network):
    """They have no sources, presence and encodings."""
    record = json.loads((shard / 'moments.json').read_text())
    old = {'conditions': record['conditions'], 'failures': record['failures']}
    (shard / 'moments.json').write_text(json.dumps(old))
    assert missing_modalities(shard, network) == ()
    assert missing_modalities(shard, with_window(network, 1)) == ()
    assert_same(read_sample(shard, 0, network), samples[0]._replace(source='seed_00003, moment 0'))
    (shard / 'event.npy').unlink()
    assert missing_modalities(shard, only(network, 'camera')) == ()
    with pytest.raises(InputError, match=r'seed_00003: expected event, got a shard of release'):
        missing_modalities(shard, network)


def test_a_shard_is_given_more_modalities(samples, network, tmp_path):
    shard = tmp_path / 'seed_00004'
    assert missing_modalities(shard, network) == ('camera', 'event', 'lidar')
    write_shard(shard, samples, only(network, 'event'))
    assert missing_modalities(shard, network) == ('camera', 'lidar')
    write_shard(shard, samples, only(network, 'camera', 'lidar'))
    assert missing_modalities(shard, network) == ()
    for index, expected in enumerate(samples):
        assert_same(read_sample(shard, index, network), expected)
    assert [path.name for path in tmp_path.iterdir()] == ['seed_00004']


def test_modalities_of_other_moments_do_not_join(samples, network, tmp_path):
    write_shard(tmp_path / 'a', samples, only(network, 'event'))
    before = sorted((tmp_path / 'a').iterdir())
    with pytest.raises(InputError, match='got others; another release made the shard'):
        write_shard(tmp_path / 'a', samples[::-1], only(network, 'camera'))
    assert sorted((tmp_path / 'a').iterdir()) == before


def test_what_an_interrupted_run_left_is_no_shard(shard, samples, network):
    partial = shard.with_name('partial_seed_00005')
    partial.mkdir()
    (partial / 'rubbish.npy').write_bytes(b'x')
    assert missing_modalities(shard.with_name('seed_00005'), network)
    write_shard(shard.with_name('seed_00005'), samples, network)
    assert not partial.exists()
    assert not (shard.with_name('seed_00005') / 'rubbish.npy').exists()


def test_a_changed_encoding_is_refused(shard, network):
    with pytest.raises(InputError, match=r'_00003: expected event .*window_ns=1, .*, got .*30'):
        missing_modalities(shard, with_window(network, 1))
    assert missing_modalities(shard, only(with_window(network, 1), 'camera')) == ()


def test_another_input_size_is_refused(shard, network):
    larger = replace(network, input_hw=(96, 128))
    with pytest.raises(InputError, match=r'labels.npy: expected an array \(4, 96, 128\), got \(4'):
        missing_modalities(shard, larger)


@pytest.mark.parametrize('name', ['camera.npy', 'labels.npy', 'moments.json'])
@pytest.mark.parametrize('content', [b'', b'rubbish', b'{"conditions": 3}', None])
def test_damage_is_named(shard, network, name, content):
    if content is None:
        (shard / name).unlink()
    else:
        (shard / name).write_bytes(content)
    with pytest.raises(InputError, match=rf'seed_00003/{name}: ') as caught:
        missing_modalities(shard, network)
    assert '\n' not in str(caught.value)


def test_a_label_of_no_class_is_named(shard, network):
    labels = np.load(shard / 'labels.npy')
    labels[2, 5, 5] = 17
    np.save(shard / 'labels.npy', labels)
    assert read_sample(shard, 1, network).labels.shape == HW
    with pytest.raises(InputError, match=r'seed_00003: expected labels below 3, or 255, got 17'):
        read_sample(shard, 2, network)


def test_a_lock_is_held_by_one_and_let_go(tmp_path):
    with shard_lock(tmp_path / 'a'), open(tmp_path / '.locks' / 'a') as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with shard_lock(tmp_path / 'b'):
            pass
    with open(tmp_path / '.locks' / 'a') as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
