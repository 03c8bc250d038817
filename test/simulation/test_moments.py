from mle_sam_ros.core.errors import InputError
from mle_sam_ros.simulation.classes import CLASS_NAMES, PALETTE, SKY
from mle_sam_ros.simulation.conditions import typical
from mle_sam_ros.simulation.moments import moments
import numpy as np
import pytest

MS = 1_000_000


def same(first, second):
    return (
        np.array_equal(first.image, second.image)
        and np.array_equal(first.label_map, second.label_map)
        and np.array_equal(first.events.t_ns, second.events.t_ns)
        and np.array_equal(first.events.x, second.events.x)
        and np.array_equal(first.cloud.xyz, second.cloud.xyz)
        and np.array_equal(first.cloud.intensity, second.cloud.intensity)
    )


def test_same_seed_same_bytes_and_other_seed_other_town():
    first, again, other = (list(moments(seed, 2)) for seed in (4, 4, 5))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].label_map, other[0].label_map)


@pytest.fixture(scope='module')
def many():
    return list(moments(8, 8, conditions=['day'], failures=(), variants=1, instants_per_drive=4))


def test_moment_has_the_shapes_and_times_that_the_core_expects(many):
    for moment in many:
        assert moment.image.shape == (320, 640, 3)
        assert moment.image.dtype == np.uint8
        assert moment.label_map.shape == (320, 640)
        assert moment.label_map.max() <= SKY
        events = moment.events
        assert (np.diff(events.t_ns) >= 0).all()
        assert moment.stamp_ns - 30 * MS < events.t_ns[0]
        assert events.t_ns[-1] <= moment.stamp_ns
        assert events.x.max() < 346
        assert events.y.max() < 260
        middle = moment.cloud.time_ns.mean()
        assert 35 * MS < moment.stamp_ns - middle < 160 * MS


def test_every_class_is_there_and_none_is_everything(many):
    share = np.bincount(np.concatenate([m.label_map.ravel() for m in many]), minlength=11)
    share = share / share.sum()
    assert len(CLASS_NAMES) == len(PALETTE) == len(share)
    assert (share > 0.002).all(), dict(zip(CLASS_NAMES, share, strict=True))
    assert share.max() < 0.5


def test_night_is_darker_than_day():
    day, night = (
        np.mean([m.image.mean() for m in moments(2, 3, conditions=[name], failures=())])
        for name in ('day', 'night')
    )
    assert night < 0.6 * day


@pytest.mark.parametrize(
    ('failure', 'holds'),
    [
        ('over_exposure', lambda image: (image == 255).mean() > 0.5),
        ('under_exposure', lambda image: image.mean() < 45),
    ],
)
def test_wrong_exposure_ruins_the_image(failure, holds):
    for moment in moments(6, 3, conditions=['day'], failures=[failure], failure_share=1.0):
        assert moment.failure == failure
        assert holds(moment.image)


def test_unknown_condition_names_the_valid_ones():
    with pytest.raises(InputError, match=r'day, dusk, night, fog, rain, got .snow'):
        typical('snow', np.random.default_rng(0))
