"""Recordings that lie: wrong lengths, huge claims, foreign content. One line for each."""

from functools import cache
from pathlib import Path
import sqlite3

from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from mle_sam_ros.bags import ros1_file
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.errors import InputError
import pytest
from recordings import some_messages, T0, write, write_sqlite
from ros1_bags import write_ros1
from rosbags.rosbag1 import Writer as Writer1

HUGE = [b'\xff' * 4, b'\xff' * 8, b'\xff\xff\xff\x7f', b'\x00' * 8, b'\x00\x00\x00\x80']


def use(path: Path) -> str:
    """Everything a command does with a recording; the refusal, or nothing."""
    try:
        with open_bag(path) as bag:
            list(bag.arrivals())
            list(bag.messages())
            find_topics(bag)
            refusal = 'nothing expected'
    except InputError as error:
        refusal = str(error)
    assert 'expected' in refusal
    assert '\n' not in refusal
    return refusal


@cache
def whole_bytes(directory: Path, kind: str) -> bytes:
    if kind == 'bag':
        return write_ros1(directory / 'whole.bag').read_bytes()
    if kind == 'db3':
        write_sqlite(directory / 'whole')
        return next((directory / 'whole').glob('*.db3')).read_bytes()
    compression = CompressionType.ZSTD if kind == 'zstd' else CompressionType.NONE
    with (directory / 'whole.mcap').open('wb') as stream:
        # Without checksums, nothing stands between the damage and the reader.
        writer = McapWriter(stream, compression=compression, enable_crcs=False)
        writer.start(profile='ros2')
        for log_time_ns, topic, message in some_messages():
            name = message.__msgtype__
            definition, _ = typestore().generate_msgdef(name, ros_version=2)
            schema = writer.register_schema(name, 'ros2msg', definition.encode())
            channel = writer.register_channel(topic, 'cdr', schema)
            cdr = bytes(typestore().serialize_cdr(message, name))
            writer.add_message(channel, log_time_ns, cdr, log_time_ns)
        writer.finish()
    return (directory / 'whole.mcap').read_bytes()


@pytest.fixture(scope='module')
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp('hostile')


@settings(max_examples=40, deadline=None)
@given(
    place=st.floats(0, 1),
    change=st.sampled_from(HUGE) | st.binary(min_size=1, max_size=12),
    end=st.just(1.0) | st.floats(0, 1),
)
@pytest.mark.parametrize('kind', ['mcap', 'zstd', 'db3', 'bag'])
def test_overwritten_bytes(directory, kind, place, change, end):
    whole = whole_bytes(directory, kind)
    position = int(place * len(whole))
    damaged = whole[:position] + change + whole[position + len(change) :]
    path = directory / f'damaged.{"mcap" if kind == "zstd" else kind}'
    path.write_bytes(damaged[: int(len(damaged) * end)])
    use(path)


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=200))
@example(b'\x00\x01\x00\x00' + b'\xff' * 40)
@pytest.mark.parametrize(
    'name', ['sensor_msgs/msg/Image', 'tf2_msgs/msg/TFMessage', 'sensor_msgs/msg/PointCloud2']
)
def test_bytes_that_are_no_message(directory, name, content):
    with BagWriter(directory / 'messages.mcap') as bag:
        bag.write_raw('/topic', name, content, T0)
    use(directory / 'messages.mcap')


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(['sensor_msgs/msg/Image', 'my_msgs/msg/Odd', 'x', 'a/msg/B']) | st.text(),
    encoding=st.sampled_from(['ros2msg', 'ros2idl', 'protobuf', '']),
    text=st.text(max_size=60) | st.sampled_from(['uint8 a', 'my_msgs/Odd a', 'uint8[<=9] a\n']),
)
@example('my_msgs/msg/Odd', 'ros2msg', 'my_msgs/Odd self')
@example('\n', 'ros2msg', '')
def test_unknown_and_foreign_schemas(directory, name, encoding, text):
    path = directory / 'schema.mcap'
    with path.open('wb') as stream:
        writer = McapWriter(stream)
        writer.start(profile='ros2')
        schema = writer.register_schema(name, encoding, text.encode('utf-8', 'replace'))
        channel = writer.register_channel('/topic', 'cdr', schema)
        writer.add_message(channel, T0, b'\x00\x01\x00\x00' + bytes(16), T0)
        writer.finish()
    use(path)


