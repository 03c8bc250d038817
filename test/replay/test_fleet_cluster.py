"""Tasks run on Ray: each on its own, and a lost worker costs its task another attempt."""

from contextlib import nullcontext
from pathlib import Path

from bundles import write_tiny_bundle
from fleet_bench import Killer, one_process, two_workers
from fleet_tasks import answer, be_lost, be_lost_once, refuse, stumble
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.fleet.cluster import Cluster, Failure, open_cluster
from mle_sam_ros.replay.fleet.fleet import replay_fleet
from mle_sam_ros.replay.session import Settings
import pytest
from tiny_drive import write_drive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope='module')
def cluster():
    yield from two_workers()


def results_of(cluster: Cluster, task, jobs: dict) -> tuple[dict, list]:
    lost = []
    results = dict(cluster.run(task, jobs, lambda *what: lost.append(what)))
    return results, lost


def test_each_task_answers_for_itself(cluster):
    jobs = {str(number): (number,) for number in range(5)}
    assert results_of(cluster, answer, jobs) == ({name: int(name) for name in jobs}, [])


def test_what_a_task_raises_is_its_failure_alone(cluster):
    jobs = {'one': ('words',)}
    assert results_of(cluster, refuse, jobs) == ({'one': Failure('words')}, [])
    reason = 'ZeroDivisionError: words'
    assert results_of(cluster, stumble, jobs) == ({'one': Failure(reason)}, [])
    assert results_of(cluster, answer, jobs) == ({'one': 'words'}, [])


def lost_and_other(room: Path, attempts: int) -> dict[str, tuple]:
    return {
        'lost': (room / 'begun', attempts, answer, 5),
        'other': (room / 'other', 0, answer, 6),
    }


def test_a_lost_worker_costs_its_task_another_attempt(cluster, tmp_path):
    with Killer(tmp_path / 'begun', victims=1) as killer:
        results, lost = results_of(cluster, be_lost, lost_and_other(tmp_path, attempts=1))
    assert results == {'lost': 5, 'other': 6}
    assert lost == [('lost', 2)]
    assert len(killer.killed) == 1
    assert len((tmp_path / 'other').read_text().split()) == 1


def test_a_task_that_is_lost_each_time_is_given_up(cluster, tmp_path):
    with Killer(tmp_path / 'begun', victims=3) as killer:
        results, lost = results_of(cluster, be_lost, lost_and_other(tmp_path, attempts=9))
    assert results['other'] == 6
    assert results['lost'].reason.startswith('its worker was lost 3 times')
    assert '\n' not in results['lost'].reason
    assert lost == [('lost', 2), ('lost', 1)]
    assert len(killer.killed) == 3


@pytest.mark.parametrize('option', ['workers', 'threads'])
def test_there_is_at_least_one_of_each(option):
    with (
        pytest.raises(InputError, match=f'{option}: expected at least 1, got 0'),
        open_cluster(**{option: 0}),
    ):
        pass


def test_where_ray_does_not_start_one_line_says_so(monkeypatch):
    import ray

    def overloaded(*_, **__):
        raise RuntimeError('the node timed out\nduring startup')

    monkeypatch.setattr(ray, 'init', overloaded)
    with pytest.raises(InputError, match='Ray to start on this machine') as error:
        with open_cluster():
            pass
    assert 'got RuntimeError: the node timed out;' in str(error.value)
    assert '\n' not in str(error.value)


def test_workers_change_no_byte_even_where_one_is_lost(cluster, tmp_path):
    bundle = write_tiny_bundle(tmp_path / 'tiny').directory
    settings = Settings(Path(), bundle, threads=1, annotated='none')
    drives = [write_drive(tmp_path / f'{name}.mcap', 4 + ord(name) % 8) for name in 'abc']
    expected = one_process(drives, settings, tmp_path)
    out = tmp_path / 'out'
    begun = tmp_path / 'begun'

    def task(settings):
        return be_lost_once(begun, settings)

    with Killer(begun, victims=1) as killer:
        fleet = replay_fleet(drives, settings, out, lambda: nullcontext(cluster), task=task)
    assert fleet.failed == ()
    assert len(killer.killed) == 1
    # Of three recordings, one was begun twice.
    assert len(begun.read_text().split()) == 4
    assert (out / 'metrics.json').read_bytes() == expected
    for name in 'abc':
        by_one = (tmp_path / 'by_one' / name / 'metrics.json').read_bytes()
        assert (out / name / 'metrics.json').read_bytes() == by_one
