"""Messages are found by stamp, as in a search of the whole topic."""

from hypothesis import given
from hypothesis import strategies as st
from messages import header
from mle_sam_ros.bags.reader import BagMessage
from mle_sam_ros.bags.track import Track


class OneTopic:
    """A reader of messages with these stamps."""

    def __init__(self, stamps):
        self.stamps = stamps

    def messages(self, topics):
        for stamp in self.stamps:
            message = type('Stamped', (), {'header': header(stamp)})()
            yield BagMessage(stamp, topics[0], 'Stamped', message)


def nearest(stamps, time_ns, tolerance_ns):
    """The slow reference."""
    distance = min((abs(stamp - time_ns) for stamp in stamps), default=None)
    return distance if distance is not None and distance <= tolerance_ns else None


@given(
    st.lists(st.integers(0, 200), unique=True).map(sorted),
    st.lists(st.integers(0, 200)).map(sorted),
    st.integers(0, 20),
)
def test_the_nearest_within_the_tolerance(stamps, times, tolerance_ns):
    track = Track(OneTopic(stamps), '/topic')
    used = set()
    for time_ns in times:
        item = track.at(time_ns, tolerance_ns)
        distance = None if item is None else abs(item.log_time_ns - time_ns)
        assert distance == nearest(stamps, time_ns, tolerance_ns)
        if item is not None:
            used.add(item.log_time_ns)
    assert track.num_used == len(used)
    assert track.count() == len(stamps)


@given(st.lists(st.integers(1, 300), min_size=2, unique=True).map(sorted), st.data())
def test_a_recording_played_again_from_the_start(stamps, data):
    track = Track(OneTopic(stamps * 3), '/topic')
    for _ in range(3):
        # Every round asks for two stamps at least, and perhaps for one after its last.
        asked = data.draw(st.sets(st.sampled_from(stamps))) | {stamps[0], stamps[1]}
        for stamp in sorted(asked):
            assert track.at(stamp).log_time_ns == stamp
        if data.draw(st.booleans()):
            assert track.at(stamps[-1] + 1) is None


def test_an_empty_topic_has_nothing():
    track = Track(OneTopic([]), '/topic')
    assert track.at(5, 100) is None
    assert track.count() == 0
