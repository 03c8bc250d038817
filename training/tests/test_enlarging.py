from mle_sam.enlargement import Enlargement, SCALES
from mle_sam.export.enlarging import BandedEnlargement, ResizedEnlargement
import pytest
import torch


@pytest.mark.parametrize('num_levels', [1, 3])
@pytest.mark.parametrize('input_hw', [(32, 32), (64, 128), (224, 448), (352, 32)])
def test_both_ways_equal_the_one_of_training(input_hw, num_levels):
    """To 2e-6 for logits of about 1."""
    levels = [torch.randn(1, 3, input_hw[0] // s, input_hw[1] // s) for s in SCALES[:num_levels]]
    expected = Enlargement(input_hw)(levels).squeeze(0)
    for enlarge in (ResizedEnlargement(), BandedEnlargement(input_hw, num_levels)):
        got = enlarge(levels).movedim(enlarge.class_axis, 0)
        assert got.shape == (3, *input_hw)
        torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-6)


def test_blocks_are_made_from_few_rows():
    """A row at the input's size from two of each level: 32 from 20 of the 98 that there are."""
    enlarge = BandedEnlargement((224, 448), 3)
    assert enlarge.near.shape == (7, 20)
    assert enlarge.weights.shape == (7, 32, 20)
    torch.testing.assert_close(enlarge.weights.sum(2), torch.full((7, 32), 3.0))
