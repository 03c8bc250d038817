"""The node as its own process: it comes up, works, and ends cleanly."""

import signal
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')

from mle_sam_ros.ros.environment import free_domain_id, private_environment
from ros_bench import Bench, PATIENCE_S, stamp_ns_of, STEADY_CAMERA, wait_until, write_rig

pytestmark = pytest.mark.ros


def start(parameters, domain_id):
    command = [sys.executable, '-m', 'mle_sam_ros.ros.node', '--ros-args']
    for name, value in parameters.items():
        command += ['-p', f'{name}:={value}']
    return subprocess.Popen(
        command,
        env=private_environment(domain_id),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly(tmp_path, number):
    domain_id = free_domain_id()
    process = start({**write_rig(tmp_path), **STEADY_CAMERA}, domain_id)
    try:
        with Bench(domain_id) as bench:
            bench.wait_for_node()
            bench.drive_until(lambda: bench.received['mask'])
            process.send_signal(number)
            output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert 'Traceback' not in output
    assert {stamp_ns_of(mask) for mask in bench.received['mask']} <= {*bench.sent['camera']}


SLOW = """
import sys, time
from mle_sam_ros.ros import node
def warm_up(manifest):
    print('warming up', flush=True)
    for _ in range(1000):
        time.sleep(0.1)
node.warm_up = warm_up
sys.exit(node.main())
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_ends_while_it_is_configuring(tmp_path, number):
    command = [sys.executable, '-c', SLOW, '--ros-args']
    for name, value in write_rig(tmp_path).items():
        command += ['-p', f'{name}:={value}']
    process = subprocess.Popen(
        command, env=private_environment(free_domain_id()), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == 'warming up\n'
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0


def test_without_a_bundle_it_stays_and_says_why():
    domain_id = free_domain_id()
    process = start({'use_sim_time': 'false'}, domain_id)
    try:
        with Bench(domain_id) as bench:
            wait_until(lambda: bench.status('engine'))
            status = bench.status('engine')
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0
    assert status.level == b'\2'
    assert status.message.startswith('parameter bundle: expected the directory of a bundle')


def test_a_parameter_of_the_wrong_type_ends_it_with_one_line():
    process = start({'bundle': '3'}, free_domain_id())
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert output.startswith('parameter bundle: expected str')
    assert output.count('\n') == 1
