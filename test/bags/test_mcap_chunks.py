"""Messages come from chunks as the mcap library gives them, whatever the chunks are like."""

from pathlib import Path
import threading

from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, IndexType, Writer
from mle_sam_ros.bags import mcap_chunks
from mle_sam_ros.bags.mcap_file import McapFile
from mle_sam_ros.core.errors import InputError
import pytest

TOPICS = ('/a', '/b', '/c')


def write(path: Path, messages, compression=CompressionType.ZSTD, chunk_bytes=200, **options):
    with path.open('wb') as stream:
        writer = Writer(stream, chunk_size=chunk_bytes, compression=compression, **options)
        writer.start(profile='ros2')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data')
        channels = {topic: writer.register_channel(topic, 'cdr', schema) for topic in TOPICS}
        for topic, log_time_ns, data in messages:
            writer.add_message(channels[topic], log_time_ns, data, log_time_ns)
        writer.finish()
    return path


def by_library(path: Path, topics):
    """The reference: one thread, one message after another."""
    with path.open('rb') as stream:
        messages = make_reader(stream, validate_crcs=True).iter_messages(topics=topics)
        return [(m.log_time, channel.topic, m.data) for _, channel, m in messages]


def by_us(path: Path, topics):
    file = McapFile(path)
    try:
        return [(time, topic, bytes(data)) for time, topic, data in file.raw(topics)]
    finally:
        file.close()


MESSAGES = st.lists(
    # Times far out of order, so that chunks overlap; many of them equal.
    st.tuples(st.sampled_from(TOPICS), st.integers(0, 30), st.binary(max_size=120)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(
    messages=MESSAGES,
    compression=st.sampled_from(CompressionType),
    topics=st.sets(st.sampled_from(TOPICS)),
    index_types=st.sampled_from([IndexType.ALL, IndexType.CHUNK]),
    use_chunking=st.booleans(),
)
def test_messages_are_those_of_the_library(
    tmp_path_factory, messages, compression, topics, index_types, use_chunking
):
    path = tmp_path_factory.mktemp('mcap') / 'a.mcap'
    write(
        path, messages, compression, index_types=index_types, use_chunking=use_chunking,
        enable_crcs=True,
    )  # fmt: skip
    assert by_us(path, topics) == by_library(path, topics)


def test_several_may_be_read_at_a_time(tmp_path):
    messages = [(TOPICS[i % 3], i, bytes([i] * 90)) for i in range(60)]
    file = McapFile(write(tmp_path / 'a.mcap', messages))
    one, other = file.raw(['/a']), file.raw(['/b', '/c'])
    times = [(next(one)[0], next(other)[0]) for _ in range(20)]
    assert [time for time, _ in times] == list(range(0, 60, 3))
    assert next(one, None) is None
    one.close()
    other.close()
    file.close()


def test_closing_ends_what_nobody_reads_on(tmp_path):
    messages = [('/a', i, bytes(90)) for i in range(60)]
    num_threads = threading.active_count()
    file = McapFile(write(tmp_path / 'a.mcap', messages))
    iterators = [file.raw(['/a']) for _ in range(3)]
    for iterator in iterators:
        assert [next(iterator)[0] for _ in range(9)] == list(range(9))
    assert threading.active_count() == num_threads + 3
    file.close()
    assert threading.active_count() == num_threads


def test_enormous_chunks_are_read_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(mcap_chunks, '_MAX_BYTES_AHEAD', 10)
    monkeypatch.setattr(mcap_chunks, 'Ahead', None)
    messages = [('/a', i, bytes(90)) for i in range(9)]
    assert len(by_us(write(tmp_path / 'a.mcap', messages), ['/a'])) == 9


# The head of the only chunk: where in its record, what to write there, and what is said.
DAMAGES = {
    'opcode': (0, b'\x07', 'a chunk that ends too early'),
    'checksum': (1 + 8 + 24, b'\xff\xff\xff\xff', 'a wrong checksum'),
    'length of the name': (1 + 8 + 28, b'\xff\xff\xff\x7f', 'requires a buffer'),
    'length of the content': (1 + 8 + 32, b'\xff' * 8, 'a chunk that ends too early'),
}


@pytest.mark.parametrize('name', DAMAGES)
def test_damaged_chunks_are_told(tmp_path, name):
    offset, change, words = DAMAGES[name]
    messages = [('/a', i, bytes(100)) for i in range(2)]
    path = write(tmp_path / 'a.mcap', messages, CompressionType.NONE, 1000)
    with path.open('rb') as stream:
        (index,) = make_reader(stream).get_summary().chunk_indexes
    whole, place = path.read_bytes(), index.chunk_start_offset + offset
    path.write_bytes(whole[:place] + change + whole[place + len(change) :])
    with pytest.raises(InputError, match=words):
        by_us(path, ['/a'])


@pytest.mark.parametrize('compression', [CompressionType.ZSTD, CompressionType.LZ4])
def test_a_chunk_of_another_size_than_it_says(tmp_path, compression):
    path = write(tmp_path / 'a.mcap', [('/a', 1, bytes(100))], compression, 1000)
    with path.open('rb') as stream:
        (index,) = make_reader(stream).get_summary().chunk_indexes
    whole, place = path.read_bytes(), index.chunk_start_offset + 1 + 8 + 16
    path.write_bytes(whole[:place] + (20).to_bytes(8, 'little') + whole[place + 8 :])
    with pytest.raises(InputError, match=r'bytes in the place of 20|ZstdError|damaged'):
        by_us(path, ['/a'])


def test_who_follows_another_finds_chunks_unpacked(tmp_path, monkeypatch):
    messages = [(TOPICS[i % 2], i, bytes([i] * 90)) for i in range(60)]
    path = write(tmp_path / 'a.mcap', messages)
    unpacked, unpack = [], mcap_chunks._content
    monkeypatch.setattr(
        mcap_chunks, '_content', lambda stream, index: unpacked.append(1) or unpack(stream, index)
    )
    file = McapFile(path)
    both = list(zip(file.raw(['/a']), file.raw(['/b']), strict=True))
    assert [(one[0], other[0]) for one, other in both] == [(i, i + 1) for i in range(0, 60, 2)]
    assert len(unpacked) == len(file._summary().chunk_indexes) > 20
    file.close()


def test_chunks_are_kept_within_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(mcap_chunks, '_MAX_BYTES_KEPT', 1000)
    messages = [('/a', i, bytes(90)) for i in range(60)]
    file = McapFile(write(tmp_path / 'a.mcap', messages))
    for _ in range(2):
        assert len(list(file.raw(['/a']))) == 60
        kept = [len(content) for content in file._chunks._kept.values()]
        assert len(kept) > 1
        assert sum(kept) == file._chunks._num_bytes_kept <= 1000
    file.close()
