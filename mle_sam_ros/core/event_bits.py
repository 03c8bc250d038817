"""The set bits of a byte, by table: masks of neighbours become events without branches."""

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
