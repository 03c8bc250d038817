"""What /diagnostics says, told by the reporter alone and, for wrong clocks, over DDS."""

import time
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')

from live_node import LiveNode
from mle_sam_ros.core.account import FrameAccount, StreamAccount
from mle_sam_ros.core.health import HealthLimits
from mle_sam_ros.ros.diagnostics import diagnostic_array, ERROR, OK, Reporter, WARN
from mle_sam_ros.ros.environment import free_domain_id
from mle_sam_ros.ros.latency import Stopwatch
import numpy as np
from rclpy.clock import Clock
from ros_bench import Bench, camera_message, event_message, lidar_message, MS, write_rig

MODALITIES = ('camera', 'event', 'lidar')
PICTURE = np.random.default_rng(1).integers(0, 256, (64, 128, 3), np.uint8)


class Node:
    """A reporter with inputs at 10 Hz, all on a scripted clock."""

    def __init__(self, monkeypatch, limits=None):
        self.now_s = 500.0
        monkeypatch.setattr('mle_sam_ros.ros.diagnostics.time.monotonic', lambda: self.now_s)
        self.stopwatch = Stopwatch()
        self.reporter = Reporter(MODALITIES, self.stopwatch)
        self.limits = limits or HealthLimits()
        self.frames, self.streams = FrameAccount(), {'event': StreamAccount()}
        self.streams['lidar'] = StreamAccount()
        self.inputs = {stream: source(stream) for stream in MODALITIES}

    def second(self, weights=(0.9, 0.0, 0.1), lack=lambda stream: None, **rasters):
        for _ in range(10):
            self.now_s += 0.1
            for stream, item in self.inputs.items():
                item.received += 1
                if stream != 'camera':
                    self.streams[stream].received += 1
            self.frames.receive()
            self.frames.emit()
            self.stopwatch.add('total', 40.0)
            self.stopwatch.add('infer', 30.0)
            self.stopwatch.add('latency', 55.0)
            self.reporter.observe(
                SimpleNamespace(
                    stamp_ns=round(self.now_s * 1e9),
                    router_weights=np.array([weights] * 3, np.float32),
                    present=frozenset(MODALITIES),
                    ages_ns=dict.fromkeys(MODALITIES, 5 * MS),
                    rasters={name: rasters.get(name, PICTURE) for name in MODALITIES},
                )
            )
        counters = {
            'frames': self.frames.to_mapping(),
            'streams': {name: account.to_mapping() for name, account in self.streams.items()},
            'inputs': {'event': {'drift_ppm': 12.5}},
        }
        statuses = self.reporter.statuses(list(self.inputs.values()), lack, counters, self.limits)
        return {
            status.name: (status, {pair.key: pair.value for pair in status.values})
            for status in statuses
        }


