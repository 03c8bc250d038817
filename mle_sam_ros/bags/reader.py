"""Reading recordings: an MCAP file, or a rosbag2 directory of MCAP or sqlite3 files."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from mle_sam_ros.bags.directory import directory_custom_data, storage_files, SUFFIXES
from mle_sam_ros.bags.mcap_file import McapFile
from mle_sam_ros.bags.sqlite_file import SqliteFile
from mle_sam_ros.bags.typestore import new_typestore, register_definition
from mle_sam_ros.core.errors import InputError


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
    cdr: bytes


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
        self._files: list[McapFile | SqliteFile] = []
        try:
            for file_path in _storage_files(path):
                file = (
                    McapFile(file_path) if file_path.suffix == '.mcap' else SqliteFile(file_path)
                )
                self._stack.callback(file.close)
                self._files.append(file)
        except BaseException:
            self._stack.close()
            raise
        self._definitions = {
            topic: definition for file in self._files for topic, definition in file.topics.items()
        }
        self.topics = {topic: name for topic, (name, _, _) in self._definitions.items()}
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
        yield from map(RawMessage._make, merge(*parts, key=itemgetter(0)))

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

    def _know_type_of(self, topic: str) -> None:
        name, encoding, text = self._definitions[topic]
        try:
            register_definition(self._store, name, encoding, text)
        except Exception as error:
            reason = f'{type(error).__name__}: {str(error)[:80]!r}'
        else:
            reason = 'none' if text == '' else 'another type'
        if name not in self._store.types:
            raise InputError(
                f'{self.path}: expected a definition of {name} for {topic}, got {reason}; '
                'leave the topic out'
            )


def open_bag(path: Path | str) -> BagReader:
    """Open a recording.

    ```python
    with open_bag('drive.mcap') as bag:
        for log_time_ns, topic, name, message in bag.messages(['/camera/image']):
            …
    ```

    Args:
        path: a `.mcap` or `.db3` file, or a rosbag2 directory that holds such files.

    Raises:
        InputError: for a path that holds no recording, or one that is cut short or damaged.
    """
    return BagReader(Path(path))


def _custom_data(path: Path, files: list[McapFile | SqliteFile]) -> dict[str, str]:
    noted = directory_custom_data(path) if path.is_dir() else {}
    for file in files:
        if isinstance(file, McapFile):
            noted = {**file.custom_data, **noted}
    return noted


def _storage_files(path: Path) -> list[Path]:
    if path.is_dir():
        return storage_files(path)
    if not path.is_file() or path.suffix not in SUFFIXES:
        got = f'a file {path.suffix or "without suffix"}' if path.is_file() else 'nothing'
        raise InputError(
            f'{path}: expected a .mcap or .db3 file, or a rosbag2 directory, got {got}; '
            'give a ROS 2 recording'
        )
    return [path]
