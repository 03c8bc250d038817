"""The five situations in which the stock synchroniser loses or mispairs frames."""

from arrivals import (
    arrivals_of,
    drain,
    drive,
    images,
    in_order,
    MS,
    packet,
    SECOND,
    START_NS,
)
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.streams import CameraStream, ClockLimits, NearestStream, WindowStream
import numpy as np
import pytest


@pytest.mark.parametrize('silent', [NearestStream('third'), WindowStream('third')])
def test_1_silent_third_topic_costs_none_of_100_frames(silent):
    stamps = [START_NS + 100 * MS * i for i in range(100)]
    assembler = Assembler(CameraStream(), [NearestStream('second'), silent])
    frames = arrivals_of('camera', stamps)
    others = arrivals_of('second', [s + 10 * MS for s in stamps])
    sets = drive(assembler, in_order(frames, others), end_ns=stamps[-1] + 10 * MS)
    assert images(sets) == stamps
    assert all('third' not in item.present for item in sets)
    assert all('second' in item.present for item in sets[1:])
    assert assembler.account.emitted == 100


@pytest.mark.parametrize(('offset_ms', 'age_ms'), [(-51, 0), (0, 49)])
def test_2_lidar_clock_51_ms_ahead_pairs_by_offset_or_says_its_age(offset_ms, age_ms):
    """A sweep and a frame of one instant arrive together; the LiDAR's stamp is 51 ms later."""
    stamps = [START_NS + 100 * MS * i for i in range(101)]
    sweeps = arrivals_of('lidar', [s + 51 * MS for s in stamps], late_ns=-51 * MS)
    frames = arrivals_of('camera', stamps[1:])
    assembler = Assembler(CameraStream(), [NearestStream('lidar', offset_ns=offset_ms * MS)])
    sets = drive(assembler, in_order(sweeps, frames), end_ns=stamps[-1])
    assert [item.ages_ns for item in sets] == [{'camera': 0, 'lidar': age_ms * MS}] * 100


def test_2_exposure_51_ms_after_the_stamp_pairs_by_the_camera_offset():
    stamps = [START_NS + 100 * MS * i for i in range(100)]
    sweeps = arrivals_of('lidar', [s + 51 * MS for s in stamps])
    frames = arrivals_of('camera', stamps, late_ns=60 * MS)
    assembler = Assembler(CameraStream(offset_ns=51 * MS), [NearestStream('lidar')])
    sets = drive(assembler, in_order(sweeps, frames), end_ns=stamps[-1] + 60 * MS)
    assert [item.stamp_ns for item in sets] == stamps
    assert {item.ages_ns['lidar'] for item in sets} == {0}


def test_3_packets_at_1_khz_give_89_late_frames_their_whole_windows():
    t_ns = np.sort(np.random.default_rng(3).integers(START_NS, START_NS + 3 * SECOND, 20_000))
    packets = [
        packet(end, t_ns[(t_ns > end - MS) & (t_ns <= end)])
        for end in range(START_NS + MS, START_NS + 3 * SECOND + 1, MS)
    ]
    stamps = [START_NS + 33 * MS * i for i in range(1, 90)]
    assembler = Assembler(CameraStream(), [WindowStream('event', window_ns=30 * MS)])
    sets = drive(
        assembler,
        in_order(packets, arrivals_of('camera', stamps, late_ns=40 * MS)),
        end_ns=START_NS + 3 * SECOND,
    )
    assert images(sets) == stamps
    for item in sets:
        expected = t_ns[(t_ns > item.stamp_ns - 30 * MS) & (t_ns <= item.stamp_ns)]
        np.testing.assert_array_equal(item.samples['event'].payload.t_ns, expected)
        assert item.ages_ns['event'] == 0


@pytest.mark.parametrize('clock_goes_back', [True, False])
def test_4_recording_of_20_s_played_3_times_gives_600_frames_each_time(clock_goes_back):
    frames = arrivals_of('camera', [START_NS + i * SECOND // 30 for i in range(600)])
    sweeps = arrivals_of('lidar', [START_NS + 100 * MS * i + 3 * MS for i in range(200)])
    recording = in_order(frames, sweeps)
    # With a clock that does not follow the recording, its stamps lie ever further behind.
    limits = ClockLimits(max_behind_ns=3600 * SECOND)
    assembler = Assembler(CameraStream(), [NearestStream('lidar')], limits)
    for loop in range(3):
        shift_ns = 0 if clock_goes_back else loop * 20 * SECOND
        moved = [type(a)(a.arrival_ns + shift_ns, *list(vars(a).values())[1:]) for a in recording]
        sets = drive(assembler, moved)
        sets += drain(assembler, moved[-1].arrival_ns)
        assert images(sets) == [frame.stamp_ns for frame in frames]
        assert all('lidar' in item.present for item in sets[1:])
        assert max(abs(item.ages_ns['lidar']) for item in sets[1:]) <= 100 * MS
        assert assembler.account.received == assembler.account.emitted == 600 * (loop + 1)
        assert assembler.account.clock_jumps == loop


def test_5_slow_consumer_gets_the_same_sets():
    """A busy caller takes arrivals in bursts; each still comes with its own arrival time."""
    t_ns = np.arange(START_NS, START_NS + SECOND, MS // 2)
    packets = [
        packet(end, t_ns[(t_ns > end - 4 * MS) & (t_ns <= end)], late_ns=8 * MS)
        for end in range(START_NS + 4 * MS, START_NS + SECOND, 4 * MS)
    ]
    frames = arrivals_of('camera', range(START_NS, START_NS + SECOND, 50 * MS), late_ns=2 * MS)
    sweeps = arrivals_of('lidar', range(START_NS, START_NS + SECOND, 100 * MS), late_ns=5 * MS)
    arrivals = in_order(packets, frames, sweeps)
    streams = [WindowStream('event'), NearestStream('lidar')]
    end_ns = START_NS + SECOND

    patient = drive(Assembler(CameraStream(), streams), arrivals, end_ns)
    eager_assembler, eager = Assembler(CameraStream(), streams), []
    waiting = list(arrivals)
    for now_ns in range(START_NS, end_ns + 1, MS):
        while waiting and waiting[0].arrival_ns <= now_ns:
            eager += drive(eager_assembler, [waiting.pop(0)])
        eager += drain(eager_assembler, now_ns)

    assert len(patient) == len(frames)
    assert images(patient) == images(eager)
    assert [item.ages_ns for item in patient] == [item.ages_ns for item in eager]
