from mle_sam.lora import LoraLinear
import pytest
import torch
from torch import nn


@pytest.fixture(params=['input', 'output'])
def lora(request) -> LoraLinear:
    return LoraLinear(nn.Linear(6, 3 * 8), ('camera', 'lidar'), rank=2, width=request.param)


def test_zero_start_is_exactly_the_plain_projection(lora):
    x = torch.randn(5, 6)
    plain = nn.functional.linear(x, lora.weight, lora.bias)
    for lora.active in (None, 'camera', 'lidar'):
        assert torch.equal(lora(x), plain)


def test_merged_weight_equals_the_update_added_to_the_output(lora):
    for factors in lora.experts.values():
        nn.init.normal_(factors.query_up)
        nn.init.normal_(factors.value_up)
    x = torch.randn(5, 6)
    for name, factors in lora.experts.items():
        expected = nn.functional.linear(x, lora.weight, lora.bias)
        rows = len(factors.query_up)
        expected[:, :rows] += x @ factors.query_down.t() @ factors.query_up.t()
        expected[:, -rows:] += x @ factors.value_down.t() @ factors.value_up.t()
        lora.active = name
        torch.testing.assert_close(lora(x), expected)
        merged = nn.functional.linear(x, lora.merged_weight(name), lora.bias)
        assert torch.equal(lora(x), merged)


def test_keys_are_never_updated(lora):
    for factors in lora.experts.values():
        nn.init.normal_(factors.query_up)
        nn.init.normal_(factors.value_up)
    assert torch.equal(lora.merged_weight('camera')[8:16], lora.weight[8:16])


@pytest.mark.parametrize(('width', 'rows'), [('input', 6), ('output', 8)])
def test_width_of_the_update(width, rows):
    lora = LoraLinear(nn.Linear(6, 24), ('camera',), rank=2, width=width)
    assert lora.experts['camera'].query_up.shape == (rows, 2)
