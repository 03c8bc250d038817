from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.core.frame_health import FrameJudge
from mle_sam_ros.core.health import Level
import pytest


@pytest.fixture
def report():
    judge, account, now_s = FrameJudge(), FrameAccount(), [50.0]

    def of_one_second(emitted=0, superseded=0, rejected=(), seconds=1):
        for _ in range(seconds):
            now_s[0] += 1
            for _ in range(emitted):
                account.receive()
                account.emit()
            for _ in range(superseded):
                account.receive()
                account.supersede()
            for reason in rejected:
                account.reject_arrival(reason)
            health = judge.judge(account.to_mapping(), 25.0, now_s[0], 5.0)
        return health

    return of_one_second


def test_all_frames_segmented(report):
    health = report(emitted=10, seconds=5)
    assert (health.level, health.message) == (
        Level.OK,
        'keeps up with 10.0 Hz; could take 25 Hz',
    )


def test_no_frames(report):
    assert report(seconds=3).level == Level.WARN
    report(emitted=10, seconds=3)
    assert report(seconds=12).message == 'no camera frames of late'


def test_too_slow_stays_a_warning(report):
    health = report(emitted=9, superseded=1, seconds=20)
    assert health.level == Level.WARN
    assert health.message == (
        'does not keep up with 10.0 Hz: 10 of the last 100 frames were superseded; '
        'could take 25 Hz'
    )


def test_a_rejection_is_told_once_as_a_warning(report):
    report(emitted=10, seconds=3)
    health = report(emitted=10, rejected=['overtaken'])
    assert health.level == Level.WARN
    assert health.message == 'camera frames rejected of late: overtaken 1'
    assert report(emitted=10).level == Level.OK


def test_rejections_that_go_on_are_an_error_and_end_at_once(report):
    assert report(rejected=['in_future'] * 3, seconds=4).level == Level.WARN
    health = report(rejected=['in_future'] * 3, seconds=3)
    assert health.level == Level.ERROR
    assert 'in_future 3; stamps and node need one clock' in health.message
    assert report(emitted=10).level == Level.OK
