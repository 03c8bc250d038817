import re

from mle_sam_ros.core.clock_offset import clock_hint
import pytest

NOW_S = 1_790_000_000.0


@pytest.mark.parametrize(
    ('stamp_s', 'delay_s', 'hint'),
    [
        (0.0, NOW_S, 'zero: let the driver stamp'),
        (NOW_S, None, 'zero: let the driver stamp'),
        (4321.5, NOW_S - 4321.5, r'from the start of the sensor \(4322 s\)'),
        (NOW_S, 12.0 - NOW_S, r'runs on simulated time \(12 s\)'),
        (NOW_S + 37, -36.9, 'TAI is 37 s ahead of UTC'),
        (NOW_S + 18, -18.0, 'GPS time is 18 s ahead of UTC'),
        (NOW_S - 37, 37.0, '37.000 s behind the node: synchronise'),
        (NOW_S - 7200, 7200.1, '7200.100 s behind the node, 2 h: a clock on local time'),
        (NOW_S + 3600, -3600.0, '3600.000 s ahead of the node, 1 h: a clock on local time'),
        (NOW_S - 1e6, 1e6, 'for a recording set use_sim_time'),
        (NOW_S, 0.4, '0.400 s behind the node: synchronise the clocks'),
        (NOW_S, -0.4, '0.400 s ahead of the node: synchronise the clocks'),
    ],
)
def test_the_wrong_clock_is_named(stamp_s, delay_s, hint):
    assert re.search(hint, clock_hint(stamp_s, delay_s))
