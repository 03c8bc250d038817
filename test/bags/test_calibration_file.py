import json

from mle_sam_ros.bags.calibration_file import read_calibration, write_calibration
from mle_sam_ros.core.calibration import Calibration, calibration_mapping
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest


def test_written_is_read_back_exactly(tmp_path):
    camera = CameraModel((320, 640), np.diag([317.123456789, 318, 1]), np.linspace(0, 0.1, 5))
    calibration = Calibration({'camera': camera}, {'lidar': np.eye(4)})
    write_calibration(tmp_path / 'rig.yaml', calibration)
    again = read_calibration(tmp_path / 'rig.yaml')
    assert calibration_mapping(again) == calibration_mapping(calibration)


def test_reads_the_calib_json_of_muses(tmp_path):
    camera_from_lidar = [[0.0, -1, 0, 1], [0, 0, -1, 2], [1, 0, 0, 3], [0, 0, 0, 1]]
    content = {
        'intrinsics': {
            'rgb': {'K': [[1000.0, 0, 960], [0, 1000, 540], [0, 0, 1]]},
            'event': {'K': [[900.0, 0, 640], [0, 900, 360], [0, 0, 1]]},
        },
        'extrinsics': {'lidar2rgb': camera_from_lidar, 'event2rgb': np.eye(4).tolist()},
    }
    (tmp_path / 'calib.json').write_text(json.dumps(content, indent='\t'))
    calibration = read_calibration(tmp_path / 'calib.json')
    assert calibration.cameras['camera'].size_hw == (1080, 1920)
    assert calibration.cameras['event'].size_hw == (720, 1280)
    np.testing.assert_array_equal(calibration.camera_from['lidar'], camera_from_lidar)


def test_refuses_a_file_that_is_too_large(tmp_path):
    (tmp_path / 'rig.yaml').write_text('#' * (1 << 20) + '#')
    with pytest.raises(InputError, match='got more than 1048576 bytes'):
        read_calibration(tmp_path / 'rig.yaml')


@pytest.mark.parametrize(
    'content', [b'cameras: [', b'\xff\xfe', b'just words', b'{}', b'[' * 5000, b'a: &a [*a]']
)
def test_refuses(tmp_path, content):
    (tmp_path / 'rig.yaml').write_bytes(content)
    with pytest.raises(InputError, match=r'rig\.yaml'):
        read_calibration(tmp_path / 'rig.yaml')


def test_a_parameter_file_is_told_apart(tmp_path):
    (tmp_path / 'rig.yaml').write_text('/**:\n  ros__parameters: {threads: 2}\n')
    with pytest.raises(InputError, match='parameter file; give it with --params'):
        read_calibration(tmp_path / 'rig.yaml')


def test_refuses_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match='expected a calibration file'):
        read_calibration(tmp_path / 'none.yaml')
