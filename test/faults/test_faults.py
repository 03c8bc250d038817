"""Every fault of the table, over real DDS, to a node in a process of its own."""

import os
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from fault_bench import FaultBench, Outcome
from fault_table import write_table
from faults import END_MS, Fault, FAULTS
from mle_sam_ros.ros.environment import free_domain_id, private_environment
from mle_sam_ros.ros.process import NodeProcess
from ros_bench import write_rig

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    room, domain_id = tmp_path_factory.mktemp('faults'), free_domain_id()
    parameters = {**write_rig(room), 'event_message': 'point_cloud2', 'use_sim_time': True}
    environment = private_environment(domain_id)
    with NodeProcess(parameters, {}, environment, room / 'node.log'):
        with FaultBench(domain_id) as bench:
            bench.wait_for_node()
            bench.wait_for_clock()
            yield bench
    assert 'Traceback' not in (room / 'node.log').read_text()


@pytest.fixture(scope='module')
def outcomes():
    outcomes: list[tuple[Fault, Outcome]] = []
    yield outcomes
    if path := os.environ.get('MLE_SAM_FAULT_TABLE'):
        write_table(Path(path), outcomes)


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: fault.name.replace(' ', '_'))
def test_fault(bench, outcomes, fault):
    outcome = bench.undergo(fault)
    outcomes.append((fault, outcome))
    assert outcome.is_balanced, outcome
    assert fault.present in (None, outcome.present), outcome
    assert set(outcome.rejected) - {'overtaken'} == fault.rejected, outcome
    assert fault.faulty <= set(outcome.reports), outcome
    # A camera that was never seen is stood in for at 10 Hz; every second frame may be swapped.
    assert outcome.masks >= 8 * (END_MS - fault.start_ms) / 1000, outcome
    assert outcome.recovery_ms is not None, outcome
    assert outcome.recovery_ms <= 500, outcome
