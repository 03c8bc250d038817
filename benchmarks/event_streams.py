"""Made-up streams of event words, as busy as those of a sensor."""

import numpy as np


def evt3_isolated(num_events: int, random: np.random.Generator) -> np.ndarray:
    """(N,) uint16, sensor of 1280 x 720: a row and a column for each event, 4.1 bytes."""
    words = np.empty((num_events, 2), np.uint16)
    words[:, 0] = random.integers(0, 720, num_events)
    words[:, 1] = 0x2000 | random.integers(0, 1280, num_events)
    words[:, 1] |= random.integers(0, 2, num_events).astype(np.uint16) << 11
    return _with_times(words.reshape(-1), 64)


def evt3_bursts(
    num_bursts: int, num_masks: int, density: float, random: np.random.Generator
) -> np.ndarray:
    """(N,) uint16: a row, then masks of twelve neighbours each, so dense with events."""
    words = np.empty((num_bursts, 2 + num_masks), np.uint16)
    words[:, 0] = random.integers(0, 720, num_bursts)
    words[:, 1] = 0x3000 | random.integers(0, 1280 - 12 * num_masks, num_bursts)
    words[:, 1] |= random.integers(0, 2, num_bursts).astype(np.uint16) << 11
    bits = random.random((num_bursts, num_masks, 12)) < density
    words[:, 2:] = 0x4000 | (bits @ (1 << np.arange(12)))
    return _with_times(words.reshape(-1), 16 * words.shape[1])


def _with_times(words: np.ndarray, every: int) -> np.ndarray:
    """A TIME_HIGH and a TIME_LOW before every so many words, 16 us apart as a sensor has them."""
    words = words[: len(words) - len(words) % every].reshape(-1, every)
    t_us = 16 * np.arange(len(words))
    times = np.stack([0x8000 | t_us >> 12 & 0xFFF, 0x6000 | t_us & 0xFFF], axis=1)
    return np.concatenate([times.astype(np.uint16), words], axis=1).reshape(-1)


def libcaer_cmp(num_columns: int, density: float, random: np.random.Generator) -> np.ndarray:
    """(N,) uint16: a column, then four masks of eight neighbours, so dense with events."""
    words = np.empty((num_columns, 7), np.uint16)
    words[:, 0] = 0x1000 | np.arange(num_columns) * 4096 // num_columns
    words[:, 1] = 0x2000 | random.integers(0, 346, num_columns)
    words[:, 2] = 0x4000 | random.integers(0, 228, num_columns)
    bits = random.random((num_columns, 4, 8)) < density
    words[:, 3:] = 0x5000 | (bits @ (1 << np.arange(8)))
    return words.reshape(-1)
