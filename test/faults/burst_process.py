"""An event camera that bursts: so many million events per second, for so many seconds.

    python burst_process.py MEV_PER_S SECONDS

On a machine that is too slow for the rate, the same events take longer.
"""

from pathlib import Path
import struct
import sys
import time

sys.path.insert(0, str(Path(__file__).parents[1]))

from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.ros.message_types import message_class
import rclpy
from ros_bench import event_message, TOPICS

PERIOD_S = 0.01


def main(rate_mev_s: float, seconds: float) -> None:
    rclpy.init()
    node = rclpy.create_node('burst')
    topic, kind = TOPICS['event']
    publisher = node.create_publisher(message_class(kind), f'/mle_sam/{topic}', 10)
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    count = int(rate_mev_s * 1e6 * PERIOD_S)
    packet = bytearray(typestore().serialize_cdr(event_message(time.time_ns(), count), kind))
    start_s = time.time()
    for index in range(round(seconds / PERIOD_S)):
        time.sleep(max(0.0, start_s + index * PERIOD_S - time.time()))
        # The header's stamp stands first, after four bytes that name the encoding.
        struct.pack_into('<iI', packet, 4, *divmod(time.time_ns() - 20_000_000, 1_000_000_000))
        publisher.publish(bytes(packet))
    rclpy.shutdown()


if __name__ == '__main__':
    main(float(sys.argv[1]), float(sys.argv[2]))