class Source(SimpleNamespace):
    """Known by its identity, as an `Input` is."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def source(stream):
    return Source(
        spec=SimpleNamespace(stream=stream, is_steady=True),
        topic=f'/{stream}',
        received=0,
        lost=0,
        faults=0,
        last_fault='',
        silence_s=0.05,
        delay_s=0.02,
        stamp_s=500.0,
        num_publishers=1,
        incompatible_qos=0,
    )


def test_a_sound_node_is_ok_throughout(monkeypatch):
    node = Node(monkeypatch)
    for _ in range(4):
        told = node.second()
    assert {status.level for status, _ in told.values()} == {OK}
    status, values = told['input lidar']
    assert status.message == '10.0 Hz'
    assert values['state'] == 'ok'
    assert (values['age_ms'], values['delay_ms']) == ('70.000', '20.000')
    assert (values['received'], values['served'], values['samples/received']) == ('40',) * 3
    assert told['input event'][1]['drift_ppm'] == '12.500'
    status, values = told['fusion']
    assert status.message == 'camera, event, lidar fused'
    assert values['fusion_success'] == values['lidar/is_fused'] == 'True'
    assert values['fused_timestamp'] == '504.000000000'
    assert values['lidar/timestamp'] == '503.995000000'
    assert (values['num_stale'], values['num_waiting']) == ('0', '0')
    status, values = told['latency']
    assert values['processing_time_ms'] == '40.000'
    assert values['inference_time_ms'] == '30.000'
    assert values['output_latency_ms'] == values['latency/p95_ms'] == '55.000'
    assert values['is_processing_time_ms_in_expected_range'] == 'True'
    assert float(told['frames'][1]['capacity_hz']) == pytest.approx(25)


def test_a_missing_transform_is_a_warning_and_then_an_error(monkeypatch):
    node = Node(monkeypatch)
    lack = {'lidar': "no transform from 'a' to 'b'"}.get
    told = [node.second(lack=lack)['input lidar'][0] for _ in range(7)]
    assert [status.level for status in told] == [WARN] * 5 + [ERROR] * 2
    assert told[0].message == "no transform from 'a' to 'b'"
    assert node.second()['input lidar'][0].level == OK


def test_trust_in_an_empty_raster_is_told_unless_its_input_is_at_fault(monkeypatch):
    node = Node(monkeypatch)
    empty = np.zeros((64, 128, 3), np.float32)
    for _ in range(7):
        told = node.second(lidar=empty)
    assert told['fusion'][0].level == WARN
    assert 'lidar' in told['fusion'][0].message
    node.inputs['lidar'].faults += 1
    assert node.second(lidar=empty)['fusion'][0].level == OK


def test_slow_frames_are_told_where_a_limit_is_set(monkeypatch):
    node = Node(monkeypatch, HealthLimits(max_processing_time_ms=30.0))
    told = [node.second()['latency'] for _ in range(7)]
    assert [status.level for status, _ in told] == [WARN] * 5 + [ERROR] * 2
    status, values = told[-1]
    assert status.message == 'a frame took 40 ms; allowed are 30 ms'
    assert values['is_processing_time_ms_in_expected_range'] == 'False'
    assert values['is_consecutive_processing_delay_in_range'] == 'False'
    assert float(values['consecutive_processing_delay_ms']) == pytest.approx(6000)


def test_statuses_carry_the_nodes_name(monkeypatch):
    told = [status for status, _ in Node(monkeypatch).second().values()]
    array = diagnostic_array(told, '/a/perception', 'nano', Clock().now().to_msg())
    assert array.status[0].name == '/a/perception: input camera'
    assert {status.hardware_id for status in array.status} == {'nano'}


@pytest.mark.ros
def test_a_lidar_on_atomic_time_is_out_of_sync_and_recovers(tmp_path):
    domain_id = free_domain_id()
    with LiveNode(domain_id, **write_rig(tmp_path)), Bench(domain_id) as bench:
        bench.wait_for_node()
        ahead_ns = 37_000 * MS

        def drive(seconds, lead_ns):
            for tick in range(seconds * 20):
                now_ns = time.time_ns()
                bench.send('event', event_message(now_ns))
                if tick % 2:
                    bench.send('camera', camera_message(now_ns - 2 * MS))
                else:  # well before the image: a sweep still on its way is not waited for
                    bench.send('lidar', lidar_message(now_ns - 20 * MS + lead_ns))
                time.sleep(0.05)

        bench.next_diagnostics(1)

        def drive_until(state, lead_ns, told=''):
            """Samples go on coming until a report says so; without them it says `stale`."""
            deadline_s = time.monotonic() + 30
            while True:
                status, values = bench.status('input lidar'), bench.values('input lidar')
                if values['state'] == state and told in status.message:
                    return status.message, float(values['delay_ms'])
                assert time.monotonic() < deadline_s, status.message
                drive(1, lead_ns)

        message, delay_ms = drive_until('out_of_sync', ahead_ns, told='in_future')
        drive_until('ok', 0)
    assert 'TAI is 37 s ahead of UTC' in message
    assert -37_000 < delay_ms < -30_000  # the 37 s, less the way to the node
