import cv2
from mle_sam.datasets.image_files import check_size, read_array
from mle_sam_ros.bags.data_sets.image_files import check_files, read_image, read_labels
from mle_sam_ros.core.errors import InputError
import numpy as np
from PIL import Image
import pytest

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)


@pytest.mark.parametrize(
    ('mode', 'expected'), [('RGB', RGB), ('RGBA', RGB), ('L', np.repeat(RGB[:, :, :1], 3, 2))]
)
def test_channels_become_red_green_blue(tmp_path, mode, expected):
    pixels = {'RGB': RGB, 'RGBA': np.dstack([RGB, RGB[:, :, 0]]), 'L': RGB[:, :, 0]}[mode]
    Image.fromarray(pixels, mode).save(tmp_path / 'a.png')
    assert np.array_equal(read_image(tmp_path / 'a.png'), expected)


def test_sixteen_bits_survive_where_they_are_expected(tmp_path):
    deep = RNG.integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), deep[:, :, ::-1])
    assert np.array_equal(read_image(tmp_path / 'a.png', ('uint8', 'uint16')), deep)
    with pytest.raises(InputError, match=r'a\.png: expected a picture of uint8, got uint16'):
        read_image(tmp_path / 'a.png')


@pytest.mark.parametrize('content', [b'', b'no picture', 'truncated'])
def test_what_is_no_picture_is_named(tmp_path, content, capfd):
    path = tmp_path / 'a.png'
    if content == 'truncated':
        Image.fromarray(RGB).save(path)
        content = path.read_bytes()[:-30]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'a\.png: expected a picture of uint8'):
        read_image(path)


def test_a_picture_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r'a\.png: expected a picture, got No such file'):
        read_image(tmp_path / 'a.png')


@pytest.mark.parametrize('first', [0, 1])
def test_every_stored_value_is_a_class_void_or_refused(tmp_path, first):
    path, num_classes = tmp_path / 'labels.png', 25
    for value in range(256):
        Image.fromarray(np.full((2, 3), value, np.uint8)).save(path)
        if value == 255 or value < first:
            assert np.array_equal(read_labels(path, num_classes, first), np.full((2, 3), 255))
        elif value - first < num_classes:
            labels = read_labels(path, num_classes, first)
            assert labels.dtype == np.uint8
            assert np.array_equal(labels, np.full((2, 3), value - first))
        else:
            with pytest.raises(
                InputError, match=rf'labels\.png: .* got 6 other pixels, the first {value};'
            ):
                read_labels(path, num_classes, first)


def test_labels_stand_in_the_red_channel(tmp_path):
    pixels = np.dstack([np.full((2, 3), value, np.uint8) for value in (3, 99, 98, 255)])
    Image.fromarray(pixels, 'RGBA').save(tmp_path / 'labels.png')
    assert np.array_equal(read_labels(tmp_path / 'labels.png', 5, 1), np.full((2, 3), 2))


def test_arrays_become_float32(tmp_path):
    values = RNG.normal(size=(4, 6))
    np.save(tmp_path / 'a.npy', values)
    array = read_array(tmp_path / 'a.npy')
    assert array.dtype == np.float32
    assert np.array_equal(array, values.astype(np.float32))


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        (np.zeros((2, 3, 4)), r'got \(2, 3, 4\) float64'),
        (np.zeros((2, 3), np.int32), r'got \(2, 3\) int32'),
        (np.full((2, 3), np.nan), 'got NaN'),
        (b'no array', 'NumPy format'),
        (None, 'NumPy format'),
    ],
)
def test_what_is_no_such_array_is_named(tmp_path, array, message):
    path = tmp_path / 'a.npy'
    if isinstance(array, bytes):
        path.write_bytes(array)
    elif array is not None:
        np.save(path, array)
    with pytest.raises(InputError, match=message) as caught:
        read_array(path)
    assert str(caught.value).startswith(str(path))


def test_the_first_missing_file_is_named_and_the_others_counted(tmp_path):
    names = ['a', 'b', 'c', 'd']
    (tmp_path / 'a').touch()
    check_files([tmp_path / 'a'])
    with pytest.raises(InputError, match=r'/b: expected a file, got none and 2 more'):
        check_files([tmp_path / name for name in names])
    with pytest.raises(InputError, match='got none; '):
        check_files([tmp_path / 'a', tmp_path / 'b'])


def test_sizes_must_agree(tmp_path):
    check_size(np.zeros((4, 6, 3)), (4, 6), tmp_path / 'a')
    with pytest.raises(InputError, match=r'/a: expected height and width \(4, 6\).*got \(6, 4\)'):
        check_size(np.zeros((6, 4)), (4, 6), tmp_path / 'a')
