from mle_sam_ros.core.account import FrameAccount, StreamAccount
import pytest


def test_every_frame_is_in_exactly_one_place():
    account = FrameAccount()
    steps = [
        account.receive,
        account.receive,
        account.supersede,
        account.emit,
        account.receive,
        lambda: account.reject('too_old'),
        lambda: account.reject_arrival('unreadable'),
    ]
    for step in steps:
        step()
        assert account.balanced
    assert account.to_mapping() == {
        'received': 4,
        'emitted': 1,
        'superseded': 1,
        'rejected': {'too_old': 1, 'unreadable': 1},
        'waiting': 0,
        'without_camera': 0,
        'clock_jumps': 0,
    }


@pytest.mark.parametrize('has_frame', [True, False])
def test_set_taken_back_leaves_the_count_it_was_in(has_frame):
    account = FrameAccount(received=2, emitted=2, without_camera=2)
    account.supersede_emitted(has_frame=has_frame)
    account.reject_emitted('engine_failed', has_frame=has_frame)
    assert account.balanced
    assert (account.emitted, account.without_camera) == ((0, 2) if has_frame else (2, 0))
    assert account.superseded == account.num_rejected == has_frame


def test_lost_frame_is_noticed():
    assert not FrameAccount(received=1).balanced
    assert not FrameAccount(emitted=1, waiting=-1).balanced


def test_stream_account_names_its_reasons():
    account = StreamAccount(received=3, evicted=1)
    account.refused['duplicate'] += 2
    assert account.to_mapping()['refused'] == {'duplicate': 2}
