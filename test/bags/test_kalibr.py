import copy

from mle_sam_ros.bags.calibration_file import read_calibration
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest
import yaml


def turned(angle, x):
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[0, 3] = x
    return matrix


CAM1_FROM_CAM0, CAM2_FROM_CAM1 = turned(0.3, 0.1), turned(-0.1, 0.2)


def camera(topic, lens='radtan', coefficients=(-0.27, 0.067, 0.0008, 0.0001)):
    return {
        'cam_overlaps': [1],
        'camera_model': 'pinhole',
        'distortion_coeffs': list(coefficients),
        'distortion_model': lens,
        'intrinsics': [461.6, 460.1, 362.7, 246.0],
        'resolution': [752, 480],
        'rostopic': topic,
    }


CHAIN = {
    'cam0': camera('/stereo/left/image_raw'),
    'cam1': camera('/dvs/image_recon', 'equidistant', (0.01, 0.02, 0.03, 0.04))
    | {'T_cn_cnm1': CAM1_FROM_CAM0.tolist()},
}
THREE = {**CHAIN, 'cam2': camera('/right') | {'T_cn_cnm1': CAM2_FROM_CAM1.tolist()}}


def written(tmp_path, chain):
    path = tmp_path / 'camchain.yaml'
    path.write_text(yaml.safe_dump(chain))
    return path


def test_the_topics_tell_which_camera_is_which(tmp_path):
    calibration = read_calibration(written(tmp_path, CHAIN))
    frames, events = calibration.cameras['camera'], calibration.cameras['event']
    assert frames.size_hw == (480, 752)
    np.testing.assert_array_equal(frames.matrix, [[461.6, 0, 362.7], [0, 460.1, 246.0], [0, 0, 1]])
    assert frames.distortion_model == 'plumb_bob'
    np.testing.assert_array_equal(frames.distortion, [-0.27, 0.067, 0.0008, 0.0001, 0])
    assert events.distortion_model == 'equidistant'
    np.testing.assert_array_equal(events.distortion, [0.01, 0.02, 0.03, 0.04])
    # A point at cam1's origin is where T_cn_cnm1 takes it from.
    np.testing.assert_allclose(
        CAM1_FROM_CAM0 @ calibration.camera_from['event'], np.eye(4), atol=1e-12
    )


def test_the_caller_knows_better(tmp_path):
    path = written(tmp_path, THREE)
    calibration = read_calibration(path, {'camera': 'cam2', 'event': 'cam0'})
    np.testing.assert_allclose(
        calibration.camera_from['event'], CAM2_FROM_CAM1 @ CAM1_FROM_CAM0, atol=1e-12
    )
    assert calibration.cameras['camera'].distortion_model == 'plumb_bob'
    assert read_calibration(path, {'camera': 'cam2'}).cameras.keys() == {'camera', 'event'}


def test_one_camera_needs_no_topic(tmp_path):
    lonely = {'cam0': camera('', 'none', ())}
    del lonely['cam0']['rostopic']
    calibration = read_calibration(written(tmp_path, lonely))
    assert (list(calibration.cameras), calibration.camera_from) == (['camera'], {})


@pytest.mark.parametrize(
    ('path', 'value', 'message'),
    [
        (('cam2',), CHAIN['cam0'], r'cam0 \(/stereo/left/image_raw\), cam1 .*, cam2'),
        (('cam1', 'rostopic'), '/right', 'say it with --camera camera=cam0 --camera event=cam1'),
        (('cam3',), CHAIN['cam0'], 'without gaps, got cam0, cam1, cam3'),
        (('cam0',), 5, 'cam0: expected a text as camera_model, got None'),
        (('cam0', 'camera_model'), 'omni', 'got omni with radtan; calibrate with pinhole-radtan'),
        (('cam0', 'distortion_model'), 'fov', 'got pinhole with fov'),
        (('cam0', 'distortion_coeffs'), [1, 2], r'4 distortion_coeffs, got .* and \[1.0, 2.0\]'),
        (('cam0', 'intrinsics'), ['a'], 'cam0: expected numbers as intrinsics'),
        (('cam0', 'intrinsics'), [0, 0, 0, 0], 'cam0: camera: expected .* positive focal'),
        (('cam0', 'resolution'), [0, 480], 'cam0: camera: expected a size'),
        (('cam1', 'T_cn_cnm1'), [[1, 2]], 'cam1.T_cn_cnm1: expected a rigid 4 x 4'),
    ],
)
def test_refuses(tmp_path, path, value, message):
    chain = copy.deepcopy(CHAIN)
    target = chain
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(InputError, match=message) as caught:
        read_calibration(written(tmp_path, chain))
    assert 'camchain.yaml' in str(caught.value)


@pytest.mark.parametrize('cameras', [{'camera': 'cam7'}, {'lidar': 'cam0'}])
def test_refuses_cameras_that_there_are_not(tmp_path, cameras):
    with pytest.raises(InputError, match='expected to know which is the camera'):
        read_calibration(written(tmp_path, CHAIN), cameras)
