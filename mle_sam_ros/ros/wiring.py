"""How the topics of a recording reach the node."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace

from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.ros.inputs import input_specs
from mle_sam_ros.ros.parameters import NodeParameters
from mle_sam_ros.ros.process import REMAPPINGS

_COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
_EVENT_PACKET = 'event_camera_msgs/msg/EventPacket'
_NAMESPACE = '/mle_sam'


@dataclass(frozen=True)
class Wiring:
    """What to play to the node, and how to set the node for it.

    Attributes:
        parameters: of the node.
        remap: the recording's topic to that on which the node listens, for all that it uses.
    """

    parameters: NodeParameters
    remap: dict[str, str]


def wire(
    reader: BagReader,
    topics: Topics,
    manifest: Manifest,
    rig: RigSettings,
    drop: Collection[str] = (),
) -> Wiring:
    """Tell what the node takes from a recording.

    Args:
        reader: the recording.
        topics: its streams.
        manifest: of the node's bundle.
        rig: how its messages are to be taken.
        drop: sensors to leave out, as if they had never been switched on.

    Raises:
        InputError: where the package of a message that the node needs is not installed.
    """
    parameters = node_parameters(reader, topics, rig, drop)
    remap = {}
    for spec in input_specs(manifest, parameters):
        topic = getattr(topics, spec.stream, None) or topics.others.get(spec.stream)
        if topic is not None and _modality_of(spec.stream) not in drop:
            remap[topic] = REMAPPINGS.get(spec.topic) or _absolute(spec.topic)
    return Wiring(parameters, remap)


def node_parameters(
    reader: BagReader, topics: Topics, rig: RigSettings, drop: Collection[str] = ()
) -> NodeParameters:
    """The rig's settings, and the message types that the recording has."""
    is_packet = topics.event is not None and reader.topics[topics.event] == _EVENT_PACKET
    event_message = 'packet' if is_packet and 'event' not in drop else 'point_cloud2'
    is_compressed = reader.topics[topics.camera] == _COMPRESSED_IMAGE
    num_lidars = 1 + sum(stream.startswith('lidar_') for stream in topics.others)
    settings = {field.name: getattr(rig, field.name) for field in fields(rig)}
    return replace(
        NodeParameters(**settings),
        num_lidars=num_lidars,
        camera_message='compressed' if is_compressed else 'raw',
        event_message=event_message,
    )


def _modality_of(stream: str) -> str:
    """Several LiDARs are one sensor."""
    return 'lidar' if stream.startswith('lidar_') else stream


def _absolute(topic: str) -> str:
    return topic if topic.startswith('/') else f'{_NAMESPACE}/{topic}'
