"""Attention within small windows as one Triton kernel.

SAM 2's windows hold 16 to 196 tokens. Kernels made for thousands give each window and head a block
of 128 queries, most of them beyond the end, and all that comes with it; here a window's keys and
values fit into registers, so that there is no loop and little left but to read and write.

Shape suffixes: W windows, N tokens, H heads, D channels of a head.
"""

import torch
from torch.library import triton_op, wrap_triton
import triton
from triton import language as tl

# Queries of one program; the keys of the window are always all there.
_MOST_QUERIES = 64
_LOG2_E = 1.4426950408889634


@triton_op('mle_sam::window_attention', mutates_args={})
def window_attention(
    query_WNHD: torch.Tensor, key_WNHD: torch.Tensor, value_WNHD: torch.Tensor
) -> torch.Tensor:
    """Attend within each window, as `scaled_dot_product_attention` does.

    Args:
        query_WNHD: of any strides of W and N; a token is contiguous. It may have fewer tokens
            than the keys, as after pooling.
        key_WNHD: likewise, of at most 256 tokens.
        value_WNHD: of the shape of the keys.

    Returns:
        (W, N, H, D), contiguous, in the precision of the query.
    """
    windows, num_queries, heads, channels = query_WNHD.shape
    num_keys = key_WNHD.shape[1]
    # Matrix products have at least 16 rows and columns.
    block_keys = max(16, triton.next_power_of_2(num_keys))
    block_queries = max(16, min(_MOST_QUERIES, triton.next_power_of_2(num_queries)))
    answer = query_WNHD.new_empty((windows, num_queries, heads, channels))
    wrap_triton(_attend)[(windows * heads, triton.cdiv(num_queries, block_queries))](
        query_WNHD,
        key_WNHD,
        value_WNHD,
        answer,
        channels**-0.5 * _LOG2_E,
        heads,
        num_queries,
        num_keys,
        *query_WNHD.stride()[:2],
        *key_WNHD.stride()[:2],
        *value_WNHD.stride()[:2],
        channels,
        block_queries,
        block_keys,
        triton.next_power_of_2(channels),
        num_warps=1 if block_keys == 16 else 4,
    )
    return answer


@triton.jit
def _attend(
    query,
    key,
    value,
    answer,
    scale,
    heads,
    num_queries,
    num_keys,
    query_window,
    query_token,
    key_window,
    key_token,
    value_window,
    value_token,
    channels: tl.constexpr,
    block_queries: tl.constexpr,
    block_keys: tl.constexpr,
    block_channels: tl.constexpr,
):
    """One window and head, and a block of its queries; the other names are strides.

    A head begins at a multiple of `channels`, which the compiler knows: with strides for it, it
    would load each number by itself.
    """
    window = (tl.program_id(0) // heads).to(tl.int64)
    head = tl.program_id(0) % heads
    rows = tl.program_id(1) * block_queries + tl.arange(0, block_queries)
    columns = tl.arange(0, block_keys)
    depth = tl.arange(0, block_channels)
    is_row, is_column, is_depth = rows < num_queries, columns < num_keys, depth < channels

    queries = tl.load(
        query
        + window * query_window
        + head * channels
        + rows[:, None] * query_token
        + depth[None, :],
        mask=is_row[:, None] & is_depth[None, :],
        other=0.0,
    )
    keys = tl.load(
        key
        + window * key_window
        + head * channels
        + columns[None, :] * key_token
        + depth[:, None],
        mask=is_column[None, :] & is_depth[:, None],
        other=0.0,
    )
    values = tl.load(
        value
        + window * value_window
        + head * channels
        + columns[:, None] * value_token
        + depth[None, :],
        mask=is_column[:, None] & is_depth[None, :],
        other=0.0,
    )
    scores = tl.dot(queries, keys, input_precision='ieee') * scale
    scores = tl.where(is_column[None, :], scores, float('-inf'))
    weights = tl.exp2(scores - tl.max(scores, 1)[:, None])
    total = tl.sum(weights, 1)
    result = tl.dot(weights.to(values.dtype), values, input_precision='ieee') / total[:, None]
    tl.store(
        answer
        + ((window * num_queries + rows[:, None]) * heads + head) * channels
        + depth[None, :],
        result.to(answer.dtype.element_ty),
        mask=is_row[:, None] & is_depth[None, :],
    )
