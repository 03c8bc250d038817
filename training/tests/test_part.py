from dataclasses import replace

from mle_sam.checkpoint import read_checkpoint
from mle_sam.datasets.part import EvenPart
from mle_sam.train import train
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest
from toy import ToyDataset


@pytest.mark.parametrize(
    ('count', 'expected'),
    [(1, [0]), (3, [0, 2, 5]), (8, [*range(8)]), (100, [*range(8)])],
)
def test_samples_are_spread_evenly(count, expected):
    whole = ToyDataset(8)
    part = EvenPart(whole, count)
    assert [part[place].source for place in range(len(part))] == [
        whole[index].source for index in expected
    ]
    for place, index in enumerate(expected):
        assert np.array_equal(part.full_labels(place), whole.full_labels(index))
    assert part.summary() == f'{len(expected)} of 8 samples'


class Counting(ToyDataset):
    """Says which samples were wanted."""

    def __init__(self):
        super().__init__(8)
        self.wanted = set()

    def __getitem__(self, index):
        self.wanted.add(index)
        return super().__getitem__(index)


def test_a_stage_learns_from_its_samples_and_looks_at_its_own(recipe, tmp_path):
    stage = replace(
        recipe.trunk, steps=None, epochs=4, samples=2, validate_every=4, validate_samples=3
    )
    training, validation = Counting(), Counting()
    path = train(replace(recipe, trunk=stage), 'trunk', training, validation, tmp_path, 'cpu')
    assert training.wanted == {0, 4}
    assert validation.wanted == {0, 2, 5}
    assert read_checkpoint(path).step == 2  # epochs are of the samples that there are


@pytest.mark.parametrize('field', ['samples', 'validate_samples'])
def test_no_samples_at_all(recipe, field):
    with pytest.raises(InputError, match=rf'stage\.{field}: expected a positive number, got 0'):
        replace(recipe.trunk, **{field: 0})
