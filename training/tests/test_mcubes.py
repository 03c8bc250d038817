import shutil

import cv2
from mcubes_tree import contents, HW, NAMES, write_mcubes
from mle_sam.config import MleSamConfig
from mle_sam.datasets.config import McubesData
from mle_sam.datasets.mcubes import Mcubes
from mle_sam.datasets.opening import open_dataset
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import (
    AlignedImageEncoding,
    ModalitySpec,
    RgbEncoding,
    SemanticClass,
)
import numpy as np
import pytest

FLOAT = AlignedImageEncoding('float32', 'area')
ENCODINGS = {'camera': RgbEncoding(), 'aolp': FLOAT, 'dolp': FLOAT, 'nir': FLOAT}
BLOCK = 3  # of pixels under each pixel of the raster
FIRST = NAMES['train'][0]


def network(names=tuple(ENCODINGS), num_classes=20, input_hw=(32, 32), **encodings):
    encodings = ENCODINGS | encodings
    specs = tuple(ModalitySpec(name, encodings[name], (0, 0, 0), (1, 1, 1)) for name in names)
    classes = tuple(SemanticClass(f'class {i}', (i, i, i)) for i in range(num_classes))
    return MleSamConfig(input_hw, specs, classes, size='nano')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_mcubes(tmp_path_factory.mktemp('data') / 'multimodal_dataset')


@pytest.fixture
def copy(root, tmp_path):
    """To be damaged."""
    return shutil.copytree(root, tmp_path / 'multimodal_dataset')


def mcubes(root, split='train', ignore_invalid_nir=False, **changes):
    return Mcubes(McubesData(str(root), ignore_invalid_nir), network(**changes), split)


def kept(array):
    """Without 192 columns at the left; the square in the middle of the other 96 x 104."""
    return array[:, 192 + 4 : 192 + 100]


def block_mean(array):
    blocks = array.reshape(32, BLOCK, 32, BLOCK, 3).astype(np.float64)
    return blocks.mean((1, 3))


@pytest.mark.parametrize('depth', [np.uint8, np.uint16])
def test_rasters_hold_what_the_files_say(tmp_path, depth):
    data = mcubes(write_mcubes(tmp_path, depth))
    for index, name in enumerate(NAMES['train']):
        files, sample = contents(name, depth), data[index]
        top = np.iinfo(depth).max
        sine, cosine = files['polL_aolp_sin'], files['polL_aolp_cos']
        expected = {
            'aolp': np.dstack([sine, cosine, sine]),
            'dolp': np.dstack([files['polL_dolp']] * 3),
            'nir': np.dstack([files['NIR_warped'] / top] * 3),
        }
        for modality, image in expected.items():
            raster = sample.rasters[modality]
            assert raster.dtype == np.float32
            np.testing.assert_allclose(raster, block_mean(kept(image)), atol=1e-5)
        camera = sample.rasters['camera']
        assert camera.dtype == np.uint8
        # Rounded twice: to eight bits, and after the mean.
        mean = block_mean(kept(files['polL_color'])) * (255 / top)
        np.testing.assert_allclose(camera, mean, atol=1.0)
        assert (sample.condition, sample.failure, sample.source) == ('unknown', 'none', name)


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    root = write_mcubes(tmp_path)
    data = mcubes(root, input_hw=(96, 96))
    colours = kept(contents(FIRST)['polL_color']).astype(np.float64)
    assert np.array_equal(data[0].rasters['camera'], np.round(colours / 257))


def test_labels_are_cut_alike(root):
    data = mcubes(root)
    labels = kept(contents(FIRST)['GT'])
    assert np.array_equal(data.full_labels(0), labels)
    assert np.array_equal(data[0].labels, labels[1::BLOCK, 1::BLOCK])
    assert (labels == 255).any()


def test_a_wide_input_keeps_all_columns_that_are_not_cut(root):
    data = mcubes(root, input_hw=(32, 64))
    labels = contents(FIRST)['GT'][22:74, 192:]  # 52 x 104 in the middle of 96 x 104
    assert np.array_equal(data.full_labels(0), labels)
    assert data[0].labels.shape == data[0].rasters['nir'].shape[:2] == (32, 64)


