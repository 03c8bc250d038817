"""Tasks run on Ray: each on its own, and a lost worker costs its task another attempt."""

from pathlib import Path

from fleet_bench import Killer, two_workers
from fleet_tasks import answer, be_lost, refuse, stumble
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.fleet.cluster import Cluster, Failure, open_cluster
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


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
