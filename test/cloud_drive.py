"""A tiny drive whose events are PointCloud2, which every ROS installation can publish."""

from pathlib import Path

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.event_decoder import EventDecoder
from tiny_drive import EVENT_FRAME, write_drive


def write_cloud_drive(path: Path, namespace: str = '/camera', **options) -> Path:
    """Write a bag of 30 camera frames.

    Args:
        path: the `.mcap` file.
        namespace: of the camera's topics.
        options: of `write_drive`.
    """
    packets = write_drive(path.with_name('packets.mcap'), num_frames=30, **options)
    decoder = EventDecoder()
    with open_bag(packets) as source, BagWriter(path) as bag:
        for log_time_ns, topic, _, message in source.messages():
            if topic == '/event_camera/events':
                events = decoder.decode(message, topic)
                message = messages.event_cloud(events, int(events.t_ns[0]), EVENT_FRAME)
            bag.write(topic.replace('/camera/', f'{namespace}/'), message, log_time_ns)
    packets.unlink()
    return path
