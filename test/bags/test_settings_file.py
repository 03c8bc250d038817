"""The node's parameter file, as replays read it."""

from dataclasses import fields
from pathlib import Path

from mle_sam_ros.bags.settings_file import NODE_ONLY, read_rig_settings
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.settings import RigSettings
import pytest
import yaml

MS = 1_000_000


@pytest.fixture
def write(tmp_path):
    def write(parameters):
        path = tmp_path / 'rig.yaml'
        path.write_text(yaml.safe_dump({'/**': {'ros__parameters': parameters}}))
        return path

    return write


def test_the_shipped_file_holds_the_defaults():
    path = Path(__file__).parents[2] / 'config' / 'perception.yaml'
    assert read_rig_settings(path) == RigSettings()


def test_what_the_file_says_wins_and_the_rest_keeps_its_default(write):
    settings = read_rig_settings(
        write(
            {
                'threads': 2,
                'motion': 'odometry',
                'lidar': {'intensity_scale': 2.0},
                'alignment': {
                    'lidar': {'offset_ns': -3 * MS},
                    'camera': {'default_period_ns': 0},
                },
            }
        )
    )
    assert settings.motion_settings.source == 'odometry'
    assert settings.lidar.intensity_scale == 2.0
    assert settings.alignment.lidar.offset_ns == -3 * MS
    assert settings.alignment.camera.default_period_ns is None
    assert settings.alignment.lidar.max_age_ns == RigSettings().alignment.lidar.max_age_ns


def test_only_the_node_has_the_others():
    parameters = pytest.importorskip('mle_sam_ros.ros.parameters')
    names = {item.name for item in fields(parameters.NodeParameters)}
    assert names - {item.name for item in fields(RigSettings)} == NODE_ONLY - {'use_sim_time'}


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'aligment': {}}, 'autostart.*, got aligment; did you mean alignment'),
        ({'speed': 1}, 'got speed; remove it'),
        ({'alignment': {'lidar': {'max_age': 1}}}, 'got max_age; remove it'),
        ({'num_lidars': 'two'}, "expected int, got str 'two'"),
        ({'motion': 'wheels'}, "got 'wheels'; choose one"),
        ({'motion': 'tf'}, 'expected the frame in which the ground stands still'),
    ],
)
def test_refuses(write, parameters, message):
    with pytest.raises(InputError, match=message):
        read_rig_settings(write(parameters))


@pytest.mark.parametrize('text', ['', '[1, 2]', 'a: {ros__parameters: 3}', '{', 'a: {}\nb: {}'])
def test_refuses_what_is_no_parameter_file(tmp_path, text):
    path = tmp_path / 'rig.yaml'
    path.write_text(text)
    with pytest.raises(InputError, match=r'rig\.yaml: expected'):
        read_rig_settings(path)
    with pytest.raises(InputError, match='No such file'):
        read_rig_settings(tmp_path / 'none.yaml')


def test_a_calibration_is_told_apart(tmp_path):
    (tmp_path / 'rig.yaml').write_text('camera_from: {}\ncameras: {}\n')
    with pytest.raises(InputError, match='got a calibration; give it with --calibration'):
        read_rig_settings(tmp_path / 'rig.yaml')
