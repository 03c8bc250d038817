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


@pytest.mark.parametrize('content', [b'cameras: [', b'\xff\xfe', b'just words', b'{}'])
def test_refuses(tmp_path, content):
    (tmp_path / 'rig.yaml').write_bytes(content)
    with pytest.raises(InputError, match=r'rig\.yaml'):
        read_calibration(tmp_path / 'rig.yaml')


def test_refuses_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match='expected a calibration file'):
        read_calibration(tmp_path / 'none.yaml')
