"""The message types that bags hold."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from rosbags.typesys import get_types_from_idl, get_types_from_msg, get_typestore, Stores

# event_camera_msgs is not part of a ROS distribution's own set.
_EVENT_PACKET = """
std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""


def new_typestore() -> Any:
    """A rosbags typestore of ROS 2 Jazzy's messages and `event_camera_msgs/msg/EventPacket`."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(_EVENT_PACKET, 'event_camera_msgs/msg/EventPacket'))
    return store


@cache
def typestore() -> Any:
    """The one that builds and writes messages; readers have their own."""
    return new_typestore()


def register_definition(store: Any, name: str, encoding: str, text: str) -> None:
    """Add a type, and what it is made of, from the definition in a bag; known types stay.

    Args:
        store: a rosbags typestore.
        name: `package/msg/Type`.
        encoding: `ros2msg` or `ros2idl`.
        text: the definition, dependencies included.

    Raises:
        Exception: whatever the parser of rosbags raises for text that it cannot read.
    """
    if name in store.types:
        return
    types: Mapping[str, Any]
    types = get_types_from_idl(text) if encoding == 'ros2idl' else get_types_from_msg(text, name)
    store.register({key: value for key, value in types.items() if key not in store.types})
