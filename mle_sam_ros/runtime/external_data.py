"""Which files beside itself an ONNX graph reads, found without loading it.

An ONNX file is a tree of protobuf messages; a tensor may name any path as that of its external
data, and what loads the graph would open it. The walk below touches lengths and names, never the
weights.
"""

from collections.abc import Iterator
import mmap
from pathlib import Path

from mle_sam_ros.core.errors import InputError

# Message to its fields that lead to tensors: number to message. From onnx.proto3, IR version 13.
_CHILDREN: dict[str, dict[int, str]] = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: 'tensor', 2: 'tensor'},
    'tensor': {13: 'entry'},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 64


def external_files(path: Path) -> set[str]:
    """What the graph's tensors name as the place of their data; empty for a graph of one file.

    Raises:
        InputError: for a file that is no ONNX graph.
    """
    locations: set[str] = set()
    try:
        with path.open('rb') as stream, _mapped(stream.fileno()) as content:
            _walk(content, 0, len(content), 'model', locations, 0)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise InputError(
            f'{path}: expected an ONNX graph, got {str(error)!r}; copy or export the bundle again'
        ) from None
    return locations


def _mapped(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def _walk(
    content: mmap.mmap, start: int, end: int, kind: str, locations: set[str], depth: int
) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f'graphs nested more than {_MAX_DEPTH} deep')
    if kind == 'entry':
        pair = {
            number: content[first:last] for number, first, last in _fields(content, start, end)
        }
        if pair.get(1) == b'location':
            locations.add(pair.get(2, b'').decode())
        return
    for number, first, last in _fields(content, start, end):
        child = _CHILDREN[kind].get(number)
        if child is not None:
            _walk(content, first, last, child, locations, depth + 1)


def _fields(content: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of the fields that hold bytes; the others are passed over."""
    position = start
    while position < end:
        key, position = _varint(content, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            _, position = _varint(content, position)
        elif wire == _FIXED64:
            position += 8
        elif wire == _FIXED32:
            position += 4
        elif wire == _BYTES:
            length, position = _varint(content, position)
            if length > end - position:
                raise ValueError(f'a field of {length} bytes where {end - position} are left')
            yield number, position, position + length
            position += length
        else:
            raise ValueError(f'wire type {wire}')
    if position > end:
        raise ValueError('a field that ends behind its message')


def _varint(content: mmap.mmap, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError('a number of more than ten bytes')