def test_two_types_on_one_topic(tmp_path):
    with (tmp_path / 'a.mcap').open('wb') as stream:
        writer = McapWriter(stream)
        writer.start(profile='ros2')
        for name in ('std_msgs/msg/Empty', 'std_msgs/msg/String'):
            schema = writer.register_schema(name, 'ros2msg', b'')
            channel = writer.register_channel('/topic', 'cdr', schema)
            writer.add_message(channel, T0, b'\x00\x01\x00\x00\x00', T0)
        writer.finish()
    with pytest.raises(InputError, match=r'expected one type on /topic, got std_msgs/msg/Empty'):
        open_bag(tmp_path / 'a.mcap')


def test_two_types_in_two_files(tmp_path):
    messages = {item[2].__msgtype__: item[2] for item in some_messages()}
    write(tmp_path / 'a.mcap', [(T0, '/t', messages['sensor_msgs/msg/Image'])])
    write(tmp_path / 'b.mcap', [(T0, '/t', messages['tf2_msgs/msg/TFMessage'])])
    with pytest.raises(InputError, match=r'expected one type on /t, .* give them one by one'):
        open_bag(tmp_path)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ('UPDATE messages SET data = 7', 'got int and int'),
        ("UPDATE messages SET timestamp = 'late'", 'got str and bytes'),
        ('UPDATE messages SET timestamp = -5', 'log times from 0 to 2^63'),
        ("UPDATE topics SET serialization_format = 'json'", 'serialization format cdr'),
        (
            'DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE n(id) AS '
            '(SELECT 1 UNION ALL SELECT id + 1 FROM n) '
            "SELECT id, 1 topic_id, 1 timestamp, x'00' data FROM n",
            'expected messages to be a table, got a view',
        ),
        ('UPDATE topics SET name = 5', ''),
    ],
)
def test_databases_that_lie(tmp_path, change, words):
    write_sqlite(tmp_path / 'bag')
    (path,) = (tmp_path / 'bag').glob('*.db3')
    database = sqlite3.connect(path)
    database.executescript(change)
    database.commit()
    database.close()
    assert words in use(path)


def test_a_chunk_that_claims_to_be_enormous(tmp_path):
    path = tmp_path / 'a.mcap'
    write(path)
    whole = path.read_bytes()
    with path.open('rb') as stream:
        (index,) = make_reader(stream).get_summary().chunk_indexes
    size = index.uncompressed_size.to_bytes(8, 'little')
    claim = (1 << 50).to_bytes(8, 'little')
    path.write_bytes(whole.replace(size, claim))
    assert 'expected chunks of at most 2048 MiB, got one' in use(path)


def test_a_chunk_that_unpacks_to_more_than_it_says(tmp_path):
    """The index may be honest; what counts is the frame that the library unpacks."""
    path = tmp_path / 'a.mcap'
    write(path)
    whole = path.read_bytes()
    position = whole.index(b'\x28\xb5\x2f\xfd')
    # A frame header with 8 bytes of content size: 2^50.
    frame = b'\x28\xb5\x2f\xfd\xe0' + (1 << 50).to_bytes(8, 'little')
    path.write_bytes(whole[:position] + frame + whole[position + len(frame) :])
    assert 'expected chunks of at most 2048 MiB, got one' in use(path)


def test_a_chunk_beyond_any_file(tmp_path):
    path = tmp_path / 'a.mcap'
    write(path)
    with path.open('rb') as stream:
        (index,) = make_reader(stream).get_summary().chunk_indexes
    whole, size = path.read_bytes(), index.chunk_length.to_bytes(8, 'little')
    position = whole.rindex(size)
    path.write_bytes(whole[: position - 8] + b'\xff' * 8 + whole[position:])
    assert 'damaged, copy it again' in use(path)


@pytest.mark.parametrize('compression', Writer1.CompressionFormat)
def test_chunks_of_ros1_that_unpack_to_too_much(tmp_path, monkeypatch, compression):
    path = write_ros1(tmp_path / 'a.bag', compression=compression)
    assert use(path) == 'nothing expected'
    monkeypatch.setattr(ros1_file, 'MAX_CHUNK_BYTES', 100)
    assert 'a chunk of more than 0 MiB' in use(path)
