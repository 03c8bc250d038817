"""ROS 1 bags with the messages of `recordings`."""

from pathlib import Path

from recordings import some_messages
from rosbags.rosbag1 import Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

ROS1 = get_typestore(Stores.ROS1_NOETIC)
# Their names when they were young: the former in the bags of M3ED.
OLD_NAMES = {
    'event_camera_msgs/msg/EventPacket': 'event_array_msgs/msg/EventArray',
    'tf2_msgs/msg/TFMessage': 'tf/msg/tfMessage',
}
EVENTS = """
Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""
ROS1.register(get_types_from_msg(EVENTS, 'event_array_msgs/msg/EventArray'))
ROS1.register(
    get_types_from_msg('geometry_msgs/TransformStamped[] transforms', 'tf/msg/tfMessage')
)


def to_ros1(message):
    """The same message of the ROS 1 store, whose headers count."""
    kind = ROS1.types[OLD_NAMES.get(message.__msgtype__, message.__msgtype__)]
    return kind(*(_to_ros1(message, name) for name in kind.__dataclass_fields__ if name[0] != '_'))


def _to_ros1(message, field):
    if field == 'seq' and not hasattr(message, 'seq'):
        return 7
    value = getattr(message, field if hasattr(message, field) else field.lower())
    if isinstance(value, list):
        return [to_ros1(item) for item in value]
    is_time = getattr(value, '__msgtype__', '').startswith('builtin_interfaces')
    return to_ros1(value) if hasattr(value, '__msgtype__') and not is_time else value


def write_ros1(path: Path, items=None, compression=None) -> Path:
    bag = Writer(path)
    if compression is not None:
        bag.set_compression(compression)
    with bag:
        connections = {}
        for log_time_ns, topic, message in items or some_messages():
            old = to_ros1(message)
            name = old.__msgtype__
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, name, typestore=ROS1)
            bag.write(connections[topic], log_time_ns, ROS1.serialize_ros1(old, name))
    return path
