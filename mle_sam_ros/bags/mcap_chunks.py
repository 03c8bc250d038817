"""The chunks of an MCAP file: read, unpacked and checked ahead of who takes their messages."""

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
import os
import struct
from threading import Lock
from typing import BinaryIO
from weakref import WeakSet
import zlib

from lz4.frame import LZ4FrameDecompressor
from mcap.records import ChunkIndex
from mle_sam_ros.bags.ahead import Ahead
import zstandard

# Opcode and length; then two times, the size, the checksum, and the length of the next field.
_RECORD_HEAD = struct.Struct('<BQ')
_CHUNK_HEAD = struct.Struct('<QQQII')
_LENGTH = struct.Struct('<Q')
# Channel, sequence number, log time and publish time.
_MESSAGE_HEAD = struct.Struct('<HIQQ')
_CHUNK, _MESSAGE = 0x06, 0x05
# Two chunks of a size that recorders make are worth having; of enormous ones, one at a time.
_NUM_AHEAD = 2
_MAX_BYTES_AHEAD = 32 << 20
# Who reads other topics of the same drive comes by a few frames later.
_MAX_BYTES_KEPT = 32 << 20

_Message = tuple[int, str, memoryview]


class Chunks:
    """Reads the chunks of a file, as often as wanted, and several times at once.

    Whoever comes to a chunk shortly after another one finds it unpacked.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """Set up; the position of the stream does not matter, and stays."""
        self._stream = stream
        self._reading: WeakSet[Ahead[memoryview]] = WeakSet()
        self._lock = Lock()
        self._kept: dict[int, memoryview] = {}  # by its place in the file, the latest last
        self._num_bytes_kept = 0

    def messages(
        self, indexes: Sequence[ChunkIndex], topic_of: Mapping[int, str | None]
    ) -> Iterator[_Message]:
        """(log_time_ns, topic, cdr) in order of log time; of equal times, in that of the file.

        Args:
            indexes: of the chunks to read.
            topic_of: every channel's number to its topic, or None for those to skip.

        Raises:
            ValueError: for chunks that are no chunks; a KeyError for messages of no channel, and
                whatever the decompressors raise.
        """
        indexes = sorted(indexes, key=_start)
        waiting: list[tuple[int, int, int, str, memoryview]] = []
        for index, content in zip(indexes, self._contents(indexes), strict=True):
            while waiting and waiting[0][:2] < _start(index):
                log_time_ns, _, _, topic, cdr = heappop(waiting)
                yield log_time_ns, topic, cdr
            for number, (log_time_ns, topic, cdr) in enumerate(_messages(content, topic_of)):
                heappush(waiting, (log_time_ns, index.chunk_start_offset, number, topic, cdr))
        while waiting:
            log_time_ns, _, _, topic, cdr = heappop(waiting)
            yield log_time_ns, topic, cdr

    def close(self) -> None:
        """End what still reads ahead for iterators that nobody has closed."""
        for ahead in list(self._reading):
            ahead.close()

    def _contents(self, indexes: Sequence[ChunkIndex]) -> Iterator[memoryview]:
        """What is in the chunks, in turn."""
        contents = (self._content(index) for index in indexes)
        if any(index.uncompressed_size > _MAX_BYTES_AHEAD for index in indexes):
            yield from contents
            return
        # Who wants no more than the first message needs no thread.
        for content in contents:
            yield content
            break
        with Ahead(contents, _NUM_AHEAD) as following:
            self._reading.add(following)
            yield from following

    def _content(self, index: ChunkIndex) -> memoryview:
        """What is in a chunk; unpacked by one thread at a time, so that none is unpacked twice."""
        place = index.chunk_start_offset
        with self._lock:
            content = self._kept.pop(place, None)
            if content is None:
                content = _content(self._stream, index)
                self._num_bytes_kept += len(content)
            self._kept[place] = content
            while self._num_bytes_kept > _MAX_BYTES_KEPT:
                self._num_bytes_kept -= len(self._kept.pop(next(iter(self._kept))))
        return content


def _start(index: ChunkIndex) -> tuple[int, int]:
    return index.message_start_time, index.chunk_start_offset


def _content(stream: BinaryIO, index: ChunkIndex) -> memoryview:
    num_bytes = os.fstat(stream.fileno()).st_size
    length = min(index.chunk_length, max(num_bytes - index.chunk_start_offset, 0))
    record = memoryview(os.pread(stream.fileno(), length, index.chunk_start_offset))
    try:
        opcode, _ = _RECORD_HEAD.unpack_from(record)
        _, _, size, checksum, name_length = _CHUNK_HEAD.unpack_from(record, _RECORD_HEAD.size)
        start = _RECORD_HEAD.size + _CHUNK_HEAD.size + name_length
        (length,) = _LENGTH.unpack_from(record, start)
    except struct.error as error:
        raise ValueError(str(error)) from None
    start += _LENGTH.size
    if opcode != _CHUNK or start + length > len(record):
        raise ValueError('a chunk that ends too early')
    compression = bytes(record[start - _LENGTH.size - name_length : start - _LENGTH.size])
    content = _unpacked(record[start : start + length], compression, size)
    if checksum and zlib.crc32(content) != checksum:
        raise ValueError('a wrong checksum')
    return memoryview(content)


def _unpacked(packed: memoryview, compression: bytes, size: int) -> bytes | memoryview:
    if not compression:
        return packed
    if compression == b'zstd':
        content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
    elif compression == b'lz4':
        content = LZ4FrameDecompressor().decompress(packed, max_length=size + 1)
    else:
        raise ValueError(f'a compression {compression[:20]!r}')
    if len(content) != size:
        raise ValueError(f'{len(content)} bytes in the place of {size}')
    return content


def _messages(content: memoryview, topic_of: Mapping[int, str | None]) -> Iterator[_Message]:
    """The messages of a chunk as they stand in it."""
    position = 0
    while position < len(content):
        try:
            opcode, length = _RECORD_HEAD.unpack_from(content, position)
            start = position + _RECORD_HEAD.size
            position = start + length
            if position > len(content):
                raise ValueError('a record that ends too early')
            if opcode == _MESSAGE:
                channel, _, log_time_ns, _ = _MESSAGE_HEAD.unpack_from(content[:position], start)
                topic = topic_of[channel]
                if topic is not None:
                    yield log_time_ns, topic, content[start + _MESSAGE_HEAD.size : position]
        except struct.error as error:
            raise ValueError(str(error)) from None
