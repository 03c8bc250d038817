from dataclasses import replace
import json
from pathlib import Path
import shutil

import cv2
from mle_sam.datasets.config import MusesData
from mle_sam.datasets.muses import Muses
from mle_sam.datasets.muses_raw import RawSensors
from mle_sam.datasets.opening import open_dataset
from mle_sam.recipe import read_recipe
from mle_sam_ros.core.errors import InputError
from muses_tree import file_of, FRAMES, image, labels, write_muses
import numpy as np
import pytest

RECIPE = Path(__file__).parents[1] / 'recipes' / 'muses_tiny.yaml'
NETWORK = replace(read_recipe(RECIPE).network, input_hw=(64, 128))


def network(*names):
    specs = tuple(spec for spec in NETWORK.modalities if spec.name in (names or ('camera',)))
    return replace(NETWORK, modalities=specs)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Under a root that misleads whoever looks for words in paths."""
    return write_muses(tmp_path_factory.mktemp('frame_camera') / 'test' / 'fog' / 'muses')


@pytest.fixture
def root(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / 'muses')


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_frames_and_conditions_come_from_the_index(whole):
    for split, places in (('train', (0, 1)), ('val', (2, 3)), ('test', (4,))):
        muses = open_dataset(MusesData(str(whole)), NETWORK, split)
        assert isinstance(muses, Muses)
        assert len(muses) == len(places)
        for index, place in enumerate(places):
            _, weather, time_of_day, name = FRAMES[place]
            sample = muses[index]
            assert sample.source == f'{split}/{weather}/{time_of_day}/{name}'
            assert (sample.condition, sample.failure) == (f'{weather}_{time_of_day}', 'none')


def test_samples_are_at_the_input_size(whole):
    sample = Muses(MusesData(str(whole)), NETWORK, 'train')[1]
    assert {name: (r.dtype, r.shape) for name, r in sample.rasters.items()} == {
        'camera': (np.uint8, (64, 128, 3)),
        'event': (np.uint8, (64, 128, 3)),
        'lidar': (np.float32, (64, 128, 3)),
    }
    assert all(raster.any() for raster in sample.rasters.values())
    expected = cv2.resize(image(1), (128, 64), interpolation=cv2.INTER_AREA)
    assert np.array_equal(sample.rasters['camera'], expected)


def test_void_stays_void_and_full_labels_are_the_files(whole):
    muses = Muses(MusesData(str(whole)), network(), 'val')
    for index, place in enumerate((2, 3)):
        assert np.array_equal(muses.full_labels(index), labels(place))
        rows = ((np.arange(64) + 0.5) * 54 / 64).astype(int)
        columns = ((np.arange(128) + 0.5) * 96 / 128).astype(int)
        assert np.array_equal(muses[index].labels, labels(place)[rows][:, columns])
    assert (muses[0].labels == 255).any()


@pytest.mark.parametrize('names', [('camera',), ('event',), ('lidar',), ('camera', 'lidar')])
def test_only_the_files_of_the_networks_sensors_are_needed(root, names):
    folders = {'camera': 'frame_camera', 'event': 'event_camera', 'lidar': 'lidar'}
    for name, folder in folders.items():
        if name not in names:
            shutil.rmtree(root / folder)
    if names == ('camera',):
        (root / 'calib.json').unlink()
    assert Muses(MusesData(str(root)), network(*names), 'val')[1].rasters.keys() == set(names)


def test_only_the_calibration_of_the_networks_sensors_is_needed(root):
    def forget_events(calibration):
        del calibration['intrinsics']['event'], calibration['extrinsics']['event2rgb']

    change_json(root / 'calib.json', forget_events)
    Muses(MusesData(str(root)), network('camera', 'lidar'), 'val')
    with pytest.raises(InputError, match=r"calib\.json: expected .*, got none for 'event'"):
        Muses(MusesData(str(root)), NETWORK, 'val')


def test_the_summary_counts(whole):
    summary = Muses(MusesData(str(whole)), network(), 'train').summary()
    assert summary.startswith('MUSES train: 2 samples (clear_day 1, fog_night 1)\nwarning')
    assert '1500' in summary


def test_labels_of_the_test_split_may_be_withheld(root):
    shutil.rmtree(root / 'gt_semantic' / 'test')
    Muses(MusesData(str(root)), network(), 'val')
    with pytest.raises(InputError, match=r'_gt_labelTrainIds\.png: expected the labels of the te'):
        Muses(MusesData(str(root)), network(), 'test')


@pytest.mark.parametrize(
    ('sensor', 'place'),
    [('frame_camera', 2), ('event_camera', 3), ('lidar', 2), ('gt_semantic', 3)],
)
def test_a_missing_file_is_named(root, sensor, place):
    path = file_of(root, place, sensor)
    path.unlink()
    with pytest.raises(InputError, match=rf'{path.name}: expected a file, got none'):
        Muses(MusesData(str(root)), NETWORK, 'val')
    Muses(MusesData(str(root)), NETWORK, 'train')


def test_a_wrong_root_is_named(tmp_path):
    with pytest.raises(InputError, match=r'meta\.json: expected a JSON file of MUSES, got No s'):
        Muses(MusesData(str(tmp_path)), NETWORK, 'val')


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (lambda m: m['REC0003_frame_000300'].pop('weather'), 'REC0003.*a text as weather'),
        (lambda m: m['REC0003_frame_000300'].pop('path_to_lidar'), 'a text as path_to_lidar'),
        (
            lambda m: m['REC0003_frame_000300'].update(path_to_frame_camera='img/a.png'),
            r'REC0003_frame_000300: expected path_to_frame_camera as frame_camera/\.\.\.',
        ),
        (lambda m: m.clear(), 'expected frames of the split val, got none in 0'),
    ],
)
def test_a_wrong_index_is_named(root, change, says):
    change_json(root / 'meta.json', change)
    with pytest.raises(InputError, match=says):
        Muses(MusesData(str(root)), NETWORK, 'val')


@pytest.mark.parametrize('content', [b'{', b'[1]', b'\xff\xfe'])
@pytest.mark.parametrize('name', ['meta.json', 'calib.json'])
def test_damaged_descriptions_are_named(root, name, content):
    (root / name).write_bytes(content)
    with pytest.raises(InputError, match=rf'{name}: expected a') as caught:
        Muses(MusesData(str(root)), NETWORK, 'val')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'change',
    [
        lambda c: c['extrinsics'].update(lidar2rgb=(2 * np.eye(4)).tolist()),
        lambda c: c['intrinsics']['rgb'].update(K=[[0, 0, 0]] * 3),
        lambda c: c['intrinsics']['rgb'].update(K=3),
        lambda c: c.update(intrinsics=None),
    ],
)
def test_an_impossible_calibration_is_named(root, change):
    change_json(root / 'calib.json', change)
    with pytest.raises(InputError, match=r'calib\.json: .*expected'):
        Muses(MusesData(str(root)), NETWORK, 'val')


def test_a_label_of_no_class_is_named(root):
    path = file_of(root, 2, 'gt_semantic')
    wrong = labels(2)
    wrong[9, 9] = 33
    cv2.imwrite(str(path), wrong)
    with pytest.raises(InputError, match=rf'{path.name}: expected labels from 0 to 18.*got .*33'):
        Muses(MusesData(str(root)), network(), 'val')[0]


def test_a_camera_image_of_another_size_is_named(root):
    path = file_of(root, 2, 'frame_camera')
    cv2.imwrite(str(path), image(2)[:40])
    with pytest.raises(InputError, match=rf'{path.name}: expected height and width \(54, 96\)'):
        Muses(MusesData(str(root)), network(), 'val')[0]


def test_networks_that_do_not_fit(whole):
    radar = replace(NETWORK.modalities[0], name='radar')
    with pytest.raises(InputError, match='some of camera, event, lidar, which MUSES has, got rad'):
        Muses(MusesData(str(whole)), replace(NETWORK, modalities=(radar,)), 'val')
    with pytest.raises(InputError, match='the 19 classes of MUSES, got 18'):
        Muses(MusesData(str(whole)), replace(NETWORK, classes=NETWORK.classes[1:]), 'val')


def test_raw_sensors_see_what_the_data_set_gives(whole):
    sensors = RawSensors(whole, NETWORK)
    sample = Muses(MusesData(str(whole)), NETWORK, 'train')[0]
    lidar = sensors.raster('lidar', file_of(whole, 0, 'lidar'))
    assert np.array_equal(sample.rasters['lidar'], lidar)
