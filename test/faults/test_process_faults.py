"""Faults of programs, not of sensors: engine, drivers, clock, disk, signals."""

from contextlib import contextmanager
from pathlib import Path
import resource
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('rclpy')

from mle_sam_ros.core.trust import present_of
from mle_sam_ros.ros.environment import free_domain_id, private_environment
from mle_sam_ros.ros.player import play
from mle_sam_ros.ros.process import NodeProcess, REMAPPINGS
from ros_bench import Bench, every_frame, MS, stamp_ns_of, wait_until, write_rig
from tiny_drive import write_drive

pytestmark = pytest.mark.ros

HERE = Path(__file__).parent


@pytest.fixture
def domain_id():
    return free_domain_id()


@pytest.fixture
def trouble(tmp_path):
    return tmp_path / 'trouble'


@contextmanager
def node_in_trouble(room, domain_id, trouble, **parameters):
    program = [str(HERE / 'troubled_node.py'), str(trouble)]
    parameters = {**write_rig(room), 'event_message': 'point_cloud2', **parameters}
    environment = private_environment(domain_id)
    node = NodeProcess(parameters, {}, environment, room / 'node.log', program)
    with node, Bench(domain_id) as bench:
        bench.wait_for_node(timeout_s=60)
        yield node, bench


def assert_balanced(bench):
    values = bench.values('frames')
    counts = {k: int(values[k]) for k in ('received', 'emitted', 'superseded', 'rejected')}
    assert counts['received'] == counts['emitted'] + counts['superseded'] + counts['rejected']
    return counts


def is_settled(bench):
    values = bench.values('frames')
    return (
        values.get('received') == str(len(bench.sent['camera'])) and values.get('waiting') == '0'
    )


def peak_memory_gib(pid):
    status = Path(f'/proc/{pid}/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) / 2**20


def test_an_engine_that_fails_is_reported_and_recovers(tmp_path, domain_id, trouble):
    with node_in_trouble(tmp_path, domain_id, trouble) as (_, bench):
        bench.drive(50)
        trouble.write_text('fail')
        bench.drive(50)
        wait_until(lambda: bench.status('engine').level == b'\2', 5)
        assert 'the device is lost' in bench.status('engine').message
        trouble.unlink()
        resumed_ns = time.time_ns()
        bench.drive(50)
        wait_until(lambda: is_settled(bench), 10)
        counts = assert_balanced(bench)
        rejected = bench.values('frames')['rejected/engine_failed']
    assert counts['rejected'] == int(rejected) > 0
    after = [stamp_ns_of(m) for m in bench.received['mask'] if stamp_ns_of(m) > resumed_ns]
    assert min(after) - resumed_ns < 500 * MS


def test_a_camera_driver_that_is_killed_and_restarted(tmp_path, domain_id, trouble):
    def run_driver():
        command = [sys.executable, str(HERE / 'camera_process.py'), str(domain_id)]
        return subprocess.Popen(command, env=private_environment(domain_id))

    def masks_of_camera():
        return sum(
            present_of({s.name: {p.key: p.value for p in s.values} for s in m.status})
            >= {'camera'}
            for m in bench.received['router_weights']
        )

    def without_camera(stream, tick):
        return stream != 'camera'

    with node_in_trouble(tmp_path, domain_id, trouble) as (_, bench):
        for _ in range(2):
            before = masks_of_camera()
            driver = run_driver()
            try:
                wait_until(lambda before=before: masks_of_camera() > before + 5, 30)
            finally:
                driver.kill()
                driver.wait()
            masks = len(bench.received['mask'])
            bench.drive(100, without_camera)
            assert len(bench.received['mask']) > masks + 10  # of events and LiDAR alone
            bench.next_diagnostics()
            assert bench.status('input camera').level != b'\0'
        wait_until(lambda: bench.values('frames')['waiting'] == '0', 5)
        assert_balanced(bench)


def test_a_burst_of_events_costs_no_mask(tmp_path, domain_id, trouble):
    with node_in_trouble(tmp_path, domain_id, trouble) as (node, bench):
        bench.drive(25)
        burst = subprocess.Popen(
            [sys.executable, str(HERE / 'burst_process.py'), '50', '1'],
            env=private_environment(domain_id),
            stdout=subprocess.PIPE,
            text=True,
        )
        bench.drive(250, lambda stream, tick: stream != 'event')
        rate_mev_s = float(burst.communicate(timeout=30)[0])
        begin_ns = time.time_ns()
        bench.drive(50)
        wait_until(lambda: is_settled(bench), 20)
        counts = assert_balanced(bench)
        memory_gib = peak_memory_gib(node.pid)
    assert rate_mev_s > 1, 'the burst was none'
    assert counts['rejected'] == 0
    assert [m for m in bench.received['mask'] if stamp_ns_of(m) > begin_ns]
    assert memory_gib < 2


def test_a_recording_played_three_times_gives_three_times_the_masks(
    tmp_path, domain_id, monkeypatch
):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain_id))
    num_frames = 40
    bag = write_drive(tmp_path / 'drive.mcap', num_frames)
    rig = write_rig(tmp_path)
    parameters = {
        'bundle': rig['bundle'],
        'use_sim_time': True,
        'event_message': 'point_cloud2',
        **every_frame('/camera/image'),
    }
    topics = ['/camera/image', '/lidar/points']
    environment = private_environment(domain_id)
    with NodeProcess(parameters, REMAPPINGS, environment, tmp_path / 'node.log') as node:
        node.wait_until_active()
        with Bench(domain_id) as bench:
            for loop in range(1, 4):
                play(str(bag), topics=topics, wait_for=topics)
                wait_until(
                    lambda loop=loop: (
                        bench.values('frames').get('received') == str(loop * num_frames)
                    ),
                    10,
                )
            wait_until(lambda: bench.values('frames')['waiting'] == '0', 10)
            counts = assert_balanced(bench)
            frames = bench.values('frames')
    assert counts['received'] == 3 * num_frames
    assert counts['emitted'] >= 3 * num_frames - 3, frames
    assert frames['clock_jumps'] == '2'


def test_a_disk_that_fills_up_while_recording_is_said_and_leaves_nothing(tmp_path):
    bag, bundle = write_drive(tmp_path / 'drive.mcap'), write_rig(tmp_path)['bundle']
    out = tmp_path / 'out'
    out.mkdir()
    command = [sys.executable, '-m', 'mle_sam_ros.cli', 'replay', str(bag), '--bundle', bundle]
    result = subprocess.run(
        [*command, '--out', str(out / 'replay')],
        # A file that may not grow is to a program what a full disk is.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert 'File too large' in result.stderr
    assert 'Traceback' not in result.stderr
    assert list(out.iterdir()) == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_frame_ends_it_cleanly(tmp_path, domain_id, trouble, number):
    with node_in_trouble(tmp_path, domain_id, trouble) as (node, bench):
        trouble.write_text('0.5')
        bench.drive(20)
        segments = shared_memory_of(node.pid)
        assert segments
        assert node.stop(10, number) == 0
    assert 'Traceback' not in (tmp_path / 'node.log').read_text()
    left = {segment for segment in segments if Path(segment).exists()}
    assert left <= shared_memory_of('self')  # what the bench uses


def shared_memory_of(process):
    """The middleware's data segments that a process has mapped; ports belong to the machine."""
    words = Path(f'/proc/{process}/maps').read_text().split()
    return {w for w in words if w.startswith('/dev/shm/fast') and '_port' not in w}
