"""What holds for the assembler whatever arrives, in whatever order."""

from collections import defaultdict
import itertools

from arrivals import Arrival, drain, drive, events_at, MS, packet, SECOND, START_NS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, RuleBasedStateMachine
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.streams import CameraStream, NearestStream, WindowStream
import numpy as np

LIDAR = NearestStream('lidar', offset_ns=3 * MS, max_age_ns=60 * MS)
EVENT = WindowStream('event', window_ns=30 * MS, offset_ns=-2 * MS)
CAMERA = CameraStream(offset_ns=4 * MS, default_period_ns=40 * MS)


@st.composite
def drives(draw):
    """Arrivals in order of arrival: each stream at its own pace, with losses and varying delay."""
    arrivals = []
    for stream, period_ms in (('camera', 40), ('lidar', 100), ('event', 5)):
        first_ms = draw(st.integers(0, 100))
        delays_ms = draw(st.lists(st.integers(0, 60), min_size=1, max_size=8))
        is_lost = draw(st.lists(st.booleans(), min_size=1, max_size=8))
        silence_ms = draw(st.tuples(st.integers(0, 1000), st.integers(0, 1000)))
        for number, sent_ms in enumerate(range(first_ms, 1000, period_ms)):
            stamp = START_NS + sent_ms * MS
            late_ns = delays_ms[number % len(delays_ms)] * MS
            if min(silence_ms) <= sent_ms < max(silence_ms) or is_lost[number % len(is_lost)]:
                continue
            if stream == 'event':
                arrivals.append(packet(stamp, [stamp - 3 * MS, stamp - MS, stamp], late_ns))
            else:
                arrivals.append(Arrival(stamp + late_ns, stream, stamp, number))
    return sorted(arrivals, key=lambda a: a.arrival_ns)


def outline(sets):
    """All that a set holds, in a form that compares."""
    return [
        (
            item.stamp_ns,
            item.reference_ns,
            dict(item.ages_ns),
            {
                name: list(sample.payload.t_ns) if name == 'event' else sample.payload
                for name, sample in item.samples.items()
            },
        )
        for item in sets
    ]


def end_of(arrivals):
    return max([a.arrival_ns for a in arrivals], default=START_NS) + SECOND


@settings(max_examples=30)
@given(drives(), st.data())
def test_more_polls_give_the_same_sets(arrivals, data):
    """Deadlines met to the nanosecond and chance polls, against a caller that lags behind."""
    end_ns = end_of(arrivals)
    lazy = drive(Assembler(CAMERA, [LIDAR, EVENT]), arrivals, end_ns)

    eager_assembler, eager = Assembler(CAMERA, [LIDAR, EVENT]), []
    for before, after in itertools.pairwise([*arrivals, Arrival(end_ns, '', 0)]):
        eager += drive(eager_assembler, [before])
        eager += drain(eager_assembler, before.arrival_ns)
        extra = data.draw(st.integers(before.arrival_ns, after.arrival_ns))
        while (deadline := eager_assembler.next_deadline_ns()) and deadline < extra:
            eager += drain(eager_assembler, deadline)
        eager += drain(eager_assembler, extra)
    eager += drain(eager_assembler, end_ns)
    assert outline(lazy) == outline(eager)


@settings(max_examples=40)
@given(drives())
def test_nothing_happens_before_the_deadline(arrivals):
    assembler = Assembler(CAMERA, [LIDAR, EVENT])
    for before, after in itertools.pairwise([*arrivals, Arrival(end_of(arrivals), '', 0)]):
        drive(assembler, [before])
        drain(assembler, before.arrival_ns)
        deadline = assembler.next_deadline_ns()
        quiet_until = after.arrival_ns if deadline is None else min(deadline - 1, after.arrival_ns)
        assert drain(assembler, quiet_until) == []


def slow_sets(arrivals, sets):
    """What each set must hold, from all that arrived before its frame; quadratic, no buffers."""
    for item in sets:
        t = item.reference_ns
        arrived = accepted_before(arrivals, item)
        lidar = [a for a in arrived['lidar'] if abs(a.stamp_ns + LIDAR.offset_ns - t) <= 60 * MS]
        events = [time for a in arrived['event'] for time in a.payload.t_ns]
        window = [time for time in events if t - 30 * MS < time + EVENT.offset_ns <= t]
        ends = [a.stamp_ns + EVENT.offset_ns for a in arrived['event']]
        yield lidar, window, ends


def accepted_before(arrivals, item):
    """By stream, what arrived in order of its stamps before the frame of the set."""
    accepted = defaultdict(list)
    for arrival in arrivals:
        newest = accepted[arrival.stream][-1:]
        if newest and arrival.stamp_ns <= newest[0].stamp_ns:
            continue
        accepted[arrival.stream].append(arrival)
        if arrival.stream == 'camera' and arrival.stamp_ns == item.stamp_ns:
            return accepted
    return accepted


