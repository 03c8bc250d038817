"""The message types that bags hold."""

from collections.abc import Iterator, Mapping
from functools import cache
import re
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
# Events as one object each: dvs_msgs and dv_ros2_msgs.
_EVENT = 'uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n'
_EVENT_ARRAY = 'std_msgs/Header header\nuint32 height\nuint32 width\nEvent[] events\n'
# Earlier names of types whose content is the same.
_RENAMED = {
    'event_array_msgs/msg/EventArray': 'event_camera_msgs/msg/EventPacket',
    'tf/msg/tfMessage': 'tf2_msgs/msg/TFMessage',
}
_NAME = re.compile(r'[A-Za-z]\w*/msg/[A-Za-z]\w*', re.ASCII)
_HEADER = 'std_msgs/msg/Header'
_RULE = '=' * 80 + '\n'


def new_typestore() -> Any:
    """A rosbags typestore of ROS 2 Jazzy's messages, `EventPacket` and arrays of events."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(_EVENT_PACKET, 'event_camera_msgs/msg/EventPacket'))
    for package in ('dvs_msgs', 'dv_ros2_msgs'):
        store.register(get_types_from_msg(_EVENT, f'{package}/msg/Event'))
        store.register(get_types_from_msg(_EVENT_ARRAY, f'{package}/msg/EventArray'))
    return store


@cache
def typestore() -> Any:
    """The one that builds and writes messages; readers have their own."""
    return new_typestore()


def current_name(name: str) -> str:
    """What a type is called today: an old name of the same content, or the name itself."""
    return _RENAMED.get(name, name)


def register_definition(store: Any, name: str, encoding: str, text: str) -> None:
    """Add a type, and what it is made of, from the definition in a bag; known types stay.

    Args:
        store: a rosbags typestore.
        name: `package/msg/Type`.
        encoding: `ros2msg`, `ros2idl` or `ros1msg`.
        text: the definition, dependencies included.

    Raises:
        ValueError: where the bag defines a type in another way than the store knows it.
        Exception: whatever the parser of rosbags raises for text that it cannot read.
    """
    # The parser's result becomes Python code, so nothing but a plain name may reach it.
    if not _NAME.fullmatch(name):
        raise ValueError(f'no type name: {name!r}')
    if not text and current_name(name) in store.types:
        return  # recordings before ROS 2 Iron have names alone
    try:
        types = _parsed(name, encoding, text)
    except Exception:
        # Definitions in IDL hold more than the parser knows.
        if current_name(name) in store.types:
            return
        raise
    for key, value in types.items():
        if key in store.types and not _is_same(store.fielddefs[key], value):
            raise ValueError(f'another definition of {key} than ROS 2 Jazzy has')
    store.register({key: value for key, value in types.items() if key not in store.types})


def _parsed(name: str, encoding: str, text: str) -> dict[str, Any]:
    types: dict[str, Any] = {}
    if encoding == 'ros2idl':
        for part in _idl_parts(text):
            types.update(get_types_from_idl(part))
    else:
        types.update(get_types_from_msg(text, name))
    if encoding == 'ros1msg':
        # Its count of messages is the one thing that the conversion to ROS 2 leaves out.
        types.pop(_HEADER, None)
    return {current_name(key): value for key, value in types.items()}


def _idl_parts(text: str) -> Iterator[str]:
    """The types of a definition as rosbag2 joins them, without the preprocessor's lines."""
    for part in text.split(_RULE):
        body = re.sub(r'\AIDL: .*\n', '', part)
        if body.strip():
            yield re.sub(r'(?m)^[ \t]*#.*$', '', body)


def _is_same(known: Any, other: Any) -> bool:
    """Whether two definitions give the same bytes; ROS 1 has some names in capitals."""
    return [(name.lower(), kind) for name, kind in known[1]] == [
        (name.lower(), kind) for name, kind in other[1]
    ]


def fields_of(store: Any, name: str) -> Mapping[str, Any]:
    """Field name to its kind, as the store has it, in the order of a type's bytes."""
    return dict(store.fielddefs[name][1])


def begins_with_header(store: Any, name: str) -> bool:
    """Whether messages of a type begin with a `std_msgs/Header`, and so with a stamp."""
    kinds = list(fields_of(store, name).values())
    return bool(kinds) and kinds[0][1] == _HEADER
