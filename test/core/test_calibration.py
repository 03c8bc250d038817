import copy

from mle_sam_ros.core.calibration import calibration_mapping, parse_calibration
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest

FILE = {
    'cameras': {
        'camera': {
            'size_hw': [320, 640],
            'matrix': [320.0, 0, 320, 0, 320, 160, 0, 0, 1],
            'distortion': [-0.1, 0.01, 0, 0, 0],
        }
    },
    'camera_from': {'lidar': [[0, -1, 0, 0.1], [0, 0, -1, 0.2], [1, 0, 0, 0.3], [0, 0, 0, 1]]},
}


def test_reads_and_writes_back():
    calibration = parse_calibration(FILE, 'rig.yaml')
    assert calibration.cameras['camera'].size_hw == (320, 640)
    np.testing.assert_array_equal(calibration.camera_from['lidar'][:3, 3], [0.1, 0.2, 0.3])
    again = calibration_mapping(parse_calibration(calibration_mapping(calibration), 'again'))
    assert again == calibration_mapping(calibration)


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        (('camera_from', 'lidar', 0), [0, -2, 0, 0], 'expected a rigid 4 x 4'),
        (('camera_from', 'lidar'), [[1, 0, 0, 0]], 'expected a rigid 4 x 4'),
        (('cameras', 'camera', 'matrix'), [1.0, 2], '9 matrix values'),
        (('cameras', 'camera', 'distortion'), [1.0], 'distortion: expected 5 values, got 1'),
        (
            ('cameras', 'camera', 'matrix'),
            [320.0, 0, 320, 0, 0, 160, 0, 0, 1],
            'positive focal lengths',
        ),
        (('lens',), 1, 'got lens; remove it'),
    ],
)
def test_refuses(path, value, message):
    mapping = copy.deepcopy(FILE)
    target = mapping
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(InputError, match=message):
        parse_calibration(mapping, 'rig.yaml')
