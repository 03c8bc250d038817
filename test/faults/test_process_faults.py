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

from mle_sam_ros.ros.diagnostics import ERROR, OK
from mle_sam_ros.ros.environment import free_domain_id, private_environment
from mle_sam_ros.ros.player import play
from mle_sam_ros.ros.process import NodeProcess, REMAPPINGS, whole_delivery
from ros_bench import (
    Bench,
    frame_counts,
    PATIENCE_S,
    present_by_stamp,
    stamp_ns_of,
    STEADY_CAMERA,
    wait_until,
    write_rig,
)
from stepped_time import SteppedTime
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
        bench.wait_for_node()
        yield node, bench


def peak_memory_gib(pid):
    status = Path(f'/proc/{pid}/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) / 2**20


def test_an_engine_that_fails_is_reported_and_recovers(tmp_path, domain_id, trouble):
    with node_in_trouble(tmp_path, domain_id, trouble, **STEADY_CAMERA) as (_, bench):
        bench.drive_until(lambda: bench.received['mask'])
        sound = frame_counts(bench.settled_frames())
        trouble.write_text('fail')
        bench.drive_until(lambda: bench.status('engine').level == ERROR)
        assert 'the device is lost' in bench.status('engine').message
        bench.settled_frames()
        trouble.unlink()
        resumed_ns = bench.sent['camera'][-1]
        bench.drive(50)
        values = bench.settled_frames()
        counts = frame_counts(values)
        wait_until(lambda: len(bench.received['mask']) == counts['emitted'])
    assert counts['rejected'] == int(values['rejected/engine_failed']) > 0
    assert sound['rejected'] == 0
    # Every frame from then on gets its mask, but for those that a newer one overtakes.
    sent = {stamp for stamp in bench.sent['camera'] if stamp > resumed_ns}
    after = {stamp_ns_of(m) for m in bench.received['mask']} & sent
    failing = counts['emitted'] - len(after)
    assert failing == sound['emitted'] < counts['emitted']
    assert len(after) + counts['superseded'] >= len(sent)


def test_a_camera_driver_that_is_killed_and_restarted(tmp_path, domain_id, trouble):
    def run_driver():
        command = [sys.executable, str(HERE / 'camera_process.py'), str(domain_id)]
        return subprocess.Popen(command, env=private_environment(domain_id))

    def num_masks(with_camera):
        present = present_by_stamp(bench.received['router_weights']).values()
        return sum(('camera' in sensors) == with_camera for sensors in present)

    def is_camera_at_fault():
        return bench.status('input camera').level != OK

    with node_in_trouble(tmp_path, domain_id, trouble) as (_, bench):
        for _ in range(2):
            before = num_masks(with_camera=True)
            driver = run_driver()
            try:
                wait_until(lambda before=before: num_masks(with_camera=True) > before + 5)
            finally:
                driver.kill()
                driver.wait()
            before = num_masks(with_camera=False)
            bench.drive_until(
                lambda before=before: num_masks(with_camera=False) > before + 10,
                without={'camera'},
            )
            bench.drive_until(is_camera_at_fault, without={'camera'})
        wait_until(lambda: bench.values('frames')['waiting'] == '0')
        frame_counts(bench.values('frames'))


def test_a_burst_of_events_costs_no_mask(tmp_path, domain_id, trouble):
    # Best effort, as by default: nobody waits for what cannot be taken in.
    qos = 'qos_overrides./mle_sam/events.subscription'
    parameters = {f'{qos}.reliability': 'best_effort', f'{qos}.depth': 1024, **STEADY_CAMERA}
    with node_in_trouble(tmp_path, domain_id, trouble, **parameters) as (node, bench):
        bench.drive_until(lambda: bench.received['mask'])
        burst = subprocess.Popen(
            [sys.executable, str(HERE / 'burst_process.py'), '50', '1'],
            env=private_environment(domain_id),
        )
        bench.drive_until(lambda: burst.poll() is not None, without={'event'})
        begin_ns = time.time_ns()
        bench.drive_until(
            lambda: stamp_ns_of(bench.received['mask'][-1]) > begin_ns, without={'event'}
        )
        values = bench.settled_frames()
        memory_gib = peak_memory_gib(node.pid)
    assert burst.returncode == 0
    # A machine so slow that frames grow old behind the burst is no fault of the node.
    assert frame_counts(values)['rejected'] == int(values.get('rejected/too_old', 0)), values
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
        **whole_delivery(['/camera/image']),
    }
    topics = ['/camera/image', '/lidar/points']
    environment = private_environment(domain_id)
    with NodeProcess(parameters, REMAPPINGS, environment, tmp_path / 'node.log') as node:
        node.wait_until_active()
        with Bench(domain_id) as bench:
            # Time stands still while the node does.
            monkeypatch.setattr('mle_sam_ros.ros.player.time', SteppedTime(bench.state))
            for loop in range(1, 4):
                play(str(bag), topics=topics, wait_for=[*topics, '/clock'])
                wait_until(
                    lambda loop=loop: (
                        bench.values('frames').get('received') == str(loop * num_frames)
                    ),
                )
            wait_until(lambda: bench.values('frames')['waiting'] == '0')
            frames = bench.values('frames')
            counts = frame_counts(frames)
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
        assert node.stop(PATIENCE_S, number) == 0
    assert 'Traceback' not in (tmp_path / 'node.log').read_text()
    left = {segment for segment in segments if Path(segment).exists()}
    assert left <= shared_memory_of('self')  # what the bench uses


def shared_memory_of(process):
    """The middleware's data segments that a process has mapped; ports belong to the machine."""
    words = Path(f'/proc/{process}/maps').read_text().split()
    return {w for w in words if w.startswith('/dev/shm/fast') and '_port' not in w}
