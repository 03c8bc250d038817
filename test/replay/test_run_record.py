"""What a run was is told by hashes of what it read, not by where that stood."""

import hashlib
import json

from mle_sam_ros.bags.class_mapping import class_mapping
from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.core.calibration import parse_calibration
from mle_sam_ros.replay.run_record import (
    bag_identity,
    calibration_record,
    classes_record,
    labels_identity,
    topics_record,
)
import yaml


def test_a_recording_is_named_by_its_bytes(tmp_path):
    (tmp_path / 'one.mcap').write_bytes(b'drive')
    digest = hashlib.sha256(b'drive').hexdigest()
    assert bag_identity(tmp_path / 'one.mcap') == {'name': 'one.mcap', 'sha256': digest}


def test_a_folder_is_named_by_all_its_files(tmp_path):
    digests = []
    for place, names in (('a', 'xy'), ('b', 'yx'), ('c', 'xz')):
        folder = tmp_path / place / 'drive'
        folder.mkdir(parents=True)
        for name in names:
            (folder / f'{name}.png').write_bytes(b'same')
        (folder / 'notes.txt').write_text(place)
        assert bag_identity(folder)['name'] == 'drive'
        digests.append(labels_identity(folder)['sha256'])
    assert digests[0] == digests[1] != digests[2]
    assert labels_identity(None) is None


def test_a_calibration_is_written_whole(tmp_path):
    rows = [[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    content = {'camera_from': {'lidar': [[float(value) for value in row] for row in rows]}}
    first = calibration_record(parse_calibration(content, 'a.yaml'))
    assert first['content']['camera_from'] == content['camera_from']
    assert json.loads(json.dumps(first)) == first
    rows[0][3] = 0.6
    second = calibration_record(parse_calibration({'camera_from': {'lidar': rows}}, 'a.yaml'))
    assert first['sha256'] != second['sha256']
    assert calibration_record(None) is None


def test_a_class_mapping_is_written_id_by_id(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump({0: 'road', 7: None, 9: 'sky'}))
    names = ('road', 'sky')
    assert classes_record(class_mapping(str(path), names), names) == {
        'name': 'mine.yaml',
        'ids': {'0': 'road', '7': None, '9': 'sky'},
    }
    assert classes_record(None, names) is None


def test_topics_are_those_that_there_are():
    topics = Topics('/cam', None, None, None, '/os', None, None, others={'lidar_2': '/os2'})
    assert topics_record(topics) == {'camera': '/cam', 'lidar': '/os', 'lidar_2': '/os2'}
