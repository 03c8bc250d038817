"""How the topics of a recording reach the node."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.ros.inputs import input_specs, InputSpec
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
    asked: NodeParameters,
    drop: Collection[str] = (),
) -> Wiring:
    """Tell what the node takes from a recording.

    Args:
        reader: the recording.
        topics: its streams.
        manifest: of the node's bundle.
        asked: of the node, but for what the recording decides: types and number of messages.
        drop: sensors to leave out, as if they had never been switched on.

    Raises:
        InputError: where the package of a message that the node needs is not installed.
    """
    is_packet = topics.event is not None and reader.topics[topics.event] == _EVENT_PACKET
    is_compressed = reader.topics[topics.camera] == _COMPRESSED_IMAGE
    parameters = replace(
        asked,
        camera_message='compressed' if is_compressed else 'raw',
        event_message='packet' if is_packet and 'event' not in drop else 'point_cloud2',
        num_lidars=1 + sum(stream.startswith('lidar_') for stream in topics.others),
    )
    remap = {}
    for spec in _specs(manifest, parameters, reader):
        topic = getattr(topics, spec.stream, None) or topics.others.get(spec.stream)
        if topic is not None and _modality_of(spec.stream) not in drop:
            remap[topic] = REMAPPINGS.get(spec.topic) or _absolute(spec.topic)
    return Wiring(parameters, remap)


def _specs(manifest: Manifest, parameters: NodeParameters, reader: BagReader) -> list[InputSpec]:
    try:
        return input_specs(manifest, parameters)
    except InputError as error:
        if parameters.event_message != 'packet':
            raise
        raise InputError(
            f'{reader.path}: {error}; or leave the events out (--drop event), or give a recording '
            'that has them as PointCloud2 (mle-sam synthesize --events-as point_cloud2)'
        ) from None


def _modality_of(stream: str) -> str:
    """Several LiDARs are one sensor."""
    return 'lidar' if stream.startswith('lidar_') else stream


def _absolute(topic: str) -> str:
    return topic if topic.startswith('/') else f'{_NAMESPACE}/{topic}'
