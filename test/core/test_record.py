from dataclasses import dataclass
from typing import ClassVar

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping
import pytest


@dataclass(frozen=True)
class Circle:
    kind: ClassVar[str] = 'circle'
    radius: float


@dataclass(frozen=True)
class Square:
    kind: ClassVar[str] = 'square'
    side: float


@dataclass(frozen=True)
class Drawing:
    name: str
    shapes: tuple[Circle | Square, ...]
    size_hw: tuple[int, int]
    note: str | None = None


GOOD = {
    'name': 'a',
    'shapes': [{'kind': 'circle', 'radius': 1}, {'kind': 'square', 'side': 2.5}],
    'size_hw': [3, 4],
}


def test_reads_nested_records_and_writes_them_back():
    drawing = from_mapping(Drawing, GOOD, 'file')
    assert drawing == Drawing('a', (Circle(1.0), Square(2.5)), (3, 4))
    assert from_mapping(Drawing, to_mapping(drawing), 'file') == drawing


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'colour': 1}, r'file: expected only the keys name, shapes.*got colour; remove it'),
        ({'name': 5}, r'file: name: expected str, got int 5'),
        ({'name': None}, r'file: name: expected str'),
        ({'size_hw': [1, 2, 3]}, r'file: size_hw: expected 2 values, got 3'),
        ({'size_hw': [1, 2.5]}, r'file: size_hw\[1\]: expected int, got float'),
        ({'size_hw': [1, True]}, r'expected int, got bool'),
        ({'size_hw': 7}, r'expected a list'),
        ({'shapes': [{'kind': 'star'}]}, r'shapes\[0\]: expected kind .* circle, square'),
        ({'shapes': [{'kind': 'circle', 'r': 1}]}, r'shapes\[0\]: expected only the keys radius'),
        ({'shapes': [3]}, r'shapes\[0\]: expected kind'),
    ],
)
def test_refuses(change, message):
    with pytest.raises(InputError, match=message):
        from_mapping(Drawing, GOOD | change, 'file')


def test_names_the_missing_key():
    with pytest.raises(InputError, match=r'got none named shapes, size_hw; add them'):
        from_mapping(Drawing, {'name': 'a'}, 'file')


def test_refuses_what_is_no_mapping():
    with pytest.raises(InputError, match=r'file: expected a mapping, got list'):
        from_mapping(Drawing, [1], 'file')
