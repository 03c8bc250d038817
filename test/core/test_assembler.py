from arrivals import (
    Arrival,
    arrivals_of,
    drain,
    drive,
    events_at,
    images,
    in_order,
    MS,
    packet,
    SECOND,
    START_NS,
)
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.streams import CameraStream, NearestStream, WindowStream
import pytest

T = START_NS
PERIOD = 50 * MS


def camera_only(**settings):
    return Assembler(CameraStream(**settings), [])


def with_lidar(lidar=None, **settings):
    return Assembler(CameraStream(**settings), [lidar or NearestStream('lidar')])


def with_events(**settings):
    return Assembler(CameraStream(), [WindowStream('event', **settings)])


def push(assembler, *arrivals):
    return drive(assembler, arrivals)


def present(sets):
    return [set(item.present) for item in sets]


# Waiting


def test_frame_leaves_at_once_where_nothing_is_to_come():
    assembler = with_lidar()
    push(assembler, *arrivals_of('lidar', [T - 60 * MS]), *arrivals_of('camera', [T]))
    (item,) = drain(assembler, T)
    assert item.samples['lidar'].payload == ('lidar', T - 60 * MS)
    assert item.ages_ns == {'camera': 0, 'lidar': 60 * MS}


def test_frame_waits_until_the_events_cover_it():
    assembler = with_events()
    push(assembler, packet(T - 4 * MS, [T - 5 * MS]), *arrivals_of('camera', [T]))
    assert assembler.poll(T + 14 * MS) is None
    assert assembler.next_deadline_ns() == T + 15 * MS
    push(assembler, packet(T, [T - 1 * MS], late_ns=14 * MS))
    (item,) = drain(assembler, T + 14 * MS)
    assert list(item.samples['event'].payload.t_ns) == [T - 5 * MS, T - 1 * MS]
    assert item.ages_ns['event'] == 0


def test_window_that_stays_open_leaves_after_its_wait_and_says_what_it_lacks():
    assembler = with_events(wait_ns=15 * MS)
    push(assembler, packet(T - 4 * MS, [T - 5 * MS]), *arrivals_of('camera', [T]))
    assert assembler.poll(T + 15 * MS - 1) is None
    (item,) = drain(assembler, T + 15 * MS)
    assert list(item.samples['event'].payload.t_ns) == [T - 5 * MS]
    assert item.ages_ns['event'] == 4 * MS


def test_no_stream_makes_a_frame_wait_longer_than_the_camera_allows():
    assembler = with_events(wait_ns=80 * MS)
    push(assembler, packet(T - 4 * MS, []), *arrivals_of('camera', [T]))
    assert assembler.poll(T + 30 * MS - 1) is None
    assert len(drain(assembler, T + 30 * MS)) == 1


def test_frame_later_than_its_wait_leaves_at_once():
    assembler = with_events()
    push(assembler, packet(T - 4 * MS, []), *arrivals_of('camera', [T], late_ns=40 * MS))
    assert len(drain(assembler, T + 40 * MS)) == 1


def test_dead_event_camera_costs_no_wait():
    assembler = with_events(max_silence_ns=100 * MS)
    push(assembler, packet(T - 101 * MS, [T - 101 * MS]), *arrivals_of('camera', [T]))
    assert present(drain(assembler, T)) == [{'camera'}]


def test_event_camera_never_heard_costs_no_wait():
    assembler = with_events()
    push(assembler, *arrivals_of('camera', [T]))
    assert present(drain(assembler, T)) == [{'camera'}]


def test_still_scene_is_an_empty_window_and_not_an_absent_one():
    assembler = with_events()
    push(assembler, packet(T, []), *arrivals_of('camera', [T]))
    (item,) = drain(assembler, T)
    assert len(item.samples['event'].payload) == 0


def test_window_of_which_nothing_was_seen_is_absent():
    assembler = with_events(window_ns=30 * MS)
    push(assembler, packet(T - 30 * MS, [T - 30 * MS]), *arrivals_of('camera', [T]))
    assert present(drain(assembler, T + 15 * MS)) == [{'camera'}]


def test_window_is_open_at_its_start_and_closed_at_its_end():
    assembler = with_events(window_ns=30 * MS)
    times = [T - 30 * MS, T - 30 * MS + 1, T, T + 1]
    push(assembler, packet(T + 1, times), *arrivals_of('camera', [T]))
    (item,) = drain(assembler, T)
    assert list(item.samples['event'].payload.t_ns) == [T - 30 * MS + 1, T]


