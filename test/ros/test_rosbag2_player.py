"""`ros2 bag play` is started with what it takes, goes on when it is heard, and is ended."""

import json
import os
import sys

import pytest

pytest.importorskip('rclpy')

from bundles import write_tiny_bundle
from cloud_drive import write_cloud_drive
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.cli import main
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros import rosbag2_player
from mle_sam_ros.ros.environment import free_domain_id
from mle_sam_ros.ros.recorder import Recorder
from mle_sam_ros.ros.rosbag2_player import has_rosbag2, play_with_rosbag2
import numpy as np
from ros_bench import wait_until
import yaml

pytestmark = pytest.mark.ros

T0 = 1_700_000_000_000_000_000
# In the place of `ros2`: `bag play` waits until `service call` was heard, then plays as ours does.
STAND_IN = """
import argparse, json, sys, time
from pathlib import Path
room = Path(sys.argv[0]).parent
if sys.argv[1:3] == ['service', 'call']:
    (room / 'resumed').write_text(' '.join(sys.argv[3:]))
    sys.exit(0)
assert sys.argv[1:3] == ['bag', 'play']
parser = argparse.ArgumentParser()
parser.add_argument('bag_path')
parser.add_argument('--start-paused', action='store_true')
parser.add_argument('--disable-keyboard-controls', action='store_true')
parser.add_argument('--clock', type=float)
parser.add_argument('--rate', type=float)
parser.add_argument('--wait-for-all-acked', type=int)
parser.add_argument('--qos-profile-overrides-path')
parser.add_argument('--topics', nargs='+')
parser.add_argument('--remap', nargs='+', default=[])
options = parser.parse_args(sys.argv[3:])
qos = Path(options.qos_profile_overrides_path).read_text()
(room / 'asked.json').write_text(json.dumps({**vars(options), 'qos': qos}))
if (room / 'refuse').exists():
    sys.exit(3)
assert options.start_paused
from mle_sam_ros.ros import player
wait = player._wait_for_subscribers
def paused(*_):
    while not (room / 'resumed').exists():
        time.sleep(0.05)
player._wait_for_subscribers = paused
remap = dict(rule.split(':=') for rule in options.remap)
player.play(options.bag_path, rate=options.rate, topics=options.topics, remap=remap)
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    """Puts the stand-in on PATH."""
    path = tmp_path / 'bin' / 'ros2'
    path.parent.mkdir()
    path.write_text(f'#!{sys.executable}\n{STAND_IN}')
    path.chmod(0o755)
    monkeypatch.setenv('PATH', f'{path.parent}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(free_domain_id()))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    return path.parent


@pytest.fixture
def drive(tmp_path):
    path = tmp_path / 'drive.mcap'
    with BagWriter(path) as bag:
        for index in range(20):
            t = T0 + index * 50_000_000
            image = messages.image(np.full((8, 8, 3), index, np.uint8), 'rgb8', t, 'camera')
            bag.write('/front/image', image, t)
            bag.write('/lidar/points', messages.point_cloud(np.zeros(1, 'f4,f4,f4'), t, 'l'), t)
    return path


def test_plays_when_it_is_heard(room, drive, tmp_path, monkeypatch):
    monkeypatch.setattr(rosbag2_player, '_DISCOVERY_S', 8.0)  # of a busy machine
    topics = {'/camera/image': 'sensor_msgs/msg/Image'}
    path = tmp_path / 'heard.mcap'
    with Recorder(path, topics, use_sim_time=True) as recorder:
        play_with_rosbag2(
            str(drive), topics=['/front/image'], remap={'/front/image': '/camera/image'}, rate=2.0
        )
        wait_until(lambda: recorder.counts == {'/camera/image': 20})  # every one, from the first
    asked = json.loads((room / 'asked.json').read_text())
    assert asked['topics'] == ['/front/image']
    assert asked['remap'] == ['/front/image:=/camera/image']
    assert asked['rate'] == 2.0
    assert yaml.safe_load(asked['qos'])['/front/image']['reliability'] == 'reliable'
    resumed = (room / 'resumed').read_text()
    assert resumed == '/rosbag2_player/resume rosbag2_interfaces/srv/Resume'


def test_a_player_that_refuses_is_reported(room, drive):
    (room / 'refuse').touch()
    with pytest.raises(InputError, match='ros2 bag play: expected it to publish /front/image'):
        play_with_rosbag2(str(drive), topics=['/front/image'], remap={}, wait_s=20)


def test_a_live_replay_with_it(room, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rosbag2_player, '_DISCOVERY_S', 8.0)
    marker = tmp_path / 'share/ament_index/resource_index/packages/ros2bag'
    marker.parent.mkdir(parents=True)
    marker.touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    for name in ('RMW_IMPLEMENTATION', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        monkeypatch.setenv(name, '')  # restored afterwards
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '')
    drive = write_cloud_drive(tmp_path / 'drive.mcap', namespace='/front')
    bundle, out = write_tiny_bundle(tmp_path / 'tiny').directory, tmp_path / 'out'
    arguments = ['--bundle', str(bundle), '--out', str(out), '--rate', '0.5']
    assert main(['live-replay', str(drive), *arguments]) == 0
    assert 'to the node with ros2 bag play' in capsys.readouterr().err
    metrics = json.loads((out / 'metrics.json').read_text())
    assert metrics['delivery']['camera'] == {'sent': 30, 'received': 30}
    assert metrics['delivery']['masks']['received'] == metrics['frames_scored'] > 0
    latency = json.loads((out / 'latency.json').read_text())['total']
    assert 0 < latency['p50'] < 2000  # in the time of /clock


def test_it_is_found_by_the_index_of_packages(tmp_path, monkeypatch):
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    assert not has_rosbag2()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert not has_rosbag2()
    marker = tmp_path / 'share/ament_index/resource_index/packages/ros2bag'
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert has_rosbag2()