def test_invalid_near_infrared_may_be_left_out(root):
    files = contents(FIRST)
    invalid = files['NIR_warped_mask'] == 255
    masked = np.where(invalid, 255, files['GT'])
    assert (invalid & (files['GT'] < 255)).any()
    assert np.array_equal(mcubes(root, ignore_invalid_nir=True).full_labels(0), kept(masked))
    assert np.array_equal(mcubes(root).full_labels(0), kept(files['GT']))


def test_the_lists_make_the_splits(root):
    for split, names in NAMES.items():
        assert [sample.source for sample in mcubes(root, split)] == names
    summary = mcubes(root, 'test').summary()
    assert summary.startswith('MCubeS test: 1 samples (unknown 1)\nwarning: the published split')
    assert 'has 102;' in summary


def test_any_subset_needs_only_its_own_files(copy):
    shutil.rmtree(copy / 'NIR_warped')
    shutil.rmtree(copy / 'NIR_warped_mask')
    assert list(mcubes(copy, names=('camera', 'aolp', 'dolp'))[0].rasters) == [
        'camera', 'aolp', 'dolp',
    ]  # fmt: skip
    with pytest.raises(InputError, match=rf'NIR_warped/{FIRST}\.png: .* got none and 1 more'):
        mcubes(copy)
    with pytest.raises(InputError, match=rf'NIR_warped_mask/{FIRST}\.png: expected a file'):
        mcubes(copy, names=('camera',), ignore_invalid_nir=True)


def test_opens_from_a_recipes_data(root):
    assert isinstance(open_dataset(McubesData(str(root)), network(), 'test'), Mcubes)


def test_a_wrong_root_is_named(tmp_path):
    with pytest.raises(InputError, match=rf'{tmp_path}/list_folder/val.txt: expected the list'):
        mcubes(tmp_path, 'val')


def test_an_empty_list_is_named(copy):
    (copy / 'list_folder' / 'val.txt').write_text('\n \n')
    with pytest.raises(InputError, match=r'val\.txt: expected a name in each line, got none'):
        mcubes(copy, 'val')


@pytest.mark.parametrize(
    'file', ['polL_color/*.png', 'polL_aolp_cos/*.npy', 'polL_dolp/*.npy', 'GT/*.png']
)
def test_a_missing_file_is_named_on_opening(copy, file):
    for path in copy.glob(file.replace('*', FIRST)):
        path.unlink()
    with pytest.raises(InputError, match=rf'{file.replace("*", FIRST)}: expected a file'):
        mcubes(copy)


@pytest.mark.parametrize(
    ('file', 'content', 'message'),
    [
        ('polL_color/*.png', b'nothing', 'expected a picture of uint8 or uint16'),
        ('polL_dolp/*.npy', b'nothing', 'expected an array in NumPy format'),
        ('polL_aolp_cos/*.npy', np.zeros((96, 295)), r'expected .* \(96, 296\).* \(96, 295\)'),
        ('polL_aolp_sin/*.npy', np.zeros((*HW, 2)), r'array \(H, W\) of floats, got \(96, 296, 2'),
        ('NIR_warped/*.png', np.zeros((95, 296), np.uint8), r'got \(95, 296\)'),
        ('NIR_warped_mask/*.png', np.zeros((95, 296), np.uint8), r'got \(95, 296\)'),
        ('GT/*.png', np.full(HW, 20, np.uint8), 'from 0 to 19, or 255, got 28416 other pixels'),
        ('GT/*.png', np.zeros((96, 192), np.uint8), 'more than 192 columns, got 192'),
    ],
)
def test_a_wrong_file_is_named_when_it_is_read(copy, file, content, message):
    path = copy / file.replace('*', FIRST)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == '.npy':
        np.save(path, content)
    else:
        cv2.imwrite(str(path), content)
    with pytest.raises(InputError, match=message) as caught:
        mcubes(copy, ignore_invalid_nir=True)[0]
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'nir': AlignedImageEncoding('uint8', 'area')}, 'aligned_image float32 for nir'),
        ({'names': ('lidar',), 'lidar': FLOAT}, 'camera, aolp, dolp, nir, which MCubeS'),
        ({'num_classes': 25}, 'the 20 classes of MCubeS, got 25'),
    ],
)
def test_a_network_that_does_not_fit_is_refused(root, changes, message):
    with pytest.raises(InputError, match=message):
        mcubes(root, **changes)
