"""The Triton kernel: on a GPU, else interpreted, where Triton is installed."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention


@pytest.mark.parametrize(
    ('side', 'heads', 'channels'),
    [(8, 2, 56), (4, 4, 56), (14, 8, 56), (7, 16, 56), (7, 1, 24), (4, 2, 24)],
)
@pytest.mark.parametrize('pooled', [False, True])
@pytest.mark.parametrize(('dtype', 'atol'), [(torch.float32, 2e-6), (torch.float16, 2e-3)])
def test_agrees_with_torch(triton_device, side, heads, channels, pooled, dtype, atol):
    from mle_sam.export.window_attention import window_attention

    qkv = torch.randn(3, side * side, 3, heads, channels).to(triton_device, dtype)
    query, key, value = qkv.unbind(2)
    if pooled:
        query = query[:, : side * side // 4].contiguous()
    got = window_attention(query, key, value)
    expected = scaled_dot_product_attention(
        *(tensor.transpose(1, 2).float() for tensor in (query, key, value))
    ).transpose(1, 2)
    assert got.dtype == dtype
    assert got.is_contiguous()
    torch.testing.assert_close(got.float(), expected, atol=atol, rtol=0)


def test_large_scores_do_not_overflow(triton_device):
    from mle_sam.export.window_attention import window_attention

    query = torch.full((1, 16, 1, 16), 100.0, device=triton_device)
    value = torch.randn(1, 16, 1, 16, device=triton_device)
    got = window_attention(query, query, value)
    expected = value.mean(1, keepdim=True).expand_as(value)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
