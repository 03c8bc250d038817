"""One ROS 1 bag as a source of messages, serialised as ROS 2 does it."""

from bz2 import BZ2Decompressor
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Lock

from lz4.frame import LZ4FrameDecompressor
from mle_sam_ros.bags.event_arrays import EVENT_ARRAYS, EVENT_PACKET, packet_of_ros1
from mle_sam_ros.bags.typestore import current_name, new_typestore, register_definition
from mle_sam_ros.core.errors import InputError
from rosbags.rosbag1 import Reader
from rosbags.rosbag1.reader import decompressors

# rosbag makes chunks of less than a mebibyte.
MAX_CHUNK_BYTES = 1 << 30
_MAGIC = b'#ROSBAG V2.0\n'


class Ros1File:
    """Serialised messages in order of log time.

    The counter that ROS 1 keeps in each header is lost, as ROS 2 has none.

    Attributes:
        topics: name to (type, definition encoding, definition text).
        num_messages: in the file.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and read its index.

        Raises:
            InputError: for a file that is no ROS 1 bag of version 2.0, or was cut short.
        """
        self._path = path
        _check_start(path)
        self._reader = Reader(path)
        # A damaged file makes the library raise whatever it trips over.
        try:
            self._reader.open()
            self._connections = list(self._reader.connections)
            _bound_chunks(self._reader)
        except Exception as error:
            raise self._damaged(error, 'an index') from None
        self.topics = {
            item.topic: (item.msgtype, 'ros1msg', item.msgdef.data) for item in self._connections
        }
        for item in self._connections:
            if self.topics[item.topic][0] != item.msgtype:
                self.close()
                raise InputError(
                    f'{path}: expected one type on {item.topic}, got {item.msgtype} and '
                    f'{self.topics[item.topic][0]}; record them on two topics'
                )
        self._definitions = dict(self.topics)
        # What leaves this file is what it is turned into.
        packets = {item.topic for item in self._connections if item.msgtype in EVENT_ARRAYS}
        self.topics |= dict.fromkeys(packets, (EVENT_PACKET, '', ''))
        self.num_messages = sum(item.msgcount for item in self._connections)
        self._store = new_typestore()
        self._lock = Lock()  # all who read share a place in the file

    def raw(self, topics: Collection[str]) -> Iterator[tuple[int, str, bytes]]:
        """(log_time_ns, topic, cdr) of these topics; several threads may read at a time.

        Raises:
            InputError: where the file turns out to be damaged, or a type cannot be translated.
        """
        chosen = [item for item in self._connections if item.topic in topics]
        for topic in {item.topic for item in chosen}:
            self._know_type_of(topic)
        num_read: Counter[str] = Counter()
        # An empty choice would mean all of them.
        iterator = iter(self._reader.messages(chosen)) if chosen else iter(())
        while True:
            try:
                with self._lock:
                    item = next(iterator, None)
            except Exception as error:
                raise self._damaged(error, 'whole chunks of messages') from None
            if item is None:
                return
            connection, log_time_ns, data = item
            name = current_name(connection.msgtype)
            num_read[connection.topic] += 1
            try:
                cdr = self._translate(name, data, num_read[connection.topic])
            except Exception as error:
                raise InputError(
                    f'{self._path}: expected a {name} on {connection.topic} at {log_time_ns} ns, '
                    f'got {len(data)} bytes that are none ({type(error).__name__}); '
                    'leave the topic out or record it again'
                ) from None
            yield log_time_ns, connection.topic, cdr

    def close(self) -> None:
        """Close the file."""
        if self._reader.bio is not None:
            self._reader.close()

    def _translate(self, name: str, data: bytes, seq: int) -> bytes:
        if name in EVENT_ARRAYS:
            return packet_of_ros1(data, seq)
        return bytes(self._store.ros1_to_cdr(data, name))

    def _know_type_of(self, topic: str) -> None:
        name, encoding, text = self._definitions[topic]
        try:
            register_definition(self._store, name, encoding, text)
        except Exception as error:
            raise InputError(
                f'{self._path}: expected a definition of {name} for {topic}, got '
                f'{type(error).__name__}: {str(error)[:80]!r}; leave the topic out'
            ) from None

    def _damaged(self, error: Exception, expected: str) -> InputError:
        reason = ' '.join(str(error).split())[:120]
        return InputError(
            f'{self._path}: expected {expected} of a ROS 1 bag, got {type(error).__name__}: '
            f'{reason!r}; the file is damaged, copy it again or run "rosbag reindex"'
        )


def _bound_chunks(reader: Reader) -> None:
    """Let no chunk fill the memory, whatever its few bytes unpack to."""
    bounded = {decompressors['bz2']: _unpack_bz2, decompressors['lz4']: _unpack_lz4}
    for position, chunk in reader.chunks.items():
        unpack = bounded.get(chunk.decompressor, chunk.decompressor)
        reader.chunks[position] = chunk._replace(decompressor=unpack)


def _unpack_bz2(data: bytes) -> bytes:
    return _checked(BZ2Decompressor().decompress(data, MAX_CHUNK_BYTES + 1))


def _unpack_lz4(data: bytes) -> bytes:
    return _checked(LZ4FrameDecompressor().decompress(data, MAX_CHUNK_BYTES + 1))


def _checked(content: bytes) -> bytes:
    if len(content) > MAX_CHUNK_BYTES:
        raise ValueError(f'a chunk of more than {MAX_CHUNK_BYTES >> 20} MiB')
    return content


def _check_start(path: Path) -> None:
    with path.open('rb') as stream:
        start = stream.read(len(_MAGIC))
    if start != _MAGIC:
        raise InputError(
            f'{path}: expected a ROS 1 bag of version 2.0, got '
            f'{f"bytes {start!r}" if start else "an empty file"}; give a recording'
        )
