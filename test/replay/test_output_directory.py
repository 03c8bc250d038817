"""Results exist whole or not at all, and nothing of anybody else's is touched."""

from contextlib import suppress

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.output_directory import output_directory
import pytest

NAMES = frozenset({'metrics.json', 'report.html'})


def names_below(path):
    return sorted(str(item.relative_to(path)) for item in path.rglob('*'))


def test_appears_when_complete(tmp_path):
    with output_directory(tmp_path / 'a' / 'out', NAMES) as draft:
        (draft / 'metrics.json').write_text('{}')
        assert not (tmp_path / 'a' / 'out').exists()
    assert names_below(tmp_path) == ['a', 'a/out', 'a/out/metrics.json']


def test_earlier_results_are_replaced_as_a_whole(tmp_path):
    for name in ('report.html', 'metrics.json'):
        with output_directory(tmp_path / 'out', NAMES) as draft:
            (draft / name).write_text('new')
    assert names_below(tmp_path) == ['out', 'out/metrics.json']


def test_an_error_leaves_earlier_results_as_they_were(tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'metrics.json').write_text('old')

    with suppress(KeyboardInterrupt), output_directory(tmp_path / 'out', NAMES) as draft:
        (draft / 'metrics.json').write_text('half')
        raise KeyboardInterrupt
    assert names_below(tmp_path) == ['out', 'out/metrics.json']
    assert (tmp_path / 'out' / 'metrics.json').read_text() == 'old'


def test_foreign_files_are_never_replaced(tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'drive.mcap').write_text('precious')
    with pytest.raises(InputError, match=r'out: expected nothing.*got drive\.mcap'):
        with output_directory(tmp_path / 'out', NAMES):
            pass
    assert (tmp_path / 'out' / 'drive.mcap').read_text() == 'precious'


def test_a_file_in_the_way(tmp_path):
    (tmp_path / 'out').write_text('')
    with pytest.raises(InputError, match='expected a directory, got a file'):
        with output_directory(tmp_path / 'out', NAMES):
            pass
