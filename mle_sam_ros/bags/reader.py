"""Reading recordings: MCAP and sqlite3 files, rosbag2 directories of them, and ROS 1 bags."""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from heapq import merge
from operator import itemgetter
from pathlib import Path
import struct
from typing import Any, NamedTuple

from mle_sam_ros.bags.directory import directory_custom_data, storage_files, storage_suffix
from mle_sam_ros.bags.event_arrays import EVENT_ARRAYS, EVENT_PACKET, packet_of_cdr
from mle_sam_ros.bags.mcap_file import McapFile
from mle_sam_ros.bags.packed import unpacked_file, unpacked_message
from mle_sam_ros.bags.ros1_file import Ros1File
from mle_sam_ros.bags.sqlite_file import SqliteFile
from mle_sam_ros.bags.typestore import (
    begins_with_header,
    current_name,
    new_typestore,
    register_definition,
)
from mle_sam_ros.core.errors import InputError

_File = McapFile | SqliteFile | Ros1File
_FILE_TYPES: dict[str, type[_File]] = {'.mcap': McapFile, '.db3': SqliteFile, '.bag': Ros1File}
# Stamps are kept in 64 bits with a sign.
_MAX_TIME_NS = 2**63


class BagMessage(NamedTuple):
    """A message and where it stood in the bag."""

    log_time_ns: int
    topic: str
    type: str
    message: Any


class RawMessage(NamedTuple):
    """A serialised message and where it stood in the bag."""

    log_time_ns: int
    topic: str
    cdr: bytes | memoryview


class Arrival(NamedTuple):
    """When a message was stamped (None where its type has no header) and logged, and its size."""

    log_time_ns: int
    topic: str
    stamp_ns: int | None
    num_bytes: int


