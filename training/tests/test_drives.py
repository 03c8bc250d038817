from dataclasses import replace
import pickle

from mle_sam.datasets.config import DriveData
from mle_sam.datasets.drives import Drives
from mle_sam.datasets.opening import open_dataset
from mle_sam.datasets.shards import write_shard
from mle_sam.datasets.simulated import seed_path
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import EMPTY
from mle_sam_ros.core.manifest import AlignedImageEncoding
from mle_sam_ros.simulation import moments as simulation
from mle_sam_ros.simulation.moments import Moment
import numpy as np
import pytest
from tiny_drive import write_drive
from torch.utils.data import DataLoader
from toy import ToyDataset

TOY = ToyDataset()
CAMERA = CameraModel((40, 80), np.array([[40.0, 0, 39.5], [0, 40, 19.5], [0, 0, 1]]), np.zeros(5))
CALIBRATION = Calibration(
    {'camera': CAMERA, 'event': CAMERA}, {'lidar': np.eye(4), 'event': np.eye(4)}
)


@pytest.fixture
def data(network, tmp_path):
    """Seeds 3 to 5 to train on and 1 to validate on, of which 3 and 1 are on disk."""
    for seed in (3, 1):
        write_shard(seed_path(tmp_path, seed), [TOY[seed], TOY[0], TOY[7]], network)
    return DriveData(str(tmp_path), (3, 5), (1, 1), 3)


@pytest.fixture
def town(monkeypatch, tmp_path):
    """Moments made up at once, in the place of simulated ones; says which seeds were wanted."""
    wanted = tmp_path / 'wanted.log'
    wanted.touch()

    def moments(seed, count):
        with open(wanted, 'a') as file:
            print(seed, file=file)
        for number in range(count):
            image = np.full((40, 80, 3), 10 * seed + number, np.uint8)
            cloud = PointCloud(
                np.array([[0.0, 0, 5 + number]], np.float32), np.ones(1, np.float32)
            )
            labels = np.full((40, 80), number, np.uint8)
            yield Moment(image, EMPTY, cloud, labels, 'fog', 'none', CALIBRATION, 1_500_000_000)

    monkeypatch.setattr(simulation, 'moments', moments)
    return lambda: sorted(int(line) for line in wanted.read_text().split())


def test_samples_of_all_seeds_in_order(data, network, town):
    training = open_dataset(data, network, 'train')
    assert isinstance(training, Drives)
    assert len(training) == 9
    assert np.array_equal(training[0].rasters['camera'], TOY[3].rasters['camera'])
    assert np.array_equal(training[2].labels, TOY[7].labels)
    assert np.array_equal(training.full_labels(2), TOY[7].labels)
    assert np.array_equal(Drives(data, network, 'val')[0].labels, TOY[1].labels)
    assert town() == []


def test_what_is_missing_is_simulated_when_it_is_first_wanted(data, network, town):
    training = Drives(data, network, 'train')
    sample = training[7]
    assert (sample.rasters['camera'] == 51).all()
    assert (sample.labels == 1).all()
    assert sample.rasters['lidar'].max() == 6.0
    assert (sample.condition, sample.failure) == ('fog', 'none')
    assert sample.source == 'seed 5 at 1.500 s'
    assert [(training[index].rasters['camera'] == 50).all() for index in (6, 6)] == [True, True]
    assert town() == [5]


def test_training_in_some_light_alone(data, network, town):
    by_day = replace(data, train_conditions=('day',))
    training = Drives(by_day, network, 'train')
    assert town() == [4, 5]  # whose moments are of fog
    assert len(training) == 1
    assert np.array_equal(training[0].labels, TOY[0].labels)
    assert len(Drives(by_day, network, 'val')) == 3
    with pytest.raises(InputError, match='got none with a sample'):
        Drives(replace(data, train_conditions=('snow',)), network, 'train')


