"""EVT3 packets over real DDS, as a driver sends them; where event_camera_msgs is installed."""

from array import array
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('event_camera_msgs.msg', reason='event_camera_msgs is not installed')

from event_camera_msgs.msg import EventPacket
from event_formats import evt3_words
from live_node import LiveNode
from mle_sam_ros.ros.environment import free_domain_id
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_bench import Bench, camera_message, MS, present_by_stamp, wait_until, write_rig

pytestmark = pytest.mark.ros

PERIOD_NS = 4 * MS
# The sensor's clock is of its own, and wraps during the test.
SENSOR_BEGIN_US = (1 << 24) - 500_000


def packet(seq, now_ns, begin_ns):
    """What a sensor of 96 x 48 pixels saw in the 4 ms before now, and 1 ms of transport."""
    end_us = SENSOR_BEGIN_US + (now_ns - MS - begin_ns) // 1000
    events = [(9 + n, 7, end_us - 3900 + 100 * n, n % 2) for n in range(40)]
    words = np.array(evt3_words(events), '<u2')
    message = EventPacket(height=48, width=96, seq=seq, encoding='evt3')
    message.header.frame_id = 'event_camera_optical_frame'
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
    message.events = array('B', words.tobytes())
    return message


def drive(bench, publisher, num_packets, lost=()):
    begin_ns = time.time_ns()
    for seq in range(num_packets):
        now_ns = begin_ns + seq * PERIOD_NS
        time.sleep(max(0.0, (now_ns - time.time_ns()) / 1e9))
        if seq not in lost:
            publisher.publish(packet(seq, now_ns, begin_ns))
        if seq % 25 == 24:
            bench.send('camera', camera_message(now_ns - 5 * MS))


def test_packets_reach_the_mask_and_their_counters_the_diagnostics(tmp_path):
    domain_id, rig = free_domain_id(), write_rig(tmp_path)
    rig['qos_overrides./mle_sam/events.subscription.depth'] = 1000
    quality = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
    with LiveNode(domain_id, event_message='packet', **rig), Bench(domain_id) as bench:
        # A participant of its own: the bench's has another type on this topic.
        context = Context()
        rclpy.init(context=context, domain_id=domain_id)
        driver = rclpy.create_node('driver', context=context)
        publisher = driver.create_publisher(EventPacket, '/mle_sam/events', quality)
        bench.wait_for_node(('camera', 'lidar'))
        wait_until(publisher.get_subscription_count)
        drive(bench, publisher, 500, lost=(200, 201))
        bench.settled_frames()
        wait_until(lambda: bench.values('input event')['packets'] == '498')
        rclpy.shutdown(context=context)
        values = bench.values('input event')
        present = list(present_by_stamp(bench.received['router_weights']).values())
    assert values['received'] == '498'
    # Lost in front of the first packet that arrives is none.
    assert int(values['lost_packets']) == 2
    assert int(values['events']) == 498 * 40
    assert int(values['restarts']) == int(values['late']) == int(values['out_of_range']) == 0
    assert float(values['clock_offset_ms']) > 0
    # A busy machine drops frames, and serves some before their events.
    assert sum('event' in sensors for sensors in present) > len(present) / 2 > 2
