"""Events as one object each are read as packets, exactly."""

from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.bags.event_arrays import packet_of_cdr, packet_of_ros1
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.typestore import new_typestore, typestore
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.events import Events
import numpy as np
import pytest
from recordings import assert_same_events, events, T0
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

ROS1 = get_typestore(Stores.ROS1_NOETIC)
ROS1.register(
    get_types_from_msg('uint16 x\nuint16 y\ntime ts\nbool polarity\n', 'dvs_msgs/msg/Event')
)
ROS1.register(
    get_types_from_msg(
        'Header header\nuint32 height\nuint32 width\nEvent[] events\n', 'dvs_msgs/msg/EventArray'
    )
)


def array_of(store, package, source, frame_id='event'):
    types = store.types
    stamp = types['builtin_interfaces/msg/Time'](T0 // 10**9, T0 % 10**9)
    header = types['std_msgs/msg/Header']
    head = header(7, stamp, frame_id) if 'seq' in header.__dataclass_fields__ else header(
        stamp, frame_id
    )  # fmt: skip
    items = [
        types[f'{package}/msg/Event'](
            int(x), int(y), types['builtin_interfaces/msg/Time'](int(t) // 10**9, int(t) % 10**9),
            bool(p),
        )
        for x, y, t, p in zip(source.x, source.y, source.t_ns, source.polarity, strict=True)
    ]  # fmt: skip
    return types[f'{package}/msg/EventArray'](head, 260, 346, items)


def decoded(cdr):
    packet = typestore().deserialize_cdr(cdr, 'event_camera_msgs/msg/EventPacket')
    return packet, EventDecoder().decode(packet, 'packet')


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9))
def test_ros2_however_it_is_aligned(count, frame_id):
    source, store = events(count, step_ns=7), typestore()
    array = array_of(store, 'dv_ros2_msgs', source, frame_id)
    cdr = bytes(store.serialize_cdr(array, 'dv_ros2_msgs/msg/EventArray'))
    packet, got = decoded(packet_of_cdr(cdr, 5))
    assert_same_events(got, source)
    assert (packet.header.frame_id, packet.height, packet.width, packet.seq) == (
        frame_id, 260, 346, 5,
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9))
def test_ros1(count, frame_id):
    source = events(count, step_ns=7)
    array = array_of(ROS1, 'dvs_msgs', source, frame_id)
    data = bytes(ROS1.serialize_ros1(array, 'dvs_msgs/msg/EventArray'))
    packet, got = decoded(packet_of_ros1(data, 0))
    assert_same_events(got, source)
    assert packet.header.frame_id == frame_id
    assert packet.header.stamp.sec == T0 // 10**9


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_other_bytes(data):
    for read in (packet_of_cdr, packet_of_ros1):
        for content in (data, b'\x00\x01\x00\x00' + data):
            try:
                packet = read(content, 0)
            except ValueError as error:
                packet = str(error)
            assert packet


def write_bags(directory):
    parts = [events(30, step_ns=7), events(31, step_ns=7)]
    store = new_typestore()
    with Writer(directory / 'two', version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        name = 'dvs_msgs/msg/EventArray'
        connection = bag.add_connection('/dvs/events', name, typestore=store)
        for index, part in enumerate(parts):
            cdr = store.serialize_cdr(array_of(store, 'dvs_msgs', part), name)
            bag.write(connection, T0 + index, cdr)
    with Writer1(directory / 'one.bag') as bag:
        connection = bag.add_connection('/dvs/events', name, typestore=ROS1)
        for index, part in enumerate(parts):
            data = ROS1.serialize_ros1(array_of(ROS1, 'dvs_msgs', part), name)
            bag.write(connection, T0 + index, data)
    return parts


def test_recordings_of_both_kinds(tmp_path):
    parts = write_bags(tmp_path)
    expected = Events.concatenate(parts)
    for name in ('two', 'one.bag'):
        with open_bag(tmp_path / name) as bag:
            assert bag.topics == {'/dvs/events': 'event_camera_msgs/msg/EventPacket'}
            items = list(bag.messages())
            assert [item.stamp_ns for item in bag.arrivals()] == [T0, T0]
        got = [EventDecoder().decode(item.message, 'e') for item in items]
        for one, part in zip(got, parts, strict=True):
            assert_same_events(one, part)
        assert [item.message.seq for item in items] == [1, 2]
    assert len(expected) == 61


def test_an_array_cut_short(tmp_path):
    write_bags(tmp_path)
    with Writer(tmp_path / 'cut', version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        name = 'dvs_msgs/msg/EventArray'
        connection = bag.add_connection('/dvs/events', name, typestore=new_typestore())
        array = array_of(new_typestore(), 'dvs_msgs', events(30))
        bag.write(connection, T0, bytes(typestore().serialize_cdr(array, name))[:-40])
    with open_bag(tmp_path / 'cut') as bag, pytest.raises(
        InputError, match=r'expected a dvs_msgs/msg/EventArray on /dvs/events .*for 30 events'
    ):  # fmt: skip
        list(bag.raw())


def test_events_that_no_packet_can_hold():
    source = events(3)
    far = Events(source.x, source.y, source.t_ns + np.array([0, 0, 5 * 10**9]), source.polarity)
    store = typestore()
    array = array_of(store, 'dvs_msgs', far)
    cdr = bytes(store.serialize_cdr(array, 'dvs_msgs/msg/EventArray'))
    with pytest.raises(ValueError, match='more than four seconds'):
        packet_of_cdr(cdr, 0)
