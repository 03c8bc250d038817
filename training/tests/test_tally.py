from mle_sam.scores import Mean
from mle_sam.tally import Tally
import numpy as np
import pytest

CLASSES = ('road', 'wall', 'sky', 'water')


def row(*ids):
    return np.array([ids], np.uint8)


def test_one_confusion_matrix_per_group_not_a_mean_of_means():
    tally = Tally(CLASSES)
    day, night, all_samples = ('condition', 'day'), ('condition', 'night'), ('whole', 'all')
    tally.update(row(0, 0, 0, 1), row(0, 0, 0, 0), [all_samples, day])
    tally.update(row(1, 1, 255), row(1, 0, 2), [all_samples, night, ('failure', 'blur')])
    score = tally.score()
    # Road: 3 of 3 + 2 false ones; wall: 1 of 3; sky and water are nowhere, 255 does not count.
    assert score.iou == {'road': 3 / 5, 'wall': 1 / 3, 'sky': None, 'water': None}
    assert score.whole.over_present == pytest.approx((3 / 5 + 1 / 3) / 2)
    assert score.whole.over_all == pytest.approx((3 / 5 + 1 / 3) / 4)
    assert score.whole.samples == 2
    assert score.conditions == {'day': Mean(0.75 / 4, 0.75 / 2, 1), 'night': Mean(0.125, 0.25, 1)}
    assert score.failures == {'blur': score.conditions['night']}


def test_nothing_known_is_no_score():
    tally = Tally(CLASSES)
    tally.update(row(255), row(0), [('whole', 'all')])
    assert tally.score().whole == Mean(0.0, None, 1)
