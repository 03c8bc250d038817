from dataclasses import replace
from pathlib import Path
import shutil

import cv2
from mle_sam.datasets.config import MusesData
from mle_sam.datasets.muses import Muses
from mle_sam.recipe import read_recipe
from mle_sam_ros.core.errors import InputError
from muses_tree import FRAMES, image, write_muses
import numpy as np
import pytest

RECIPE = Path(__file__).parents[1] / 'recipes' / 'muses_tiny.yaml'
NETWORK = replace(read_recipe(RECIPE).network, input_hw=(64, 128))
FOLDERS = {'event': 'event_camera', 'lidar': 'lidar'}


def raster(name, size_hw=(64, 128)):
    """What the SDK makes: float32 with heights below zero, or counts."""
    rng = np.random.default_rng(len(name))
    full = rng.random((*size_hw, 1)) < 0.3
    if name == 'event':
        return np.where(full, rng.integers(0, 9, (*size_hw, 3)) * [1, 1, 0], 0).astype(np.uint8)
    low, high = (1, 0, -2), (100, 255, 5)
    return np.where(full, rng.uniform(low, high, (*size_hw, 3)), 0).astype(np.float32)


def save(file, name, array):
    """As the SDK does, by the ending."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == '.npz':
        np.savez_compressed(file, array)
    elif file.suffix == '.npy':
        np.save(file, array)
    else:
        stored = ((array + 100) * 150).astype(np.uint16) if name == 'lidar' else array
        cv2.imwrite(str(file), stored)


def files(root, ending):
    """Modality and file, for every frame."""
    for split, weather, time_of_day, frame in FRAMES:
        for name, folder in FOLDERS.items():
            path = root / 'projected_to_rgb' / folder / split / weather / time_of_day
            yield name, path / f'{frame}_{folder}{ending}'


@pytest.fixture
def root(tmp_path):
    root = write_muses(tmp_path / 'muses')
    for folder in FOLDERS.values():
        shutil.rmtree(root / folder)
    return root


@pytest.mark.parametrize('ending', ['.npz', '.npy', '.png'])
def test_every_format_gives_the_same_rasters(root, ending):
    for name, file in files(root, ending):
        save(file, name, raster(name))
    (root / 'calib.json').unlink()
    sample = Muses(MusesData(str(root), 'projected'), NETWORK, 'val')[1]
    assert sample.rasters['lidar'].dtype == np.float32
    tolerance = 1 / 150 + 1e-4 if ending == '.png' else 0
    np.testing.assert_allclose(sample.rasters['lidar'], raster('lidar'), rtol=0, atol=tolerance)
    assert np.array_equal(sample.rasters['lidar'] == 0, raster('lidar') == 0)
    assert sample.rasters['event'].dtype == np.uint8
    assert np.array_equal(sample.rasters['event'], raster('event'))
    expected = cv2.resize(image(3), (128, 64), interpolation=cv2.INTER_AREA)
    assert np.array_equal(sample.rasters['camera'], expected)


def test_larger_rasters_are_reduced_to_their_nearest_pixels(root):
    for name, file in files(root, '.npz'):
        save(file, name, raster(name, (192, 384)))
    sample = Muses(MusesData(str(root), 'projected'), NETWORK, 'val')[0]
    for name in FOLDERS:
        assert np.array_equal(sample.rasters[name], raster(name, (192, 384))[1::3, 1::3])


def test_the_default_format_comes_first(root):
    for name, file in files(root, '.npz'):
        save(file, name, raster(name))
        save(file.with_suffix('.npy'), name, np.zeros((2, 2)))
    assert Muses(MusesData(str(root), 'projected'), NETWORK, 'val')[0].rasters['lidar'].any()


def test_rasters_that_the_sdk_has_not_made(root):
    with pytest.raises(InputError, match=r'projected_to_rgb: expected the rasters .* run its'):
        Muses(MusesData(str(root), 'projected'), NETWORK, 'val')
    camera = replace(NETWORK, modalities=NETWORK.modalities[:1])
    assert Muses(MusesData(str(root), 'projected'), camera, 'val')[0].rasters.keys() == {'camera'}
    for name, file in list(files(root, '.npy'))[:-4]:
        save(file, name, raster(name))
    with pytest.raises(InputError, match=r'REC0004_frame_000400_event_camera\.npz: expected a fi'):
        Muses(MusesData(str(root), 'projected'), NETWORK, 'val')


@pytest.mark.parametrize(
    ('ending', 'name', 'content', 'says'),
    [
        ('.npz', 'lidar', b'', 'NumPy format'),
        ('.npz', 'lidar', b'PK\x03\x04rubbish', 'NumPy format'),
        ('.npy', 'lidar', b'rubbish', 'NumPy format'),
        ('.png', 'lidar', b'rubbish', 'a picture of uint16'),
        ('.npy', 'lidar', np.zeros((4, 4), np.float32), r'\(H, W, 3\) float32, got \(4, 4\)'),
        ('.npz', 'event', np.zeros((4, 4, 3), np.float32), r'\(H, W, 3\) uint8, got .* float32'),
        ('.npz', 'lidar', np.full((4, 4, 3), np.nan, np.float32), 'finite values, got NaN'),
    ],
)
def test_what_is_no_raster_is_named(root, ending, name, content, says):
    for each, file in files(root, ending):
        save(file, each, raster(each))
    (spoilt,) = (f for n, f in files(root, ending) if n == name and 'REC0003' in f.name)
    if isinstance(content, bytes):
        spoilt.write_bytes(content)
    else:
        save(spoilt, 'as it is', content)
    muses = Muses(MusesData(str(root), 'projected'), NETWORK, 'val')
    with pytest.raises(InputError, match=rf'{spoilt.name}: expected .*{says}'):
        muses[0]