class BagReader:
    """A recording, read in order of log time; made by `open_bag`, closed by `with`.

    Attributes:
        path: as given.
        topics: name to type (`sensor_msgs/msg/Image`).
        num_messages: on all topics.
        custom_data: what whoever recorded it noted about the whole, such as the weather.
    """

    def __init__(self, path: Path) -> None:
        """Open the files; see `open_bag`."""
        self.path = path
        self._stack = ExitStack()
        self._files: list[_File] = []
        try:
            for file_path in _storage_files(path):
                plain = unpacked_file(file_path, self._stack)
                file = _FILE_TYPES[plain.suffix](plain)
                self._stack.callback(file.close)
                self._files.append(file)
            self._definitions = _definitions(path, self._files)
        except BaseException:
            self._stack.close()
            raise
        self.topics = {
            topic: EVENT_PACKET if name in EVENT_ARRAYS else current_name(name)
            for topic, (name, _, _) in self._definitions.items()
        }
        self.num_messages = sum(file.num_messages for file in self._files)
        self.custom_data = _custom_data(path, self._files)
        self._store = new_typestore()

    def raw(self, topics: Collection[str] | None = None) -> Iterator[RawMessage]:
        """Serialised messages.

        Args:
            topics: to read; None for all.

        Raises:
            InputError: for a topic that the bag does not have, or a damaged file.
        """
        chosen = self._chosen(topics)
        if not chosen:
            return
        # Files of one recording overlap a little; each is ordered in itself.
        parts = [file.raw(chosen) for file in self._files]
        num_arrays: Counter[str] = Counter()
        for log_time_ns, topic, data in merge(*parts, key=itemgetter(0)):
            if not 0 <= log_time_ns < _MAX_TIME_NS:
                raise InputError(
                    f'{self.path}: expected log times from 0 to 2^63 ns, got {log_time_ns} on '
                    f'{topic}; the file is damaged, copy it again'
                )
            cdr = unpacked_message(data, f'{self.path}: {topic}')
            if self._definitions[topic][0] in EVENT_ARRAYS:
                num_arrays[topic] += 1
                cdr = self._as_packet(log_time_ns, topic, bytes(cdr), num_arrays[topic])
            yield RawMessage(log_time_ns, topic, cdr)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Deserialised messages.

        Args:
            topics: to read; None for all.

        Raises:
            InputError: as `raw`, and for a type or a message that cannot be decoded.
        """
        for topic in self._chosen(topics):
            self._know_type_of(topic)
        for log_time_ns, topic, cdr in self.raw(topics):
            name = self.topics[topic]
            # Wrong bytes make the generated decoders raise whatever they trip over.
            try:
                message = self._store.deserialize_cdr(cdr, name)
            except Exception as error:
                raise InputError(
                    f'{self.path}: expected a {name} on {topic} at {log_time_ns} ns, got '
                    f'{len(cdr)} bytes that are none ({type(error).__name__}); '
                    'leave the topic out or record it again'
                ) from None
            yield BagMessage(log_time_ns, topic, name, message)

    def arrivals(self, topics: Collection[str] | None = None) -> Iterator[Arrival]:
        """When messages were stamped and logged, without decoding them.

        Args:
            topics: to read; None for all.

        Raises:
            InputError: as `raw`.
        """
        has_stamp = {topic: self._has_stamp(topic) for topic in self._chosen(topics)}
        for log_time_ns, topic, cdr in self.raw(topics):
            stamp_ns = _stamp_ns(cdr) if has_stamp[topic] else None
            yield Arrival(log_time_ns, topic, stamp_ns, len(cdr))

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def __enter__(self) -> 'BagReader':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chosen(self, topics: Collection[str] | None) -> list[str]:
        chosen = list(self.topics if topics is None else topics)
        for topic in chosen:
            if topic not in self.topics:
                raise InputError(
                    f'{self.path}: expected a topic {topic}, got only '
                    f'{", ".join(sorted(self.topics))}; give one of these'
                )
        return chosen

    def _as_packet(self, log_time_ns: int, topic: str, cdr: bytes, seq: int) -> bytes:
        try:
            return packet_of_cdr(cdr, seq)
        except ValueError as error:
            raise InputError(
                f'{self.path}: expected a {self._definitions[topic][0]} on {topic} at '
                f'{log_time_ns} ns, got {error}; leave the topic out or record it again'
            ) from None

    def _know_type_of(self, topic: str) -> None:
        name, encoding, text = self._definitions[topic]
        try:
            register_definition(self._store, name, encoding, text)
        except Exception as error:
            reason = f'{type(error).__name__}: {str(error)[:80]!r}'
        else:
            reason = 'none' if text == '' else 'another type'
            if self.topics[topic] in self._store.types:
                return
        raise InputError(
            f'{self.path}: expected a definition of {name} for {topic}, got {reason}; '
            'leave the topic out'
        )

    def _has_stamp(self, topic: str) -> bool:
        try:
            self._know_type_of(topic)
        except InputError:
            return False
        return begins_with_header(self._store, self.topics[topic])


def _stamp_ns(cdr: bytes | memoryview) -> int | None:
    """The stamp of a message that begins with a header; the rest stays serialised."""
    if len(cdr) < 12:
        return None
    seconds, nanoseconds = struct.unpack('<iI' if cdr[1] & 1 else '>iI', cdr[4:12])
    return seconds * 1_000_000_000 + nanoseconds


def open_bag(path: Path | str) -> BagReader:
    """Open a recording.

    ```python
    with open_bag('drive.mcap') as bag:
        for log_time_ns, topic, name, message in bag.messages(['/camera/image']):
            …
    ```

    Args:
        path: a `.mcap`, `.db3` or (ROS 1) `.bag` file, one of the former with `.zstd` behind it as
            rosbag2 compresses whole files, or a directory that holds such files.

    Raises:
        InputError: for a path that holds no recording, or one that is cut short or damaged.
    """
    return BagReader(Path(path))


def _definitions(path: Path, files: list[_File]) -> dict[str, tuple[str, str, str]]:
    """Topic to (type, definition encoding, definition text), over all files."""
    definitions: dict[str, tuple[str, str, str]] = {}
    for file in files:
        for topic, definition in file.topics.items():
            if not (topic.isprintable() and definition[0].isprintable()):
                raise InputError(
                    f'{path}: expected plain names of topics and types, got {topic!r} and '
                    f'{definition[0]!r}; the file is damaged, copy it again'
                )
            first = definitions.setdefault(topic, definition)
            if first[0] != definition[0]:
                raise InputError(
                    f'{path}: expected one type on {topic}, got {first[0]} and {definition[0]}; '
                    'the files are not of one recording, give them one by one'
                )
    return definitions


def _custom_data(path: Path, files: list[_File]) -> dict[str, str]:
    noted = directory_custom_data(path) if path.is_dir() else {}
    for file in files:
        if isinstance(file, McapFile):
            noted = {**file.custom_data, **noted}
    return noted


def _storage_files(path: Path) -> list[Path]:
    if path.is_dir():
        return storage_files(path)
    if not path.is_file() or storage_suffix(path) is None:
        got = f'a file {path.suffix or "without suffix"}' if path.is_file() else 'nothing'
        raise InputError(
            f'{path}: expected a .mcap, .db3 or .bag file, or a rosbag2 directory, got {got}; '
            'give a recording'
        )
    return [path]
