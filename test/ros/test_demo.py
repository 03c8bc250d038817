"""The whole way: a drive is played to the node over DDS, recorded, scored and compared."""

import json

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('open3d')

from bundles import write_tiny_bundle
from cloud_drive import write_cloud_drive
from mle_sam_ros import demo
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.simulation.scenario import Scenario

pytestmark = pytest.mark.ros


def write_drive(path, *_, **__):
    """In the place of the simulator."""
    write_cloud_drive(path, silent={'lidar': {*range(15, 30)}})


@pytest.fixture
def environment(monkeypatch):
    """Restores what the demo sets for its processes."""
    names = ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'RMW_IMPLEMENTATION')
    for name in (*names, 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        monkeypatch.setenv(name, '')


def test_node_and_replay_agree(tmp_path, monkeypatch, environment, capsys):
    bundle = write_tiny_bundle(tmp_path / 'tiny').directory
    monkeypatch.setattr(demo, 'synthesize', write_drive)
    out = tmp_path / 'out'
    metrics = demo.demo(out, bundle, Scenario(seed=1, seconds=1.5))

    assert {path.name for path in out.iterdir()} == {
        'drive.mcap', 'node.mcap', 'calibration.yaml', 'node.log',
        'metrics.json', 'latency.json', 'report.html', 'overlay.png', 'overlay.mp4',
    }  # fmt: skip
    assert json.loads((out / 'metrics.json').read_text()) == metrics
    frames, agreement = metrics['frames'], metrics['agreement']
    assert frames['received'] == 30
    decided = frames['emitted'] + frames['superseded'] + sum(frames['rejected'].values())
    assert frames['received'] == decided
    assert metrics['frames_scored'] == frames['emitted'] + frames['without_camera'] > 0
    assert agreement['frames_compared'] == metrics['frames_scored']
    # Arrival times differ from run to run, and with them the pairing; what is computed does not.
    if agreement['frames_with_same_inputs']:
        assert agreement['identical_with_same_inputs'] == 1
    assert 'camera+event+lidar' in metrics['subsets']
    output = capsys.readouterr()
    assert '30 from the camera' in output.out
    assert str(out / 'report.html') in output.out
    assert 'Traceback' not in (out / 'node.log').read_text()


def test_a_bundle_that_cannot_run_leaves_nothing(tmp_path, monkeypatch, environment):
    bundle = write_tiny_bundle(tmp_path / 'tiny').directory
    with (bundle / 'encoder_lidar.onnx').open('ab') as stream:
        stream.write(b'damage')
    monkeypatch.setattr(demo, 'synthesize', write_drive)
    with pytest.raises(InputError, match=r'node: expected it to become active, got: .*sha256'):
        demo.demo(tmp_path / 'out', bundle, Scenario(seed=1, seconds=1.5))
    assert [path.name for path in tmp_path.iterdir()] == ['tiny']
