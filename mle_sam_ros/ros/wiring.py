"""How the topics of a recording reach the node."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.ros.event_clouds import PACKET
from mle_sam_ros.ros.inputs import input_specs, is_installed
from mle_sam_ros.ros.parameters import changed_values, NodeParameters
from mle_sam_ros.ros.process import REMAPPINGS

_COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
_NAMESPACE = '/mle_sam'


@dataclass(frozen=True)
class Wiring:
    """What to play to the node, and how to set the node for it.

    Attributes:
        parameters: of the node.
        remap: the recording's topic to that on which the node listens, for all that it uses.
        event_clouds: topics of event packets to play as PointCloud2, since event_camera_msgs is
            not installed.
    """

    parameters: NodeParameters
    remap: dict[str, str]
    event_clouds: tuple[str, ...]

    @property
    def parameter_values(self) -> dict[str, bool | int | float | str]:
        """What to set the node to: what is not as by default, and what the recording decides.

        The latter always: the parameter file of a node that runs already may say otherwise.
        """
        parameters = self.parameters
        return {
            **changed_values(parameters),
            'camera_message': parameters.camera_message,
            'event_message': parameters.event_message,
            'num_lidars': parameters.num_lidars,
        }


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
        asked: of the node, but for what the recording decides: message types, number of LiDARs.
        drop: sensors to leave out, as if they had never been switched on.

    Raises:
        InputError: where the package of a message that the node needs is not installed.
    """
    is_packet = topics.event is not None and reader.topics[topics.event] == PACKET
    as_clouds = is_packet and not is_installed(PACKET)
    is_compressed = reader.topics[topics.camera] == _COMPRESSED_IMAGE
    parameters = replace(
        asked,
        camera_message='compressed' if is_compressed else 'raw',
        event_message='packet' if is_packet and not as_clouds else 'point_cloud2',
        num_lidars=1 + sum(stream.startswith('lidar_') for stream in topics.others),
    )
    remap = {}
    for spec in input_specs(manifest, parameters):
        topic = getattr(topics, spec.stream, None) or topics.others.get(spec.stream)
        if topic is not None and _modality_of(spec.stream) not in drop:
            remap[topic] = REMAPPINGS.get(spec.topic) or _absolute(spec.topic)
    clouds = {topics.event} & {*remap} if as_clouds else set()
    return Wiring(parameters, remap, tuple(topic for topic in clouds if topic))


def _modality_of(stream: str) -> str:
    """Several LiDARs are one sensor."""
    return 'lidar' if stream.startswith('lidar_') else stream


def _absolute(topic: str) -> str:
    return topic if topic.startswith('/') else f'{_NAMESPACE}/{topic}'