@pytest.mark.parametrize('num_loaders', [0, 2])
def test_loaders_that_want_the_same_shard(data, network, town, num_loaders):
    """Every sample once, every shard made once, whoever comes first."""
    loader = DataLoader(
        Drives(data, network, 'train'),
        batch_size=1,
        shuffle=True,
        collate_fn=lambda samples: samples[0],
        num_workers=num_loaders,
    )
    samples = list(loader)
    made = [sample for sample in samples if sample.source.startswith('seed')]
    assert len(samples) == 9
    assert sorted(s.rasters['camera'][0, 0, 0] for s in made) == [40, 41, 42, 50, 51, 52]
    assert town() == [4, 5]


def test_a_data_set_travels_to_another_process_without_its_pixels(data, network, town):
    training = Drives(data, network, 'train')
    training[0]
    assert len(pickle.dumps(training)) < 10_000
    assert np.array_equal(pickle.loads(pickle.dumps(training))[0].labels, TOY[3].labels)


def test_recordings_follow_the_seeds(data, network, tmp_path, town):
    bag = write_drive(tmp_path / 'a.mcap', 4, num_classes=3)
    mixed = replace(data, train_bags=(str(bag),), train_seeds=(3, 3))
    training = Drives(mixed, network, 'train')
    assert len(training) == 3 + 4
    assert training[6].source.startswith('a.mcap at ')
    alone = replace(data, train_bags=(str(bag),), train_seeds=None)
    assert len(Drives(alone, network, 'train')) == 4


def test_a_part_of_the_modalities(data, network, town):
    camera = replace(network, modalities=network.modalities[:1])
    assert Drives(data, camera, 'train')[0].rasters.keys() == {'camera'}
    Drives(data, camera, 'train')[8]
    assert Drives(data, network, 'train')[8].rasters.keys() == {'camera', 'event', 'lidar'}
    assert town() == [5, 5]


@pytest.mark.parametrize(
    ('change', 'split', 'says'),
    [
        ({}, 'test', 'expected train or val, which drives have, got test'),
        ({'moments_per_seed': 4}, 'train', 'seed_00003: expected 4 moments, got 3'),
        ({'validation_seeds': None}, 'val', 'expected seeds or recordings of the split val'),
        ({'train_bags': ('nowhere.mcap',)}, 'train', r'nowhere\.mcap: expected a \.mcap'),
    ],
)
def test_data_that_are_not_there(data, network, change, split, says):
    with pytest.raises(InputError, match=says):
        Drives(replace(data, **change), network, split)


def test_a_network_for_other_sensors(data, network):
    depth = replace(network.modalities[0], name='depth')
    with pytest.raises(
        InputError, match='some of camera, event, lidar, which a drive has, got de'
    ):
        Drives(data, replace(network, modalities=(depth,)), 'train')
    image = replace(network.modalities[2], encoding=AlignedImageEncoding('uint8', 'nearest'))
    with pytest.raises(InputError, match='encoding lidar_range_intensity_height for lidar'):
        Drives(data, replace(network, modalities=(image,)), 'train')


def test_shards_of_another_network_are_refused_at_once(data, network, town):
    with pytest.raises(InputError, match=r'seed_00003/labels\.npy: expected an array \(3, 32'):
        Drives(data, replace(network, input_hw=(32, 128)), 'train')
    assert town() == []


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'validation_seeds': (5, 6)}, 'never trained on'),
        ({'train_bags': ('a', 'b'), 'validation_bags': ('b',)}, 'never trained on'),
        ({'train_seeds': (5, 3)}, r'expected seeds as first, last, from 0 on, got \(5, 3\)'),
        ({'train_seeds': (-1, 0)}, 'from 0 on'),
        ({'moments_per_seed': 0}, 'moments_per_seed: expected at least 1, got 0'),
    ],
)
def test_data_that_contradict_themselves(data, change, says):
    with pytest.raises(InputError, match=says):
        replace(data, **change)
