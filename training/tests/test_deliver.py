import shutil

from deliver_tree import FRAMES, raw_labels, SIDE, write_deliver
from mle_sam.config import MleSamConfig
from mle_sam.datasets.config import DeliverData
from mle_sam.datasets.deliver import Deliver
from mle_sam.datasets.opening import open_dataset
from mle_sam_ros.bags.data_sets.deliver_index import Frame
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import (
    AlignedImageEncoding,
    DepthHhaEncoding,
    LidarEncoding,
    ModalitySpec,
    RgbEncoding,
    SemanticClass,
)
import numpy as np
from PIL import Image
import pytest

SPARSE = AlignedImageEncoding('uint8', 'nearest')
ENCODINGS = {
    'camera': RgbEncoding(), 'depth': DepthHhaEncoding(), 'event': SPARSE, 'lidar': SPARSE,
}  # fmt: skip
DIRECTORIES = {'camera': 'img', 'depth': 'hha', 'event': 'event', 'lidar': 'lidar'}
BLOCK = 3  # of pixels under each pixel of the raster


def network(names=tuple(ENCODINGS), num_classes=25, **encodings):
    encodings = ENCODINGS | encodings
    specs = tuple(ModalitySpec(name, encodings[name], (0, 0, 0), (1, 1, 1)) for name in names)
    classes = tuple(SemanticClass(f'class {i}', (i, i, i)) for i in range(num_classes))
    return MleSamConfig((SIDE // BLOCK,) * 2, specs, classes, size='nano')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A root whose own name has all the words that a search in the whole path would find."""
    parent = tmp_path_factory.mktemp('data') / 'img' / 'sun' / 'train_fog_motionblur'
    return write_deliver(parent / 'DELIVER')


@pytest.fixture
def copy(root, tmp_path):
    """To be damaged."""
    return shutil.copytree(root, tmp_path / 'DELIVER')


def deliver(root, split='val', **changes):
    return Deliver(DeliverData(str(root)), network(**changes), split)


def stored(root, directory, place, split='val'):
    condition, sequence, number = FRAMES[place]
    (path,) = (root / directory / condition / split / sequence).glob(f'{number}_*_front.png')
    return path, np.array(Image.open(path))


def test_conditions_and_failures_come_from_path_components(root):
    samples = [(s.condition, s.failure, s.source) for s in deliver(root)]
    assert [condition for condition, _, _ in samples] == [c for c, _, _ in FRAMES]
    assert [failure for _, failure, _ in samples] == [
        'none', 'none', 'motion_blur', 'over_exposure', 'under_exposure', 'lidar_jitter',
        'event_low_resolution', 'none',
    ]  # fmt: skip
    assert samples[0][2] == 'img/cloud/val/MAP_10_point102/045050_rgb_front.png'


def test_splits_are_apart(root):
    assert [len(deliver(root, split)) for split in ('train', 'val', 'test')] == [8, 8, 2]
    assert not np.array_equal(deliver(root, 'train').full_labels(0), deliver(root).full_labels(0))


def test_rasters_hold_what_the_files_say(root):
    """Area is the mean of each block, nearest its middle."""
    for place, sample in enumerate(deliver(root)):
        images = {name: stored(root, DIRECTORIES[name], place)[1] for name in ENCODINGS}
        for name in ('camera', 'depth'):
            blocks = images[name][:, :, :3].reshape(SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK, 3)
            mean = blocks.mean((1, 3), dtype=float)
            np.testing.assert_allclose(sample.rasters[name], mean, atol=0.51)
        low = len(images['event']) < SIDE
        event = images['event'] if low else images['event'][1::BLOCK, 1::BLOCK]
        assert np.array_equal(sample.rasters['event'], event)
        assert low == (sample.failure == 'event_low_resolution')
        lidar = images['lidar'][1::BLOCK, 1::BLOCK]
        assert np.array_equal(sample.rasters['lidar'], np.dstack([lidar] * 3))
        assert {raster.dtype for raster in sample.rasters.values()} == {np.dtype('uint8')}


def test_labels_count_from_zero_and_void_is_255(root):
    data = deliver(root)
    for index in range(len(data)):
        raw = raw_labels('val', index)
        expected = [255 if value in (0, 255) else value - 1 for value in raw.ravel().tolist()]
        assert np.array_equal(data.full_labels(index).ravel(), expected)
        full = data.full_labels(index)
        assert np.array_equal(data[index].labels, full[1::BLOCK, 1::BLOCK])
        assert full.dtype == data[index].labels.dtype == np.uint8


def test_any_subset_needs_only_its_own_files(copy):
    shutil.rmtree(copy / 'lidar')
    shutil.rmtree(copy / 'event')
    data = deliver(copy, names=('depth', 'camera'))
    assert list(data[0].rasters) == ['depth', 'camera']
    with pytest.raises(InputError, match=r'event_front\.png: .* got none and 15 more'):
        deliver(copy)


def test_summary_counts_and_compares(root):
    data, test = deliver(root).summary(), deliver(root, 'test').summary()
    assert data.splitlines() == [
        'DELIVER val: 8 samples (cloud 2, fog 1, night 2, rain 1, sun 2, event_low_resolution 1, '
        'lidar_jitter 1, motion_blur 1, none 3, over_exposure 1, under_exposure 1)',
        'warning: the published split has 2005; results on these 8 do not compare with the '
        'literature',
    ]
    assert test.splitlines()[-1] == (
        'warning: no sample of motion_blur, over_exposure, under_exposure, lidar_jitter, '
        'event_low_resolution'
    )


def test_opens_from_a_recipes_data(root):
    assert isinstance(open_dataset(DeliverData(str(root)), network(), 'val'), Deliver)


def test_a_wrong_root_is_named(tmp_path):
    with pytest.raises(InputError, match=rf'{tmp_path}: expected img/<condition>/val/'):
        deliver(tmp_path)


@pytest.mark.parametrize('directory', ['hha', 'event', 'lidar', 'semantic'])
def test_a_missing_file_is_named_on_opening(copy, directory):
    path, _ = stored(copy, directory, 3)
    path.unlink()
    with pytest.raises(InputError, match=rf'{path}: expected a file, got none;'):
        deliver(copy)


def test_a_camera_file_of_another_name_is_named(copy):
    path, _ = stored(copy, 'img', 0)
    other = path.rename(path.with_name('045050.png'))
    with pytest.raises(InputError, match=rf'{other}: expected a name that ends in _rgb_front'):
        deliver(copy)


@pytest.mark.parametrize(
    ('directory', 'content', 'message'),
    [
        ('img', b'nothing', 'expected a picture of uint8, got something else'),
        ('hha', np.zeros((SIDE, SIDE - 1, 3), np.uint8), r'expected .* \(96, 96\).* \(96, 95\)'),
        ('event', np.zeros((40, 32, 3), np.uint8), r'expected .* \(96, 96\).* \(40, 32\)'),
        ('event', np.zeros((192, 192, 3), np.uint8), r'expected .* \(96, 96\).* \(192, 192\)'),
        ('lidar', np.zeros((SIDE, SIDE), np.uint16), 'of uint8, got uint16'),
        ('semantic', np.full((SIDE, SIDE), 26, np.uint8), 'from 1 to 25, or 255, got 9216 other'),
    ],
)
def test_a_wrong_file_is_named_when_it_is_read(copy, directory, content, message):
    path, _ = stored(copy, directory, 0)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.fromarray(content).save(path)
    with pytest.raises(InputError, match=message) as caught:
        deliver(copy)[0]
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'lidar': LidarEncoding(1.0, 1)}, 'aligned_image uint8 for lidar .*, got lidar_range'),
        ({'event': AlignedImageEncoding('float32', 'area')}, 'got aligned_image float32'),
        ({'names': ('thermal',), 'thermal': SPARSE}, 'camera, depth, event, lidar, which DELIV'),
        ({'num_classes': 19}, 'the 25 classes of DELIVER, got 19'),
    ],
)
def test_a_network_that_does_not_fit_is_refused(root, changes, message):
    with pytest.raises(InputError, match=message):
        deliver(root, **changes)


@pytest.mark.parametrize(
    ('sequence', 'failure'),
    [
        ('MAP_1_point1', 'none'),
        ('MAP_1_point1_eventlowres', 'event_low_resolution'),
        ('MAP_1-Event-Low-Res', 'event_low_resolution'),
        ('UnderExposure_3', 'under_exposure'),
        ('rain_train', 'none'),
    ],
)
def test_failures_however_they_are_written(sequence, failure):
    assert Frame('sun', 'val', sequence, '1').failure == failure