def test_offsets_move_stamps_onto_the_common_time():
    event = WindowStream('event', window_ns=10 * MS, offset_ns=-2 * MS)
    assembler = Assembler(CameraStream(offset_ns=5 * MS), [event])
    times = [T - 3 * MS, T - 3 * MS + 1, T + 7 * MS, T + 7 * MS + 1]
    push(assembler, packet(T + 8 * MS, times), *arrivals_of('camera', [T]))
    (item,) = drain(assembler, T)
    assert (item.stamp_ns, item.reference_ns) == (T, T + 5 * MS)
    assert list(item.samples['event'].payload.t_ns) == times[1:3]
    assert item.samples['event'].stamp_ns == T + 7 * MS
    assert item.ages_ns == {'camera': 0, 'event': 0}


def test_overlapping_packets_keep_the_order_of_time():
    assembler = with_events()
    first, second = packet(T - 5 * MS, [T - 6 * MS]), packet(T, [T - 7 * MS, T - 5 * MS, T])
    push(assembler, first, second, *arrivals_of('camera', [T]))
    (item,) = drain(assembler, T)
    assert list(item.samples['event'].payload.t_ns) == [T - 6 * MS, T - 5 * MS, T]


# The nearest sample


def test_nearest_sample_may_be_younger_than_the_frame():
    assembler = with_lidar()
    sweeps = arrivals_of('lidar', [T - 60 * MS, T + 40 * MS])
    push(assembler, *sweeps, *arrivals_of('camera', [T], late_ns=40 * MS))
    assert drain(assembler, T + 40 * MS)[0].ages_ns['lidar'] == -40 * MS


@pytest.mark.parametrize(('age_ms', 'is_present'), [(150, True), (151, False)])
def test_sample_serves_until_its_greatest_age(age_ms, is_present):
    assembler = with_lidar(NearestStream('lidar', max_age_ns=150 * MS))
    push(assembler, *arrivals_of('lidar', [T - age_ms * MS]), *arrivals_of('camera', [T]))
    assert ('lidar' in drain(assembler, T)[0].present) == is_present


def test_one_sweep_serves_several_frames():
    assembler = with_lidar()
    arrivals = arrivals_of('lidar', [T]) + arrivals_of('camera', [T, T + 50 * MS, T + 100 * MS])
    sets = drive(assembler, arrivals, end_ns=T + 100 * MS)
    assert [item.ages_ns['lidar'] for item in sets] == [0, 50 * MS, 100 * MS]


# Required streams


def test_frame_without_a_required_stream_is_rejected_after_the_whole_wait():
    assembler = with_lidar(NearestStream('lidar', required=True), wait_ns=30 * MS)
    push(assembler, *arrivals_of('camera', [T]))
    assert assembler.poll(T + 30 * MS - 1) is None
    assert assembler.account.waiting == 1
    assert assembler.next_deadline_ns() == T + 30 * MS
    assert assembler.poll(T + 30 * MS) is None
    assert assembler.account.rejected == {'lidar_missing': 1}


def test_required_stream_that_comes_in_time_saves_the_frame():
    assembler = with_lidar(NearestStream('lidar', required=True))
    push(assembler, *arrivals_of('camera', [T]), *arrivals_of('lidar', [T], late_ns=20 * MS))
    assert present(drain(assembler, T + 20 * MS)) == [{'camera', 'lidar'}]


# Newest frame wins


def test_older_frame_still_waiting_is_superseded():
    assembler = with_lidar(NearestStream('lidar', required=True))
    push(assembler, *arrivals_of('camera', [T, T + 10 * MS]), *arrivals_of('lidar', [T + 10 * MS]))
    assert images(drain(assembler, T + 10 * MS)) == [T + 10 * MS]
    assert (assembler.account.emitted, assembler.account.superseded) == (1, 1)


# Stamps that cannot be true


@pytest.mark.parametrize(
    ('stamp_ns', 'reason'),
    [
        (0, 'no_stamp'),
        (-5, 'no_stamp'),
        (T + 501 * MS, 'in_future'),
        (T + 37 * SECOND, 'in_future'),
        (T - 5001 * MS, 'too_old'),
        (T - 10 * MS, 'duplicate'),
        (T - 11 * MS, 'out_of_order'),
    ],
)
def test_bad_stamps_are_refused_with_a_reason(stamp_ns, reason):
    assembler = with_lidar()
    good = arrivals_of('lidar', [T - 10 * MS]) + arrivals_of('camera', [T - 10 * MS])
    assert len(drive(assembler, good, end_ns=T)) == 1
    push(assembler, Arrival(T, 'camera', stamp_ns), Arrival(T, 'lidar', stamp_ns))
    assert drain(assembler, T) == []
    assert assembler.account.rejected == {reason: 1}
    assert assembler.stream_accounts['lidar'].refused == {reason: 1}
    assert assembler.account.balanced


