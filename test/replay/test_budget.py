"""A frame may take as long as the camera takes for the next one."""

from mle_sam_ros.replay.report.budget import Budget, budget_of
from mle_sam_ros.replay.score.evaluation import Moment
import numpy as np
import pytest

WEIGHTS = np.ones((3, 1), np.float32)


def metrics_of(received, without_camera=0, seconds=()):
    frames = {'received': received, 'without_camera': without_camera}
    return {'frames': frames, 'bags': [{'seconds': item} for item in seconds]}


def moments_at(*stamps_ms):
    return [Moment(ms * 1_000_000, frozenset(), WEIGHTS, 1.0, 0.5) for ms in stamps_ms]


@pytest.mark.parametrize(
    ('metrics', 'stamps_ms', 'expected'),
    [
        (metrics_of(5), (0, 50, 100, 150, 200), 50),
        (metrics_of(5), (0, 100, 200), 50),  # the others were skipped
        (metrics_of(3, without_camera=2), (0, 50, 100, 150, 200), 50),
        (metrics_of(3), (100, 0, 50), 50),  # the clock jumped back
        (metrics_of(300, seconds=(10.0, 5.0)), (), 50),  # a fleet
    ],
)
def test_the_budget_is_the_period_of_the_camera(metrics, stamps_ms, expected):
    budget = budget_of(metrics, moments_at(*stamps_ms))
    assert budget.period_ms == pytest.approx(expected)


@pytest.mark.parametrize('stamps_ms', [(), (5,), (5, 5)])
def test_without_time_between_frames_there_is_none(stamps_ms):
    assert budget_of(metrics_of(len(stamps_ms)), moments_at(*stamps_ms)) is None


def test_it_is_met_where_95_of_100_masks_keep_to_it():
    budget = Budget(50.0)
    assert budget.is_met({'total': {'p50': 10, 'p95': 50.0, 'p99': 80}})
    assert not budget.is_met({'total': {'p50': 10, 'p95': 50.1, 'p99': 80}})
    assert budget.share(60.0) == pytest.approx(1.2)
