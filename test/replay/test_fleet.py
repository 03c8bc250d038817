"""A fleet has the results of its recordings and their sum, whatever happened on the way."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from hashlib import sha256
from html import unescape
import json
from pathlib import Path
import shutil

from bundles import write_tiny_bundle
from fleet_bench import one_process
from jsonschema import Draft202012Validator
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay import score
from mle_sam_ros.replay.faults.parse import parse_fault
from mle_sam_ros.replay.fleet.cluster import Failure
from mle_sam_ros.replay.fleet.fleet import replay_fleet
from mle_sam_ros.replay.session import Settings
import pytest
from tiny_drive import write_drive

SCHEMA = json.loads((Path(score.__file__).parent / 'metrics.schema.json').read_text())


class HereCluster:
    """Runs tasks in this process, one after the other, and none twice."""

    workers = 1

    def __init__(self, backwards: bool = False) -> None:
        self.ran: list[str] = []
        self._step = -1 if backwards else 1

    def run(self, task, jobs, on_lost):
        for name in list(jobs)[:: self._step]:
            self.ran.append(name)
            yield name, once(task, *jobs[name])

    def open(self):
        return nullcontext(self)


RESULTS: dict[tuple, dict[str, bytes]] = {}


def once(task, settings: Settings) -> dict[str, bytes] | Failure:
    """The result of a task; from memory, where this recording had these settings before."""
    key = (
        sha256(settings.bag_path.read_bytes()).digest(),
        sha256((settings.bundle_path / 'manifest.json').read_bytes()).digest(),
        *(settings.drop, settings.with_video, settings.annotated),
    )
    try:
        if key not in RESULTS:
            RESULTS[key] = task(settings)
    except InputError as error:
        return Failure(str(error))
    return RESULTS[key]


@contextmanager
def no_cluster():
    raise AssertionError('there was nothing to do')
    yield


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').directory


@pytest.fixture
def drives(tmp_path) -> list[Path]:
    room = tmp_path / 'bags'
    room.mkdir()
    return [
        write_drive(room / 'a.mcap', 6),
        write_drive(room / 'b.mcap', 5, silent={'lidar': range(4)}),
        write_drive(room / 'c.mcap', 4, without=('/ground_truth/labels',)),
    ]


@pytest.fixture
def settings(bundle) -> Settings:
    return Settings(Path(), bundle, threads=1, annotated='none')


@pytest.mark.timeout(240)
def test_the_aggregate_equals_that_of_one_process(drives, settings, tmp_path):
    expected = one_process(drives, settings, tmp_path)
    fleet = replay_fleet(drives, settings, tmp_path / 'out', HereCluster().open)
    assert (tmp_path / 'out' / 'metrics.json').read_bytes() == expected
    backwards = HereCluster(backwards=True)
    replay_fleet(drives[::-1], settings, tmp_path / 'other', backwards.open)
    assert backwards.ran == ['c', 'b', 'a']
    assert (tmp_path / 'other' / 'metrics.json').read_bytes() == expected
    for name in 'abc':
        by_one = (tmp_path / 'by_one' / name / 'metrics.json').read_bytes()
        assert (tmp_path / 'out' / name / 'metrics.json').read_bytes() == by_one
    assert fleet.metrics == json.loads(expected)
    assert fleet.failed == ()
    Draft202012Validator(SCHEMA).validate(fleet.metrics)


def test_each_recording_has_a_directory(drives, settings, tmp_path):
    out = tmp_path / 'out'
    replay_fleet(drives, settings, out, HereCluster().open)
    names = {str(path.relative_to(out)) for path in out.rglob('*') if path.is_file()}
    shared = {'metrics.json', 'latency.json', 'report.html'}
    own = {f'{name}/{file}' for name in 'abc' for file in (*shared, 'overlay.png')}
    assert names == shared | own
    page = (out / 'report.html').read_text()
    assert all(f'href="{name}/report.html"' in page for name in 'abc')


def test_annotated_recordings_are_kept_on_request(drives, settings, tmp_path):
    out = tmp_path / 'out'
    replay_fleet(drives[:1], settings, out, HereCluster().open)
    assert not (out / 'a' / 'annotated.mcap').exists()
    masks = replace(settings, annotated='masks')
    replay_fleet(drives[:1], masks, out, HereCluster().open)
    assert (out / 'a' / 'annotated.mcap').stat().st_size > 1000
    replay_fleet(drives[:1], masks, out, no_cluster)


def test_a_fleet_goes_on_where_it_ended(drives, settings, tmp_path, capsys):
    out = tmp_path / 'out'
    run = partial(replay_fleet, settings=settings, out=out)
    run(drives[:2], open_cluster=HereCluster().open)
    two = (out / 'metrics.json').read_bytes()
    cluster = HereCluster()
    run(drives, open_cluster=cluster.open)
    assert cluster.ran == ['c']
    three = (out / 'metrics.json').read_bytes()
    assert two != three
    capsys.readouterr()
    run(drives, open_cluster=no_cluster)
    assert capsys.readouterr().err.count('kept: same recording, model and arguments') == 3
    assert (out / 'metrics.json').read_bytes() == three
    run(drives[:2], open_cluster=no_cluster)
    assert (out / 'metrics.json').read_bytes() == two
    redone = HereCluster()
    run(drives, open_cluster=redone.open, redo=True)
    assert redone.ran == ['a', 'b', 'c']
    assert (out / 'metrics.json').read_bytes() == three


def other_bundle(settings: Settings, drives: list[Path], out: Path) -> Settings:
    copy = out.parent / 'copy'
    shutil.copytree(settings.bundle_path, copy)
    manifest = json.loads((copy / 'manifest.json').read_text())
    manifest['revision'] = 'other'
    (copy / 'manifest.json').write_text(json.dumps(manifest))
    return replace(settings, bundle_path=copy)


def other_drive(settings: Settings, drives: list[Path], out: Path) -> Settings:
    write_drive(drives[0], 7)
    return settings


def other_arguments(settings: Settings, drives: list[Path], out: Path) -> Settings:
    return replace(settings, drop=('lidar',))


def more_files(settings: Settings, drives: list[Path], out: Path) -> Settings:
    return replace(settings, with_video=True)


def damaged_results(settings: Settings, drives: list[Path], out: Path) -> Settings:
    (out / 'a' / 'metrics.json').write_text('{"schema": [')
    return settings


def foreign_results(settings: Settings, drives: list[Path], out: Path) -> Settings:
    (out / 'a' / 'metrics.json').write_text('[1]')
    return settings


def lost_report(settings: Settings, drives: list[Path], out: Path) -> Settings:
    (out / 'a' / 'report.html').unlink()
    return settings


CHANGES = [
    other_bundle, other_drive, other_arguments, more_files, damaged_results, foreign_results,
    lost_report,
]  # fmt: skip


@pytest.mark.parametrize('change', CHANGES)
def test_what_has_changed_is_run_again(drives, settings, tmp_path, change):
    out = tmp_path / 'out'
    replay_fleet(drives[:1], settings, out, HereCluster().open)
    changed = change(settings, drives, out)
    cluster = HereCluster()
    fleet = replay_fleet(drives[:1], changed, out, cluster.open)
    assert cluster.ran == ['a']
    assert fleet.failed == ()
    assert json.loads((out / 'a' / 'metrics.json').read_text())['bundle']
    replay_fleet(drives[:1], changed, out, no_cluster)


def test_a_recording_that_cannot_be_used_fails_alone(drives, settings, tmp_path, capsys):
    drives[1].write_bytes(drives[1].read_bytes()[:3000])
    out = tmp_path / 'out'
    fleet = replay_fleet(drives, settings, out, HereCluster().open)
    [row] = fleet.failed
    assert row.name == 'b'
    assert 'b.mcap' in row.failure
    assert '\n' not in row.failure
    assert f'b: failed: {row.failure}' in capsys.readouterr().err
    assert not (out / 'b').exists()
    assert fleet.metrics['failed'] == [{'name': 'b', 'reason': row.failure}]
    assert [bag['name'] for bag in fleet.metrics['bags']] == ['a.mcap', 'c.mcap']
    Draft202012Validator(SCHEMA).validate(fleet.metrics)
    assert row.failure in unescape((out / 'report.html').read_text())
    write_drive(drives[1], 5)
    mended = HereCluster()
    assert replay_fleet(drives, settings, out, mended.open).failed == ()
    assert mended.ran == ['b']


def test_where_all_fail_there_is_no_aggregate(drives, settings, tmp_path):
    out = tmp_path / 'out'
    replay_fleet(drives[:1], settings, out, HereCluster().open)
    drives[0].write_bytes(b'')
    fleet = replay_fleet(drives[:1], settings, out, HereCluster().open)
    assert fleet.metrics is None
    assert len(fleet.failed) == 1
    assert not (out / 'metrics.json').exists()


def test_a_copy_counts_once(drives, settings, tmp_path):
    drives[1].write_bytes(drives[0].read_bytes())
    fleet = replay_fleet(drives[::-1], settings, tmp_path / 'out', HereCluster().open)
    assert [(row.name, row.failure) for row in fleet.failed] == [
        ('b', 'it is a copy of a, which counts already')
    ]
    assert len(fleet.metrics['bags']) == 2


class BrokenCluster(HereCluster):
    """Is interrupted after the first recording."""

    def run(self, task, jobs, on_lost):
        yield next(super().run(task, jobs, on_lost))
        raise KeyboardInterrupt


def test_an_interruption_leaves_whole_results_only(drives, settings, tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(KeyboardInterrupt):
        replay_fleet(drives, settings, out, BrokenCluster().open)
    assert [path.name for path in out.iterdir()] == ['a']
    cluster = HereCluster()
    replay_fleet(drives, settings, out, cluster.open)
    assert cluster.ran == ['b', 'c']
    with pytest.raises(KeyboardInterrupt):
        replay_fleet(drives, settings, out, BrokenCluster().open, redo=True)
    # The sum is not that of what is there now.
    assert sorted(path.name for path in out.iterdir()) == ['a', 'b', 'c']


def test_a_directory_of_something_else_is_left_alone(drives, settings, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'thesis').mkdir()
    with pytest.raises(InputError, match='got thesis'):
        replay_fleet(drives, settings, tmp_path / 'out', no_cluster)


def test_a_damaged_bundle_is_refused_at_once(drives, settings, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(settings.bundle_path, copy)
    (copy / 'golden.npz').write_bytes(b'')
    with pytest.raises(InputError, match=r'golden\.npz'):
        replay_fleet(drives, Settings(Path(), copy), tmp_path / 'out', no_cluster)
    assert not (tmp_path / 'out').exists()


def test_a_sensor_that_the_model_lacks_is_refused_at_once(drives, settings, tmp_path):
    with pytest.raises(InputError, match="got 'radar'"):
        replay_fleet(drives, replace(settings, drop=['radar']), tmp_path / 'out', no_cluster)
    assert not (tmp_path / 'out').exists()


def test_a_fault_of_what_is_not_read_is_refused_at_once(drives, settings, tmp_path):
    wrong = replace(settings, faults=[parse_fault('lidr:drop=1@0-1')])
    with pytest.raises(InputError, match="got 'lidr', which is not read"):
        replay_fleet(drives, wrong, tmp_path / 'out', no_cluster)
    assert not (tmp_path / 'out').exists()
