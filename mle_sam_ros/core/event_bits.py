"""Masks of neighbouring pixels to events, by table and without branches."""

import numba
import numpy as np

# (256,) how many bits are set.
NUM_BITS = np.array([bin(byte).count('1') for byte in range(256)], np.int64)
# (256, 8) where they are, in order; zeros behind.
POSITIONS = np.array(
    [
        ([bit for bit in range(8) if byte >> bit & 1] + [0] * 8)[:8] for byte in range(256)
    ],
    np.uint16,
)  # fmt: skip


@numba.njit(nogil=True, cache=True)
def put_masked(n, lanes, bits, first, other, time, sign, along, across, t_ns, polarity):
    """Write so many events from `n` on, of which those of the set bits come first.

    Args:
        n: uint64.
        lanes: 4 or 8, a constant; room for so many must be there.
        bits: of a byte, none at `lanes` or above.
        first: coordinate of bit 0.
        other: the other coordinate, the same for all.
        time: of all.
        sign: their polarity.
        along: (N,) uint16, array of the coordinate that the mask runs along.
        across: (N,) uint16, array of the other one.
        t_ns: (N,) int64.
        polarity: (N,) uint8.
    """
    # One loop for each array, which becomes one or two vector stores.
    for k in range(lanes):
        along[n + np.uint64(k)] = np.uint16(first) + POSITIONS[bits, k]
    for k in range(lanes):
        across[n + np.uint64(k)] = other
    for k in range(lanes):
        t_ns[n + np.uint64(k)] = time
    for k in range(lanes):
        polarity[n + np.uint64(k)] = sign
