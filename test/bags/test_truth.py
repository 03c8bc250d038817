"""Ground truth from a topic or from files, in the ids of the model."""

import cv2
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.class_mapping import CITYSCAPES, class_mapping, DELIVER
from mle_sam_ros.bags.label_files import LabelFiles
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.truth import Truth
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest
from recordings import MS, T0, write

NANO = (
    'road', 'road_line', 'sidewalk', 'terrain', 'building', 'vegetation', 'pole', 'traffic_sign',
    'vehicle', 'pedestrian', 'sky',
)  # fmt: skip


def label_map(*ids):
    return np.array([ids], np.uint8)


def test_cityscapes_by_name():
    mapping = class_mapping('cityscapes', NANO)
    got = mapping.apply(np.arange(19, dtype=np.uint8)[None], 'x')[0]
    expected = {'road': 0, 'sidewalk': 2, 'building': 4, 'pole': 6, 'traffic sign': 7}
    expected |= {'vegetation': 5, 'terrain': 3, 'sky': 10, 'person': 9}
    assert got.tolist() == [expected.get(name, 255) for name in CITYSCAPES]
    assert set(mapping.unscored) == set(CITYSCAPES) - set(expected)
    assert mapping.unmet == ('road_line', 'vehicle')


def test_deliver_by_name():
    mapping = class_mapping('deliver', NANO)
    got = dict(zip(DELIVER, mapping.table[:25].tolist(), strict=True))
    assert {name: got[name] for name in ('RoadLine', 'SideWalk', 'Pedestrian', 'Cars')} == {
        'RoadLine': 1, 'SideWalk': 2, 'Pedestrian': 9, 'Cars': 255,
    }  # fmt: skip


@pytest.mark.parametrize(('name', 'classes'), [('muses', CITYSCAPES), ('deliver', DELIVER)])
def test_a_model_of_the_same_classes_keeps_every_id(name, classes):
    mapping = class_mapping(name, classes)
    ids = np.array([[*range(len(classes)), 255]], np.uint8)
    np.testing.assert_array_equal(mapping.apply(ids, 'x'), ids)
    assert mapping.unscored == mapping.unmet == ()


def test_an_own_file(tmp_path):
    path = tmp_path / 'classes.yaml'
    path.write_text('0: road\n1: RoadLine\n13: vehicle\n14: vehicle\n18: null\n')
    mapping = class_mapping(path, NANO)
    assert mapping.apply(label_map(0, 1, 13, 14, 18, 255), 'x').tolist() == [
        [0, 1, 8, 8, 255, 255]
    ]
    assert mapping.unscored == ('18',)
    with pytest.raises(InputError, match=r'x: expected class ids of .*classes\.yaml.*got 7'):
        mapping.apply(label_map(0, 7), 'x')


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ('- road', 'expected pairs of class id and class name, got list'),
        ('', 'got NoneType'),
        ('0: tram', r"for 0, or null, got 'tram'"),
        ('road: 0', "ids from 0 to 254, got 'road'"),
        ('true: road', 'ids from 0 to 254, got True'),
        ('255: road', 'got 255'),
        ('0: [', 'or a YAML file of class ids'),
    ],
)
def test_files_that_map_nothing(tmp_path, content, words):
    (tmp_path / 'classes.yaml').write_text(content)
    with pytest.raises(InputError, match=words) as error:
        class_mapping(tmp_path / 'classes.yaml', NANO)
    assert '\n' not in str(error.value)


def test_names_that_map_nothing():
    with pytest.raises(InputError, match='one of cityscapes, muses, deliver, or a YAML file'):
        class_mapping('kitty', NANO)
    with pytest.raises(InputError, match=r'some class of deliver .* got asphalt'):
        class_mapping('deliver', ('asphalt',))


@pytest.fixture
def bag(tmp_path):
    labels = [(T0, label_map(0, 13, 255)), (T0 + 50 * MS, label_map(1, 1, 1))]
    write(
        tmp_path / 'a.mcap',
        [(t, '/labels', messages.image(ids, 'mono8', t, 'camera')) for t, ids in labels],
    )
    with open_bag(tmp_path / 'a.mcap') as reader:
        yield reader


def test_a_topic_through_a_mapping(bag):
    truth = Truth(bag, '/labels', mapping=class_mapping('cityscapes', NANO))
    assert truth.at(T0 - MS, True) is None
    assert truth.at(T0, True).tolist() == [[0, 255, 255]]
    assert truth.count_unused() == 1


def test_files_win_over_the_topic(tmp_path, bag):
    folder = tmp_path / 'labels'
    folder.mkdir()
    names = {
        T0 + 50 * MS: f'{T0 + 50 * MS}', T0 + 100 * MS: '1700000000.1', T0 + 150 * MS + 400:
        '1700000000_150000', T0 + 10_000 * MS: '1700000010',
    }  # fmt: skip
    for index, name in enumerate(names.values()):
        cv2.imwrite(str(folder / f'{name}.png'), label_map(index, 255))
    truth = Truth(bag, '/labels', LabelFiles(folder))
    assert truth.at(T0, True) is None
    for index, stamp_ns in enumerate(names):
        assert truth.at(stamp_ns, True).tolist() == [[index, 255]]
    assert truth.at(T0 + 101 * MS, True) is None
    assert truth.at(T0 + 101 * MS, False).tolist() == [[1, 255]]
    assert truth.count_unused() == 0


@pytest.mark.parametrize('name', ['labels', '17000000001', '1700000000.1234567890', '-5', '1.2.3'])
def test_names_that_are_no_stamps(tmp_path, name):
    cv2.imwrite(str(tmp_path / f'{name}.png'), label_map(0))
    with pytest.raises(InputError, match='expected a name such as'):
        LabelFiles(tmp_path)


def test_folders_and_files_that_hold_no_labels(tmp_path):
    with pytest.raises(InputError, match='expected PNG files named by stamps, got none'):
        LabelFiles(tmp_path)
    path = tmp_path / '1700000000.png'
    for pixels in (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint16)):
        cv2.imwrite(str(path), pixels)
        with pytest.raises(InputError, match='expected a picture with 8 bits and one channel'):
            LabelFiles(tmp_path).at(T0, 0)
    path.write_bytes(b'')
    with pytest.raises(InputError, match='got something else'):
        LabelFiles(tmp_path).at(T0, 0)