def test_unknown_stream_is_an_error():
    with pytest.raises(InputError, match="a stream of camera, lidar, got 'radar'"):
        with_lidar().push('radar', T, None)


def test_two_streams_of_one_name_are_an_error():
    with pytest.raises(InputError, match='distinct names, got camera, camera'):
        with_lidar(NearestStream('camera'))


# Camera silent


def lidar_only(num_sweeps=20, first_ns=T):
    return arrivals_of('lidar', range(first_ns, first_ns + num_sweeps * 100 * MS, 100 * MS))


def test_silent_camera_is_stood_in_for_at_its_own_period():
    frames = arrivals_of('camera', range(T, T + 501 * MS, PERIOD))  # the last one at 500 ms
    assembler = with_lidar(timeout_ns=250 * MS)
    sets = drive(assembler, in_order(frames, lidar_only(15)), end_ns=T + 1500 * MS)
    without = [item for item in sets if 'camera' not in item.present]
    assert images(sets) == [frame.stamp_ns for frame in frames]
    assert [item.stamp_ns for item in without] == list(range(T + 750 * MS, T + 1501 * MS, PERIOD))
    assert present(without) == [{'lidar'}] * 16
    assert assembler.account.without_camera == 16
    assert assembler.account.received == assembler.account.emitted == len(frames)


def test_stand_in_comes_as_late_as_the_camera_did():
    frames = arrivals_of('camera', range(T, T + 501 * MS, PERIOD), late_ns=40 * MS)
    assembler = with_lidar(timeout_ns=250 * MS)
    drive(assembler, in_order(frames, lidar_only(8)))
    assert drain(assembler, T + 790 * MS - 1) == []
    assert assembler.next_deadline_ns() == T + 790 * MS
    assert drain(assembler, T + 790 * MS)[0].stamp_ns == T + 750 * MS


def test_some_lost_frames_do_not_change_the_period():
    stamps = [T + i * PERIOD for i in range(12) if i not in (3, 4, 8)]
    assembler = with_lidar(timeout_ns=250 * MS)
    sets = drive(
        assembler, in_order(arrivals_of('camera', stamps), lidar_only(10)), end_ns=T + 900 * MS
    )
    without = [item.stamp_ns for item in sets if 'camera' not in item.present]
    assert without == [T + 800 * MS, T + 850 * MS, T + 900 * MS]


def test_slow_camera_is_not_taken_for_a_silent_one():
    frames = arrivals_of('camera', range(T, T + 3 * SECOND, 400 * MS))
    assembler = with_lidar(timeout_ns=250 * MS)
    drive(assembler, in_order(frames, lidar_only(30)), end_ns=T + 3 * SECOND)
    assert assembler.account.without_camera == 0


def test_nothing_alive_gives_nothing():
    assembler = with_lidar()
    arrivals = in_order(arrivals_of('camera', [T, T + PERIOD]), arrivals_of('lidar', [T]))
    assert len(drive(assembler, arrivals, end_ns=T + 10 * SECOND)) == 2
    assert assembler.next_deadline_ns() is None


def test_stream_that_comes_back_is_stood_in_for_again():
    assembler = with_lidar()
    camera = arrivals_of('camera', [T, T + PERIOD])
    sets = drive(
        assembler, camera + lidar_only(3, first_ns=T + 10 * SECOND), end_ns=T + 10_200 * MS
    )
    without = [item.stamp_ns for item in sets if 'camera' not in item.present]
    assert without == list(range(T + 10 * SECOND + PERIOD, T + 10_201 * MS, PERIOD))


def test_returning_camera_is_served_again_but_never_before_what_was_put_out():
    frames = arrivals_of('camera', range(T, T + 201 * MS, PERIOD))
    late = arrivals_of('camera', [T + 300 * MS, T + 710 * MS], late_ns=310 * MS)
    assembler = with_lidar(timeout_ns=250 * MS)
    sets = drive(assembler, in_order(frames, late, lidar_only(11)), end_ns=T + 1020 * MS)
    stamps = [item.stamp_ns for item in sets]
    assert stamps == sorted(set(stamps))
    assert assembler.account.rejected == {'overtaken': 1}
    assert images(sets)[-1] == T + 710 * MS


