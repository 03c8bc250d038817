"""Images made smaller, by the average over the area that each new pixel covers."""

import cv2
import numba
import numpy as np

_TAPS = 3  # that the kernel takes at once
_MARGIN = 1e-3  # of a pixel: less of it does not count


def area_average(image: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Stretch an image, as OpenCV's INTER_AREA does it to the last bit.

    Three times as fast where neither side shrinks by a whole factor, as it does from a camera's
    size to a network's; and the same on every processor.

    Args:
        image: (H, W, 3) uint8.
        size_hw: (height, width) to have.

    Returns:
        (height, width, 3) uint8, contiguous; interpolated where a side grows.
    """
    (height, width), (new_height, new_width) = image.shape[:2], size_hw
    is_larger = new_height > height or new_width > width
    if is_larger or (height % new_height == 0 and width % new_width == 0):
        return cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_AREA)
    averaged = np.empty((new_height, new_width, 3), np.uint8)
    # Read-only even where the image is not: kernels are compiled for each kind anew.
    source = np.ascontiguousarray(image).view()
    source.flags.writeable = False
    _average(source, averaged)
    return averaged


@numba.njit(nogil=True, cache=True)
def _weights(num_old, num_new):
    """Of each new pixel the first old one that it covers, and the shares of that and the next."""
    scale = 1 / (num_new / num_old)
    num_taps = -(-(int(np.ceil(scale)) + 1) // _TAPS) * _TAPS
    firsts = np.zeros(num_new, np.int64)
    shares = np.zeros((num_new, num_taps), np.float32)
    for new in range(num_new):
        begin = new * scale
        end = begin + scale
        covered = min(scale, num_old - begin)
        last = min(int(np.floor(end)), num_old - 1)
        old = min(int(np.ceil(begin)), last)
        tap = 0
        if old - begin > _MARGIN:
            shares[new, 0] = (old - begin) / covered
            firsts[new] = old - 1
            tap = 1
        else:
            firsts[new] = old
        for _ in range(old, last):
            shares[new, tap] = 1 / covered
            tap += 1
        if end - last > _MARGIN:
            shares[new, tap] = min(min(end - last, 1.0), covered) / covered
    return firsts, shares


@numba.njit(nogil=True, cache=True)
def _average(image, averaged):
    rows, row_shares = _weights(image.shape[0], averaged.shape[0])
    columns, shares = _weights(image.shape[1], averaged.shape[1])
    num_old, num_new = 3 * image.shape[1], 3 * averaged.shape[1]
    # One row of the image, with room for shares of nothing behind its end; and what it becomes.
    pixels = np.zeros(num_old + 3 * shares.shape[1], np.float32)
    line = np.empty(num_new, np.float32)
    total = np.empty(num_new, np.float32)
    at_hand = -1
    for new in range(len(rows)):
        total[:] = 0
        for tap in range(row_shares.shape[1]):
            share = row_shares[new, tap]
            if share == 0:
                continue
            old = rows[new] + tap
            if old != at_hand:  # the last row of one average may be the first of the next
                at_hand = old
                source = image[old].reshape(num_old)
                for i in range(num_old):
                    pixels[i] = source[i]
                _shrink(pixels, columns, shares, line)
            for i in range(num_new):
                total[i] += line[i] * share
        target = averaged[new].reshape(num_new)
        for i in range(num_new):
            target[i] = np.uint8(np.rint(total[i]))


@numba.njit(nogil=True, cache=True)
def _shrink(pixels, columns, shares, line):
    """A row's weighted sums, in the order of its pixels."""
    line[:] = 0
    three = np.uint64(3)
    for tap in range(0, shares.shape[1], _TAPS):
        for new in range(len(columns)):
            a, b, c = shares[new, tap], shares[new, tap + 1], shares[new, tap + 2]
            # Unsigned, so that no index is tested for being negative.
            old, target = np.uint64(3 * (columns[new] + tap)), np.uint64(3 * new)
            for _ in range(3):
                line[target] = (
                    line[target]
                    + pixels[old] * a
                    + pixels[old + three] * b
                    + pixels[old + three + three] * c
                )
                old += np.uint64(1)
                target += np.uint64(1)
