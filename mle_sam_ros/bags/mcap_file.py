"""One MCAP file, complete and indexed, as a source of serialised messages."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from mcap.reader import make_reader
from mcap.records import ChunkIndex, Schema
from mcap.summary import Summary
from mle_sam_ros.bags.mcap_chunks import Chunks
from mle_sam_ros.bags.metadata import custom_data_of
from mle_sam_ros.core.errors import InputError
import zstandard

_MAGIC = b'\x89MCAP0\r\n'
_CDR = 'cdr'
# rosbag2 makes chunks of less than a mebibyte; a few damaged bytes can claim any size.
_MAX_CHUNK_BYTES = 1 << 31
# Opcode, length, two times, size, checksum, and the lengths of two fields, but not the former.
_CHUNK_HEAD_BYTES = 1 + 8 + 8 + 8 + 8 + 4 + 4 + 8
_FRAME_HEAD_BYTES = 18
# Where rosbag2 keeps a copy of metadata.yaml.
_ROSBAG2_RECORD = 'rosbag2'


class McapFile:
    """Serialised messages in order of log time, in memory bounded by a few chunks.

    Attributes:
        topics: name to (type, definition encoding, definition text).
        num_messages: in the file.
        custom_data: the pairs of its metadata records, and what `ros2 bag record --custom-data`
            noted.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and read its summary.

        Raises:
            InputError: for a file that is no MCAP, was cut short, or holds no ROS 2 messages.
        """
        self._path = path
        self._stream = path.open('rb')
        self._chunks = Chunks(self._stream)
        try:
            _check_ends(self._stream, path)
            self._reader = make_reader(self._stream, validate_crcs=True)
            summary = self._summary()
            _check_chunks(summary, self._stream, path)
            self.topics = _topics(summary, path)
            self.custom_data = self._custom_data()
        except BaseException:
            self._stream.close()
            raise
        self.num_messages = summary.statistics.message_count if summary.statistics else 0

    def raw(self, topics: Collection[str]) -> Iterator[tuple[int, str, memoryview]]:
        """(log_time_ns, topic, cdr) of these topics; several may be read at a time.

        Raises:
            InputError: where the file turns out to be damaged.
        """
        iterator = self._messages(topics)
        while True:
            # A damaged file makes the library raise whatever it trips over.
            try:
                item = next(iterator, None)
            except Exception as error:
                raise InputError(
                    f'{self._path}: expected whole chunks of messages, got '
                    f'{type(error).__name__}: {str(error)!r}; the file is damaged, copy it again'
                ) from None
            if item is None:
                return
            yield item

    def close(self) -> None:
        """Close the file, and end all reading of it."""
        self._chunks.close()
        self._stream.close()

    def _messages(self, topics: Collection[str]) -> Iterator[tuple[int, str, memoryview]]:
        summary = self._summary()
        if not summary.chunk_indexes:  # then it must be read from the start
            for _, channel, message in self._reader.iter_messages(topics=topics):
                yield message.log_time, channel.topic, memoryview(message.data)
            return
        topic_of = {
            number: channel.topic
            if channel.message_encoding == _CDR and channel.topic in topics
            else None
            for number, channel in summary.channels.items()
        }
        # A chunk without an index of its messages may hold anything.
        indexes = [
            index
            for index in summary.chunk_indexes
            if any(map(topic_of.get, index.message_index_offsets or topic_of))
        ]
        yield from self._chunks.messages(indexes, topic_of)

    def _custom_data(self) -> dict[str, str]:
        try:
            records = list(self._reader.iter_metadata())
        except Exception as error:
            raise InputError(
                f'{self._path}: expected whole metadata records, got {type(error).__name__}: '
                f'{str(error)!r}; the file is damaged, copy it again'
            ) from None
        noted: dict[str, str] = {}
        for record in records:
            if record.name == _ROSBAG2_RECORD:
                noted.update(custom_data_of(record.metadata.get('serialized_metadata', '')))
            else:
                noted.update(record.metadata)
        return noted

    def _summary(self) -> Summary:
        try:
            summary = self._reader.get_summary()
        except Exception as error:
            raise InputError(
                f'{self._path}: expected a summary at the end of the file, got '
                f'{type(error).__name__}: {str(error)!r}; the file is damaged, copy it again or '
                'run "mcap recover"'
            ) from None
        if summary is None:
            raise InputError(
                f'{self._path}: expected an MCAP file with a summary, got none; '
                'run "mcap recover" to index it'
            )
        return summary


def _check_ends(stream: BinaryIO, path: Path) -> None:
    start = stream.read(len(_MAGIC))
    if start != _MAGIC:
        got = f'bytes {start!r}' if start else 'an empty file'
        raise InputError(f'{path}: expected an MCAP file, got {got}; give a ROS 2 recording')
    num_bytes = stream.seek(0, 2)
    stream.seek(max(num_bytes - len(_MAGIC), len(_MAGIC)))
    if stream.read() != _MAGIC:
        raise InputError(
            f'{path}: expected a complete MCAP file, got one cut short after {num_bytes} bytes; '
            'copy it again or run "mcap recover" to save what there is'
        )
    stream.seek(0)


def _check_chunks(summary: Summary, stream: BinaryIO, path: Path) -> None:
    """Refuse chunks that would fill the memory, before anything is unpacked."""
    for index in summary.chunk_indexes:
        largest = max(index.uncompressed_size, _claimed_bytes(index, stream))
        if largest > _MAX_CHUNK_BYTES:
            raise InputError(
                f'{path}: expected chunks of at most {_MAX_CHUNK_BYTES >> 20} MiB, got one that '
                f'claims {largest >> 20} MiB; the file is damaged, copy it again'
            )


def _claimed_bytes(index: ChunkIndex, stream: BinaryIO) -> int:
    """What the compressed data say of their own length; the library would believe them."""
    if index.compression != 'zstd':
        return 0
    try:
        stream.seek(index.chunk_start_offset + _CHUNK_HEAD_BYTES + len(index.compression))
        return zstandard.frame_content_size(stream.read(_FRAME_HEAD_BYTES))
    except (zstandard.ZstdError, ValueError, OSError):
        return 0  # damage, which is told when the chunk is read


def _topics(summary: Summary, path: Path) -> dict[str, tuple[str, str, str]]:
    channels = list(summary.channels.values())
    ros = [channel for channel in channels if channel.message_encoding == _CDR]
    if not ros:
        encodings = sorted({channel.message_encoding for channel in channels})
        raise InputError(
            f'{path}: expected ROS 2 messages (encoding cdr), got '
            f'{", ".join(encodings) or "no topics at all"}; record it with ROS 2'
        )
    nameless = Schema(id=0, name='', encoding='', data=b'')
    topics: dict[str, tuple[str, str, str]] = {}
    for channel in ros:
        schema = summary.schemas.get(channel.schema_id, nameless)
        text = schema.data.decode('utf-8', errors='replace')
        first = topics.setdefault(channel.topic, (schema.name, schema.encoding, text))
        if first[0] != schema.name:
            raise InputError(
                f'{path}: expected one type on {channel.topic}, got {first[0]} and '
                f'{schema.name}; record them on two topics'
            )
    return topics