@settings(max_examples=40)
@given(drives())
def test_sets_agree_with_a_slow_reference(arrivals):
    """The camera is late and never waits, so what was here when a frame left is known exactly."""
    impatient = CameraStream(offset_ns=4 * MS, wait_ns=0, timeout_ns=10 * SECOND)
    late = [
        Arrival(a.arrival_ns + 70 * MS * (a.stream == 'camera'), *list(vars(a).values())[1:])
        for a in arrivals
    ]
    late.sort(key=lambda a: a.arrival_ns)
    sets = drive(Assembler(impatient, [LIDAR, EVENT]), late, end_of(late))
    for item, (lidar, window, ends) in zip(sets, slow_sets(late, sets), strict=True):
        t = item.reference_ns
        assert ('lidar' in item.present) == bool(lidar)
        if lidar:
            nearest = min(abs(a.stamp_ns + LIDAR.offset_ns - t) for a in lidar)
            assert abs(item.ages_ns['lidar']) == nearest
        assert ('event' in item.present) == (bool(ends) and ends[-1] > t - 30 * MS)
        if 'event' in item.present:
            assert list(item.samples['event'].payload.t_ns) == window
            assert item.ages_ns['event'] == max(0, t - ends[-1])


class Disorder(RuleBasedStateMachine):
    """Pushes and polls without any sense: duplicates, disorder, impossible stamps, jumps."""

    def __init__(self):
        super().__init__()
        self.lidar = NearestStream(
            'lidar', max_age_ns=60 * MS, buffer_ns=300 * MS, buffer_bytes=1000
        )
        self.event = WindowStream('event', buffer_ns=200 * MS, buffer_bytes=500)
        self.assembler = Assembler(CAMERA, [self.lidar, self.event])
        self.now_ns = START_NS
        self.num_frames = 0
        self.num_with_camera = 0
        self.num_without_camera = 0
        self.seen = set()  # payloads of camera frames, each its own number
        self.last_ns = None

    @rule(late_ms=st.integers(-30, 120))
    def push_frame(self, late_ms):
        self._push_frame(self.now_ns - late_ms * MS)

    @rule(stamp_ns=st.one_of(st.integers(-5, 5), st.integers(0, 2 * START_NS)))
    def push_frame_of_another_world(self, stamp_ns):
        self._push_frame(stamp_ns)

    @rule(late_ms=st.integers(-30, 120), num_bytes=st.integers(0, 1200))
    def push_sweep(self, late_ms, num_bytes):
        self.assembler.push('lidar', self.now_ns - late_ms * MS, None, num_bytes)

    @rule(late_ms=st.integers(-5, 60), num_events=st.integers(0, 50))
    def push_packet(self, late_ms, num_events):
        end_ns = self.now_ns - late_ms * MS
        times = end_ns - np.arange(num_events)[::-1] * MS // 4
        self.assembler.push('event', end_ns, events_at(times))

    @rule(step_ms=st.one_of(st.integers(0, 40), st.integers(0, 3000)))
    def let_time_pass(self, step_ms):
        self.now_ns += step_ms * MS
        self._poll()

    @rule(step_ms=st.integers(0, 5000))
    def jump_back(self, step_ms):
        self.now_ns -= step_ms * MS
        self._poll()

    @precondition(lambda self: self.assembler.next_deadline_ns() is not None)
    @rule()
    def wait_for_the_deadline(self):
        self.now_ns = max(self.now_ns, self.assembler.next_deadline_ns())
        self._poll()

    @invariant()
    def account_balances(self):
        account = self.assembler.account
        assert account.balanced
        assert account.waiting in (0, 1)
        assert account.received == self.num_frames
        assert account.emitted == self.num_with_camera
        assert account.without_camera == self.num_without_camera
        for stream in self.assembler.stream_accounts.values():
            assert sum(stream.refused.values()) <= stream.received

    @invariant()
    def buffers_keep_within_their_bounds(self):
        for buffer in self.assembler._buffers.values():
            entries = buffer._entries
            assert buffer.num_bytes == sum(entry.num_bytes for entry in entries)
            assert buffer.num_bytes <= buffer.stream.buffer_bytes
            times = [entry.time_ns for entry in entries]
            assert times == sorted(set(times))
            assert not times or times[-1] - times[0] <= buffer.stream.buffer_ns

    def _push_frame(self, stamp_ns):
        jumps = self.assembler.account.clock_jumps
        self.assembler.push('camera', stamp_ns, self.num_frames)
        self.num_frames += 1
        self._forget_order(jumps)

    def _poll(self):
        jumps = self.assembler.account.clock_jumps
        while (item := self.assembler.poll(self.now_ns)) is not None:
            self._check(item)
            self._forget_order(jumps)
        self._forget_order(jumps)

    def _check(self, item):
        assert item.samples
        assert item.present == set(item.ages_ns)
        assert self.last_ns is None or item.reference_ns > self.last_ns
        self.last_ns = item.reference_ns
        if 'camera' in item.present:
            self.num_with_camera += 1
            assert item.samples['camera'].payload not in self.seen
            self.seen.add(item.samples['camera'].payload)
        else:
            self.num_without_camera += 1
        if 'lidar' in item.present:
            assert abs(item.ages_ns['lidar']) <= self.lidar.max_age_ns
        if 'event' in item.present:
            times = item.samples['event'].payload.t_ns
            assert (np.diff(times) >= 0).all()
            assert ((times > item.reference_ns - 30 * MS) & (times <= item.reference_ns)).all()
            assert 0 <= item.ages_ns['event'] < self.event.window_ns

    def _forget_order(self, jumps_before):
        if self.assembler.account.clock_jumps > jumps_before:
            self.last_ns = None


Disorder.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestDisorder = Disorder.TestCase
