"""One sqlite3 file of a rosbag2 directory as a source of serialised messages."""

from collections.abc import Collection, Iterator
from pathlib import Path
import sqlite3

from mle_sam_ros.core.errors import InputError

_MAGIC = b'SQLite format 3\x00'


class SqliteFile:
    """Serialised messages in order of log time.

    Attributes:
        topics: name to (type, definition encoding, definition text).
        num_messages: in the file.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and read its topics.

        Raises:
            InputError: for a file that is no such database, or was cut short.
        """
        self._path = path
        _check_size(path)
        # The file is only read: `immutable` leaves no journal beside somebody's recording.
        self._database = sqlite3.connect(
            f'{path.resolve().as_uri()}?mode=ro&immutable=1', uri=True, check_same_thread=False
        )
        self._database.execute('PRAGMA trusted_schema = OFF')
        try:
            self._check_tables()
            self.topics = self._read_topics()
            self.num_messages = next(self._query('SELECT count(*) FROM messages'))[0]
        except BaseException:
            self.close()
            raise

    def raw(self, topics: Collection[str]) -> Iterator[tuple[int, str, bytes]]:
        """(log_time_ns, topic, cdr) of these topics.

        Raises:
            InputError: where the file turns out to be damaged.
        """
        marks = ','.join('?' * len(topics))
        for row in self._query(
            'SELECT messages.timestamp, topics.name, messages.data FROM messages '
            f'JOIN topics ON topics.id = messages.topic_id WHERE topics.name IN ({marks}) '
            'ORDER BY messages.timestamp, messages.id',
            tuple(topics),
        ):
            if not (isinstance(row[0], int) and isinstance(row[2], bytes)):
                raise InputError(
                    f'{self._path}: expected a number as timestamp and bytes as data, got '
                    f'{type(row[0]).__name__} and {type(row[2]).__name__} on {row[1]}; '
                    'the file is damaged, copy it again'
                )
            yield row

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _check_tables(self) -> None:
        """Refuse a view in the place of a table: it may run for ever."""
        kinds = dict(self._query('SELECT name, type FROM sqlite_master'))
        for name in ('topics', 'messages', 'message_definitions'):
            if kinds.get(name, 'table') != 'table':
                raise InputError(
                    f'{self._path}: expected {name} to be a table, got a {kinds[name]}; '
                    'the file is no recording of rosbag2'
                )
        self._has_definitions = 'message_definitions' in kinds

    def _read_topics(self) -> dict[str, tuple[str, str, str]]:
        definitions = {}
        if self._has_definitions:
            rows = self._query(
                'SELECT topic_type, encoding, encoded_message_definition FROM message_definitions'
            )
            definitions = {name: (str(encoding), str(text)) for name, encoding, text in rows}
        topics: dict[str, tuple[str, str, str]] = {}
        for row in self._query('SELECT name, type, serialization_format FROM topics'):
            name, kind, serialization = (str(value) for value in row)
            if serialization != 'cdr':
                raise InputError(
                    f'{self._path}: expected serialization format cdr, got {serialization!r} on '
                    f'{name}; record it with ROS 2'
                )
            if topics.get(name, (kind,))[0] != kind:
                raise InputError(
                    f'{self._path}: expected one type on {name}, got {topics[name][0]} and '
                    f'{kind}; record them on two topics'
                )
            topics[name] = (kind, *definitions.get(kind, ('', '')))
        return topics

    def _query(self, text: str, values: tuple[str, ...] = ()) -> Iterator[tuple]:
        try:
            # Not `yield from`, which closes the cursor of a database that is closed already.
            for row in self._database.execute(text, values):  # noqa: UP028
                yield row
        # The latter for a damaged name, even within the message of the former.
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise InputError(
                f'{self._path}: expected a rosbag2 database, got {str(error)[:120]!r}; '
                'the file is damaged or of another kind, copy it again'
            ) from None


def _check_size(path: Path) -> None:
    """Compare the file's length with the number of pages that its header names."""
    with path.open('rb') as stream:
        start = stream.read(32)
        num_bytes = stream.seek(0, 2)
    if not start.startswith(_MAGIC):
        raise InputError(
            f'{path}: expected a sqlite3 database, got '
            f'{f"bytes {start[:8]!r}" if start else "an empty file"}; give a ROS 2 recording'
        )
    page_bytes = int.from_bytes(start[16:18], 'big')
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    expected = page_bytes * int.from_bytes(start[28:32], 'big')
    if num_bytes < max(expected, 100):
        raise InputError(
            f'{path}: expected {expected} bytes of database, got {num_bytes}; '
            'the file was cut short, copy it again'
        )
