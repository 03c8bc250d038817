"""Event packets as PointCloud2, for where event_camera_msgs is not installed."""

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.core.event_decoder import EventDecoder

CLOUD = 'sensor_msgs/msg/PointCloud2'
PACKET = 'event_camera_msgs/msg/EventPacket'


class EventClouds:
    """Turns the packets of one event camera, in their order, into clouds of the same events."""

    def __init__(self, topic: str) -> None:
        """Start; the topic is for error messages."""
        self._topic = topic
        self._decoder = EventDecoder()

    def cloud_of(self, cdr: bytes) -> bytes | None:
        """The next packet as a serialised cloud; None where its time is not known yet.

        Raises:
            InputError: for a packet that cannot be decoded.
        """
        packet = typestore().deserialize_cdr(cdr, PACKET)
        events = self._decoder.decode(packet, self._topic)
        start_ns = int(events.t_ns[0]) if len(events) else self._decoder.end_ns
        if start_ns is None:
            return None
        cloud = messages.event_cloud(events, start_ns, packet.header.frame_id)
        return bytes(typestore().serialize_cdr(cloud, CLOUD))
