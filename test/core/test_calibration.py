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


def test_little_suffices():
    camera = {'size_hw': [4, 6], 'matrix': [5.0, 0, 3, 0, 5, 2, 0, 0, 1]}
    model = parse_calibration({'cameras': {'camera': camera}}, 'rig.yaml').cameras['camera']
    assert (model.distortion_model, model.distortion.tolist()) == ('plumb_bob', [0] * 5)
    assert list(parse_calibration({'camera_from': FILE['camera_from']}, 'rig').camera_from) == [
        'lidar'
    ]


@pytest.mark.parametrize(
    ('model', 'distortion'),
    [('rational_polynomial', [0.1] * 8), ('equidistant', [0.1, 0, 0, 0.2])],
)
def test_every_lens_is_written_and_read_back(model, distortion):
    camera = FILE['cameras']['camera'] | {'distortion_model': model, 'distortion': distortion}
    calibration = parse_calibration({'cameras': {'event': camera}}, 'rig.yaml')
    again = parse_calibration(calibration_mapping(calibration), 'again')
    assert again.cameras['event'].agrees_with(calibration.cameras['event'])
    assert again.cameras['event'].lens_kind == calibration.cameras['event'].lens_kind


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        (('camera_from', 'lidar', 0), [0, -2, 0, 0], 'expected a rigid 4 x 4'),
        (('camera_from', 'lidar'), [[1, 0, 0, 0]], 'expected a rigid 4 x 4'),
        (('cameras', 'camera', 'matrix'), [1.0, 2], '9 matrix values'),
        (('cameras', 'camera', 'distortion'), [1.0], "got 'plumb_bob' with 1; recalibrate"),
        (
            ('cameras', 'camera', 'matrix'),
            [320.0, 0, 320, 0, 0, 160, 0, 0, 1],
            'positive focal lengths',
        ),
        (('lens',), 1, 'got lens; remove it'),
        (('cameras', 'camera', 'rotation'), [1.0], '9 of a rotation, got 9 and 1'),
        (('cameras', 'camera', 'rotation'), [2.0] * 9, 'camera: expected a rotation'),
        (('cameras', 'camera', 'distortion_model'), 'fov', "got 'fov' with 5"),
        (('cameras', 'camera', 'size_hw'), [0, 640], 'expected a size of 1 to'),
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
