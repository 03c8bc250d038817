"""What is written is what is read, whoever wrote it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.image import decode_image, decode_label_image
from mle_sam_ros.core.transform_buffer import TransformBuffer
import numpy as np
import pytest
from recordings import assert_same_events, events, IMAGE, T0, write, write_sqlite
from rosbags.rosbag2 import StoragePlugin, Writer
import yaml


def contents(path):
    with open_bag(path) as bag:
        raw = [tuple(item) for item in bag.raw()]
        return bag.topics, bag.num_messages, raw, list(bag.messages())


@pytest.mark.parametrize('compression', ['lz4', 'none'])
def test_compressions_hold_the_same(tmp_path, compression):
    write(tmp_path / 'a.mcap')
    with open_bag(tmp_path / 'a.mcap') as bag:
        with BagWriter(tmp_path / 'b.mcap', compression=compression) as copy:
            for log_time_ns, topic, cdr in bag.raw():
                copy.write_raw(topic, bag.topics[topic], cdr, log_time_ns)
    assert contents(tmp_path / 'b.mcap')[:3] == contents(tmp_path / 'a.mcap')[:3]
    with (tmp_path / 'b.mcap').open('rb') as stream:
        (chunk,) = make_reader(stream).get_summary().chunk_indexes
    assert chunk.compression == compression.removeprefix('none')


@pytest.mark.parametrize(
    'make', [write_sqlite, lambda path: write_sqlite(path, StoragePlugin.MCAP)]
)
def test_rosbag2_directories_read_like_mcap_files(tmp_path, make):
    write(tmp_path / 'bag.mcap')
    make(tmp_path / 'directory')
    topics, num_messages, raw, read = contents(tmp_path / 'bag.mcap')
    other_topics, other_num_messages, other_raw, _ = contents(tmp_path / 'directory')
    assert (topics, num_messages) == (other_topics, other_num_messages)
    # The padding bytes of a CDR header may differ between writers; here both come from rosbags.
    assert raw == other_raw
    assert [item.log_time_ns - T0 for item in read] == [0, 1, 2, 3, 4]
    assert topics['/events'] == 'event_camera_msgs/msg/EventPacket'


def test_decoders_get_back_the_arrays(tmp_path):
    write(tmp_path / 'bag.mcap')
    _, _, _, read = contents(tmp_path / 'bag.mcap')
    by_topic = {item.topic: item.message for item in read}
    np.testing.assert_array_equal(decode_image(by_topic['/camera/image'], 'i'), 255 - IMAGE)
    np.testing.assert_array_equal(decode_label_image(by_topic['/labels'], 'l'), IMAGE[:, :, 0])
    assert_same_events(EventDecoder().decode(by_topic['/events'], 'e'), events(50))
    buffer = TransformBuffer()
    buffer.receive(by_topic['/tf_static'], 'tf_static', is_static=True)
    np.testing.assert_array_equal(buffer.static('base_link', 'camera'), np.eye(4))


def test_only_the_chosen_topics_are_read(tmp_path):
    write(tmp_path / 'bag.mcap')
    with open_bag(tmp_path / 'bag.mcap') as bag:
        assert {item.topic for item in bag.messages(['/labels'])} == {'/labels'}
        assert list(bag.raw([])) == []
        with pytest.raises(InputError, match=r'expected a topic /no, got only /camera/image'):
            list(bag.messages(['/no']))


def test_what_was_noted_about_a_recording_is_read_back(tmp_path):
    with BagWriter(tmp_path / 'noted.mcap', {'condition': 'fog', 'failure': 'none'}) as bag:
        bag.write('/labels', messages.image(IMAGE, 'rgb8', T0, 'camera'), T0)
    write(tmp_path / 'plain.mcap')
    write_sqlite(tmp_path / 'directory')
    path = tmp_path / 'directory' / 'metadata.yaml'
    metadata = yaml.safe_load(path.read_text())
    metadata['rosbag2_bagfile_information']['custom_data'] = {'condition': 'snow', 'take': 3}
    path.write_text(yaml.safe_dump(metadata))
    noted = {}
    for name in ('noted.mcap', 'plain.mcap', 'directory'):
        with open_bag(tmp_path / name) as bag:
            noted[name] = bag.custom_data
    assert noted == {
        'noted.mcap': {'condition': 'fog', 'failure': 'none'},
        'plain.mcap': {},
        'directory': {'condition': 'snow', 'take': '3'},
    }


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=30))
def test_messages_come_in_order_of_log_time(tmp_path_factory, log_times_ns):
    path = tmp_path_factory.mktemp('order') / 'bag.mcap'
    clock = messages.new_message('rosgraph_msgs/msg/Clock', clock=messages.time_message(0))
    write(path, [(time_ns, f'/c{i % 3}', clock) for i, time_ns in enumerate(log_times_ns)])
    with open_bag(path) as bag:
        assert [item.log_time_ns for item in bag.raw()] == sorted(log_times_ns)


def test_identical_calls_give_identical_bytes(tmp_path):
    write(tmp_path / 'a.mcap')
    write(tmp_path / 'b.mcap')
    assert (tmp_path / 'a.mcap').read_bytes() == (tmp_path / 'b.mcap').read_bytes()


def test_raw_messages_can_be_written_again(tmp_path):
    write(tmp_path / 'a.mcap')
    with open_bag(tmp_path / 'a.mcap') as bag, BagWriter(tmp_path / 'b.mcap') as copy:
        for log_time_ns, topic, cdr in bag.raw():
            copy.write_raw(topic, bag.topics[topic], cdr, log_time_ns)
    assert (tmp_path / 'a.mcap').read_bytes() == (tmp_path / 'b.mcap').read_bytes()


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path):
    write(tmp_path / 'bag.mcap')
    before = (tmp_path / 'bag.mcap').read_bytes()
    image = messages.image(IMAGE, 'rgb8', T0, 'camera')
    with pytest.raises(InputError):
        write(tmp_path / 'bag.mcap', [(T0, '/a', image), (T0, '/a', image.header)])
    assert (tmp_path / 'bag.mcap').read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ['bag.mcap']


def test_transforms_are_offered_to_who_comes_late(tmp_path):
    """As rosbag2 reads it, of whichever distribution: numbers or words, here numbers."""
    write(tmp_path / 'bag.mcap')
    with (tmp_path / 'bag.mcap').open('rb') as stream:
        channels = make_reader(stream).get_summary().channels.values()
    metadata = {channel.topic: channel.metadata for channel in channels}
    (qos,) = yaml.safe_load(metadata.pop('/tf_static')['offered_qos_profiles'])
    assert (qos['history'], qos['reliability'], qos['durability']) == (1, 1, 1)
    assert set(map(str, metadata.values())) == {'{}'}


def test_notes_are_about_the_whole_recording(tmp_path):
    with BagWriter(tmp_path / 'bag.mcap', {'condition': 'fog'}) as bag:
        bag.write_raw('/a', 'std_msgs/msg/Empty', b'\x00\x01\x00\x00\x00', 0)
        bag.note('run', {'model': 'nano'})
    with open_bag(tmp_path / 'bag.mcap') as bag:
        assert bag.custom_data == {'condition': 'fog', 'model': 'nano'}


def test_writer_refuses_what_no_reader_could_use(tmp_path):
    with BagWriter(tmp_path / 'bag.mcap') as bag:
        bag.write_raw('/a', 'std_msgs/msg/Empty', b'\x00\x01\x00\x00\x00', 0)
        with pytest.raises(InputError, match=r'expected std_msgs/msg/Empty on /a, got std_'):
            bag.write_raw('/a', 'std_msgs/msg/Header', b'', 0)
        with pytest.raises(InputError, match=r'got no_msgs/msg/No; leave its topic out'):
            bag.write_raw('/b', 'no_msgs/msg/No', b'', 0)
    with pytest.raises(InputError, match=r'bag\.db3: expected the name of a \.mcap file'):
        BagWriter(tmp_path / 'bag.db3')
    with pytest.raises(InputError, match=r'expected an existing directory, got .*nowhere; make'):
        BagWriter(tmp_path / 'nowhere' / 'bag.mcap')


def test_unknown_types_come_from_the_embedded_definition(tmp_path):
    from rosbags.typesys import get_types_from_msg, get_typestore, Stores

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg('std_msgs/Header h\nint32 n\n', 'my_msgs/msg/Odd'))
    odd = store.types['my_msgs/msg/Odd'](h=messages.header(5, 'f'), n=42)
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        connection = bag.add_connection('/odd', 'my_msgs/msg/Odd', typestore=store)
        bag.write(connection, T0, store.serialize_cdr(odd, 'my_msgs/msg/Odd'))
    with open_bag(tmp_path / 'bag') as bag:
        (item,) = bag.messages()
    assert (item.message.n, item.message.h.frame_id) == (42, 'f')
