"""A drive through the node over DDS: live-replay, and its parts record and score."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('rclpy')

from bundles import write_tiny_bundle
from cloud_drive import write_cloud_drive
from mle_sam_ros.cli import main
from mle_sam_ros.ros.environment import free_domain_id
from mle_sam_ros.ros.player import play
from mle_sam_ros.ros.process import NodeProcess, REMAPPINGS, whole_delivery
from ros_bench import Bench, PATIENCE_S, wait_until
from tiny_drive import write_drive

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').directory


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    """30 camera frames, on topics of its own."""
    return write_cloud_drive(tmp_path_factory.mktemp('drive') / 'drive.mcap', namespace='/front')


@pytest.fixture(scope='module')
def packet_drive(tmp_path_factory):
    """Events are EventPacket, whose package the index of Python packages does not have."""
    return write_drive(tmp_path_factory.mktemp('drive') / 'drive.mcap', num_frames=30)


@pytest.fixture(autouse=True)
def domain_id(monkeypatch):
    domain_id = free_domain_id()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain_id))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')  # without rosbag2
    for name in ('RMW_IMPLEMENTATION', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        monkeypatch.setenv(name, '')
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '')
    return domain_id


@pytest.fixture
def node():
    """As a launch file starts it: unconfigured, on the names of recordings."""
    command = [
        sys.executable,
        '-m',
        'mle_sam_ros.ros.node',
        '--ros-args',
        '-p',
        'autostart:=false',
    ]
    for name, value in whole_delivery(['/camera/image']).items():
        command += ['-p', f'{name}:={value}']
    for source, target in REMAPPINGS.items():
        command += ['-r', f'{source}:={target}']
    process = subprocess.Popen(command)
    yield process
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize('events', ['clouds', 'packets'])
def test_through_a_node_of_its_own(drive, packet_drive, bundle, events, tmp_path, capsys):
    drive = drive if events == 'clouds' else packet_drive
    out = tmp_path / 'out'
    assert main(['live-replay', str(drive), '--bundle', str(bundle), '--out', str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        'node.mcap', 'calibration.yaml', 'node.log',
        'metrics.json', 'latency.json', 'report.html', 'overlay.png',
    }  # fmt: skip
    metrics = json.loads((out / 'metrics.json').read_text())
    assert metrics['delivery']['camera'] == {'sent': 30, 'received': 30}
    assert metrics['delivery']['event']['sent'] == metrics['delivery']['event']['received']
    masks = metrics['delivery']['masks']
    assert masks['sent'] == masks['received'] == metrics['frames_scored'] > 0
    agreement = metrics['agreement']
    if agreement['frames_with_same_inputs']:
        assert agreement['identical_with_same_inputs'] == 1
    told = capsys.readouterr()
    assert '30 of 30 camera' in told.out
    assert 'playing drive.mcap to the node with mle-sam play' in told.err


def test_through_a_node_that_runs_already(drive, bundle, node, tmp_path, capsys):
    out = tmp_path / 'out'
    arguments = ['--bundle', str(bundle), '--out', str(out), '--node', 'running', '--rate', '0.5']
    assert main(['live-replay', str(drive), *arguments, '--drop', 'lidar']) == 0
    metrics = json.loads((out / 'metrics.json').read_text())
    assert set(metrics['delivery']) == {'camera', 'event', 'masks'}
    assert metrics['delivery']['camera'] == {'sent': 30, 'received': 30}
    assert metrics['arguments']['drop'] == ['lidar']
    assert node.poll() is None  # whoever started it ends it


def test_a_node_that_cannot_be_configured_says_why(drive, node, tmp_path, capsys):
    bundle = write_tiny_bundle(tmp_path / 'tiny').directory
    with (bundle / 'encoder_lidar.onnx').open('ab') as stream:
        stream.write(b'damage')
    arguments = ['--bundle', str(bundle), '--out', str(tmp_path / 'out'), '--node', 'running']
    assert main(['live-replay', str(drive), *arguments]) == 2
    assert 'sha256' in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ['tiny']


def test_a_node_that_dies_on_the_way_is_a_failure(drive, bundle, tmp_path):
    out = tmp_path / 'out'
    live = start('live-replay', drive, '--bundle', bundle, '--out', out, '--rate', 0.05)
    wait_for_line(live.stderr, 'playing')
    time.sleep(3)
    subprocess.run(['pkill', '-KILL', '-P', str(live.pid)], check=True)
    _, told = live.communicate(timeout=PATIENCE_S)
    assert live.returncode == 2, told
    assert 'got exit code -9' in told
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(drive, bundle, tmp_path):
    live = start(
        'live-replay', drive, '--bundle', bundle, '--out', tmp_path / 'out', '--rate', 0.1
    )
    wait_for_line(live.stderr, 'playing')
    time.sleep(1)
    live.send_signal(signal.SIGINT)
    _, told = live.communicate(timeout=PATIENCE_S)
    assert (live.returncode, told) == (130, 'mle-sam: interrupted; nothing half-written is left\n')
    assert list(tmp_path.iterdir()) == []


def test_recorded_and_scored_by_themselves(drive, bundle, domain_id, tmp_path, capsys):
    calibration = tmp_path / 'calibration.yaml'
    assert main(['calibration', str(drive), '--out', str(calibration)]) == 0
    parameters = {
        'bundle': bundle, 'calibration_file': calibration, 'event_message': 'point_cloud2',
        'use_sim_time': True, **whole_delivery(['/camera/image']),
    }  # fmt: skip
    process = NodeProcess(parameters, REMAPPINGS, os.environ, tmp_path / 'node.log')
    with process as node, Bench(domain_id) as bench:
        node.wait_until_active()
        recorder = start('record', '--out', tmp_path / 'node.mcap', '--sim-time')
        wait_for_line(recorder.stderr, 'recording')
        wait_until(lambda: bench.values('frames'))
        # The bench and the recorder: who says that it records may not have been found yet.
        wait_until(lambda: bench.node.count_subscribers('/mle_sam/perception/mask') == 2)
        remap = {'/front/image': '/camera/image', '/front/camera_info': '/camera/camera_info'}
        play(drive, remap=remap, wait_for=['/camera/image', '/lidar/points', '/clock'])
        wait_until(lambda: bench.values('frames')['received'] == '30')
        wait_until(lambda: bench.values('frames')['waiting'] == '0')
        bench.next_diagnostics()  # which the recorder hears, too
        recorder.send_signal(signal.SIGINT)
        told, complaint = recorder.communicate(timeout=PATIENCE_S)
        node.finish()
    assert recorder.returncode == 0, complaint
    assert 'node.mcap' in told.splitlines()[-1]
    out = tmp_path / 'out'
    arguments = [tmp_path / 'node.mcap', '--bundle', bundle, '--out', out]
    assert main(['score', str(drive), *map(str, arguments)]) == 0
    metrics = json.loads((out / 'metrics.json').read_text())
    assert metrics['delivery']['camera'] == {'sent': 30, 'received': 30}
    assert metrics['agreement']['frames_compared'] == metrics['frames_scored'] > 0
    latency = json.loads((out / 'latency.json').read_text())['total']
    assert 0 < latency['p50'] < 2000  # in the drive's time


def test_nothing_recorded_is_no_recording(tmp_path):
    recorder = start('record', '--out', tmp_path / 'node.mcap')
    wait_for_line(recorder.stderr, 'recording')
    recorder.send_signal(signal.SIGINT)
    _, told = recorder.communicate(timeout=PATIENCE_S)
    assert recorder.returncode == 2
    assert 'expected masks on /mle_sam/perception/mask, got none' in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('asked', 'answer'),
    [
        (['--fault', 'lidar:drop=1@0-1'], 'expected no --fault'),
        (['--rate', '0'], 'rate: expected a positive number'),
        (['--drop', 'lidr'], "got 'lidr'"),
        (['--player', 'rosbag2'], 'expected ros2 bag to be installed'),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    drive, bundle, tmp_path, asked, answer, capsys
):
    arguments = ['--bundle', str(bundle), '--out', str(tmp_path / 'out'), *asked]
    assert main(['live-replay', str(drive), *arguments]) == 2
    told = capsys.readouterr().err
    assert answer in told
    assert told.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


def start(*arguments):
    command = [sys.executable, '-m', 'mle_sam_ros.cli', *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def wait_for_line(stream, text):
    for line in iter(stream.readline, ''):
        if text in line:
            return
    raise AssertionError(f'{text} never came')
