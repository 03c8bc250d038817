"""Recordings are found as a shell would, and each gets a name of its own for its results."""

from itertools import permutations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.fleet.recordings import find_recordings, result_names
import pytest


@pytest.fixture
def tree(tmp_path) -> Path:
    for name in (
        'monday/day.mcap',
        'monday/night.mcap',
        'monday/notes.txt',
        'tuesday/day.mcap',
        'tuesday/day.db3',
        'tuesday/rain.mcap.zstd',
        'split/metadata.yaml',
        'split/split_0.mcap',
        'split/split_1.mcap',
        'a[1]/day.mcap',
        'empty/notes.txt',
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


# Pattern to what it finds.
FOUND = {
    'monday/day.mcap': ['monday/day.mcap'],
    'monday': ['monday/day.mcap', 'monday/night.mcap'],
    'monday/*': ['monday/day.mcap', 'monday/night.mcap'],
    '*/day.mcap': ['a[1]/day.mcap', 'monday/day.mcap', 'tuesday/day.mcap'],
    'tuesday/*.zstd': ['tuesday/rain.mcap.zstd'],
    'split': ['split'],
    'split/split_1.mcap': ['split'],
    'sp*/**/*.mcap': ['split'],
    'a[1]/day.mcap': ['a[1]/day.mcap'],
    './monday/../split': ['split'],
}


@pytest.mark.parametrize('pattern', FOUND)
def test_patterns_find_recordings(tree, monkeypatch, pattern):
    monkeypatch.chdir(tree)
    assert find_recordings([pattern]) == [tree / name for name in FOUND[pattern]]


def test_what_is_named_twice_counts_once(tree):
    (tree / 'link.mcap').symlink_to(tree / 'monday' / 'day.mcap')
    found = find_recordings([str(tree / 'monday'), str(tree / 'monday/d*'), f'{tree}/link.mcap'])
    assert found == [tree / 'monday/day.mcap', tree / 'monday/night.mcap']


@pytest.mark.parametrize('pattern', ['none.mcap', 'none/*.mcap', 'empty', 'monday/notes.txt', ''])
def test_a_pattern_that_finds_nothing_is_named(tree, monkeypatch, pattern):
    monkeypatch.chdir(tree / 'empty' if pattern == '' else tree)
    with pytest.raises(InputError, match='quote a pattern'):
        find_recordings(['.', pattern] if pattern == '' else [str(tree / 'monday'), pattern])


def names_of(tree: Path, *recordings: str) -> dict[str, str]:
    paths = [tree / name for name in recordings]
    return {name: str(path.relative_to(tree)) for name, path in result_names(paths).items()}


def test_a_name_alone_is_short(tree):
    assert names_of(tree, 'monday/day.mcap', 'split', 'tuesday/rain.mcap.zstd') == {
        'day': 'monday/day.mcap',
        'rain': 'tuesday/rain.mcap.zstd',
        'split': 'split',
    }


def test_equal_names_take_more_of_the_path(tree):
    recordings = ['monday/day.mcap', 'tuesday/day.mcap', 'tuesday/day.db3', 'monday/night.mcap']
    expected = {
        'day': 'monday/day.mcap',
        'day.db3': 'tuesday/day.db3',
        'day.mcap': 'tuesday/day.mcap',
        'night': 'monday/night.mcap',
    }
    for order in permutations(recordings):
        assert names_of(tree, *order) == expected


def test_equal_names_in_two_directories(tree):
    assert names_of(tree, 'monday/day.mcap', 'tuesday/day.mcap', 'tuesday/rain.mcap.zstd') == {
        'monday--day': 'monday/day.mcap',
        'rain': 'tuesday/rain.mcap.zstd',
        'tuesday--day': 'tuesday/day.mcap',
    }


def test_a_reserved_name_is_not_given():
    names = result_names([Path('/bags/report.html')], ['report.html'])
    assert list(names) == ['bags--report.html']


PARTS = st.sampled_from(['a', 'b', 'a--b', 'A', 'b.mcap'])


@given(
    st.lists(
        st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: Path('/', *parts)),
        unique=True,
        max_size=6,
    )
)
def test_names_differ_or_are_refused(paths):
    try:
        names = result_names(paths)
    except InputError as error:
        if 'rename one' in str(error):
            return
        raise
    assert sorted(names.values()) == sorted(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    assert list(names) == sorted(names)
    assert not any('/' in name for name in names)
    assert names == result_names(paths[::-1])
