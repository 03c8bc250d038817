"""Publishes the rig of `node_rig` for so many seconds and times the masks that come back.

    python benchmarks/node_sensors.py SECONDS PID

Prints JSON: what was sent, the processor time of the process PID meanwhile, and of every mask how
long it took from the moment when the last thing that it needed had been sent: its frame, or the
packet that ends its window of events.
"""

import bisect
import json
import os
from pathlib import Path
import struct
import sys
import threading
import time

from mle_sam_ros.ros.message_types import message_class
from node_rig import PERIODS_S, serialized, TOPICS
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

_SWEEP_S = 0.1


class Sensors:
    """Publishers of the rig, and an ear for masks."""

    def __init__(self) -> None:
        rclpy.init()
        self._node = rclpy.create_node('sensors')
        self._publishers = {
            stream: self._node.create_publisher(
                message_class(kind), f'/mle_sam/{topic}', qos_profile_sensor_data
            )
            for stream, (topic, kind) in TOPICS.items()
        }
        self._mask_times: list[tuple[int, float]] = []
        self._node.create_subscription(
            Image, '/mle_sam/perception/mask', self._hear, qos_profile_sensor_data
        )
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def run(self, seconds: float, pid: int) -> dict[str, object]:
        """Publish, and report."""
        while not all(p.get_subscription_count() for p in self._publishers.values()):
            time.sleep(0.05)
        packets = serialized()
        sent: dict[str, list[tuple[int, float]]] = {stream: [] for stream in packets}
        start_s, cpu_before_s = time.time(), cpu_s(pid)
        due_s = dict.fromkeys(packets, start_s)
        while time.time() < start_s + seconds:
            stream = min(due_s, key=due_s.__getitem__)
            time.sleep(max(0.0, due_s[stream] - time.time()))
            # A sweep and a packet of events are stamped at their start, an image at its moment.
            lasts_s = {'lidar': _SWEEP_S, 'event': PERIODS_S['event']}.get(stream, 0.0)
            end_ns = time.time_ns()
            stamp_ns = end_ns - int(lasts_s * 1e9)
            struct.pack_into('<iI', packets[stream], 4, *divmod(stamp_ns, 1_000_000_000))
            self._publishers[stream].publish(bytes(packets[stream]))
            sent[stream].append((end_ns, time.time()))
            due_s[stream] += PERIODS_S[stream]
        time.sleep(0.5)  # for the last masks
        return {
            'seconds': seconds,
            'cpu_s': cpu_s(pid) - cpu_before_s,
            'sent': {stream: len(times) for stream, times in sent.items()},
            'masks': len(self._mask_times),
            'latency_ms': self._latencies_ms(sent),
        }

    def close(self) -> None:
        """End."""
        self._executor.shutdown()
        rclpy.shutdown()
        self._thread.join()

    def _latencies_ms(self, sent: dict[str, list[tuple[int, float]]]) -> list[float]:
        frames = dict(sent['camera'])
        ends_ns = [end_ns for end_ns, _ in sent['event']]
        latencies_ms = []
        for stamp_ns, heard_s in self._mask_times:
            index = bisect.bisect_left(ends_ns, stamp_ns)
            if stamp_ns in frames and index < len(ends_ns):
                needed_s = max(frames[stamp_ns], sent['event'][index][1])
                latencies_ms.append((heard_s - needed_s) * 1e3)
        return latencies_ms

    def _hear(self, mask: Image) -> None:
        stamp = mask.header.stamp
        self._mask_times.append((stamp.sec * 1_000_000_000 + stamp.nanosec, time.time()))

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass


def cpu_s(pid: int) -> float:
    """Processor time of a process, of all its threads, in user and in system mode."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


if __name__ == '__main__':
    sensors = Sensors()
    print(json.dumps(sensors.run(float(sys.argv[1]), int(sys.argv[2]))))
    sensors.close()