def test_stand_in_waits_for_the_events_too():
    assembler = with_events()
    for stamp in (T, T + PERIOD):
        push(assembler, packet(stamp, []), Arrival(stamp, 'camera', stamp))
        assert len(drain(assembler, stamp)) == 1
    push(assembler, packet(T + 296 * MS, [T + 295 * MS]))
    assert assembler.poll(T + 300 * MS) is None
    push(assembler, packet(T + 300 * MS, [T + 299 * MS], late_ns=5 * MS))
    (item,) = drain(assembler, T + 305 * MS)
    assert item.present == {'event'}
    assert list(item.samples['event'].payload.t_ns) == [T + 295 * MS, T + 299 * MS]


def test_stand_in_without_a_required_stream_is_not_made():
    streams = [NearestStream('lidar'), NearestStream('depth', required=True)]
    assembler = Assembler(CameraStream(default_period_ns=PERIOD), streams)
    assert drive(assembler, lidar_only(), end_ns=T + 2 * SECOND) == []
    assert assembler.account.received == 0


def test_camera_never_seen_is_stood_in_for_at_the_default_period():
    assembler = with_lidar(default_period_ns=PERIOD)
    sets = drive(assembler, lidar_only(11), end_ns=T + SECOND)
    assert [item.stamp_ns for item in sets] == list(range(T + 250 * MS, T + SECOND + 1, PERIOD))
    assert assembler.account.balanced


def test_camera_never_seen_and_no_default_period_gives_nothing():
    assembler = with_lidar()
    assert drive(assembler, lidar_only(), end_ns=T + 2 * SECOND) == []
    assert assembler.next_deadline_ns() is None


# Time goes back


def test_waiting_frame_leaves_when_the_clock_goes_back():
    assembler = with_events()
    push(assembler, packet(T - 4 * MS, []), *arrivals_of('camera', [T]))
    assert images(drain(assembler, T - 20 * SECOND)) == [T]
    assert assembler.account.clock_jumps == 1
    assert assembler.account.balanced


def test_nothing_of_the_time_before_survives_a_jump():
    assembler = Assembler(CameraStream(), [NearestStream('lidar'), WindowStream('event')])
    arrivals = [packet(T, [T]), *arrivals_of('lidar', [T]), *arrivals_of('camera', [T])]
    drive(assembler, arrivals, end_ns=T)
    again = T - 2 * SECOND
    sets = drive(assembler, arrivals_of('camera', [again]), end_ns=again)
    assert present(sets) == [{'camera'}]


def test_small_step_of_the_clock_back_is_borne():
    assembler = camera_only()
    sets = drive(assembler, arrivals_of('camera', [T]), end_ns=T - 900 * MS)
    assert images(sets) == [T]
    assert assembler.account.clock_jumps == 0


def test_stream_that_restarts_its_clock_disturbs_no_other():
    assembler = Assembler(CameraStream(), [NearestStream('lidar'), WindowStream('event')])
    push(assembler, packet(T, [T]), *arrivals_of('lidar', [T]))
    push(assembler, Arrival(T, 'lidar', T - 2 * SECOND), *arrivals_of('camera', [T]))
    assert present(drain(assembler, T)) == [{'camera', 'event'}]
    assert assembler.stream_accounts['lidar'].clock_jumps == 1
    assert assembler.account.clock_jumps == 0


# Bounds


def test_buffer_is_bounded_in_bytes():
    assembler = with_lidar(NearestStream('lidar', buffer_bytes=100))
    push(assembler, *[Arrival(T + i * MS, 'lidar', T + i * MS, i, 40) for i in range(3)])
    push(assembler, *arrivals_of('camera', [T]))
    assert drain(assembler, T + 2 * MS)[0].samples['lidar'].payload == 1
    assert assembler.stream_accounts['lidar'].evicted == 1


def test_buffer_is_bounded_in_seconds():
    assembler = with_lidar(NearestStream('lidar', buffer_ns=50 * MS))
    push(assembler, *arrivals_of('lidar', [T, T + 51 * MS]))
    push(assembler, *arrivals_of('camera', [T], late_ns=51 * MS))
    assert drain(assembler, T + 51 * MS)[0].ages_ns['lidar'] == -51 * MS


def test_sample_larger_than_its_buffer_is_not_kept():
    assembler = with_events(buffer_bytes=100)
    push(assembler, Arrival(T, 'event', T, events_at([T] * 8)), *arrivals_of('camera', [T]))
    assert assembler.stream_accounts['event'].evicted == 1
