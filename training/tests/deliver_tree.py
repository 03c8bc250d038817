"""A small tree in DELIVER's layout: its names, channels and bit depths, made-up content."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE, LOW_SIDE = 96, 32  # 1042 and 512 in the original
# Condition, sequence and number; five failures, and names that mislead a search for substrings.
FRAMES = [
    ('cloud', 'MAP_10_point102', '045050'),
    ('cloud', 'MAP_10_point102', '045060'),
    ('fog', 'MAP_1_point18_MotionBlur', '000010'),
    ('night', 'MAP_2_point3_overexposure', '000020'),
    ('night', 'MAP_2_point4_Under_Exposure', '000030'),
    ('rain', 'MAP_3_point7_lidarjitter', '000040'),
    ('sun', 'MAP_4_point9_eventlowres', '000050'),
    ('sun', 'MAP_5_img_rain_train', '000060'),
]
SPLITS = ('train', 'val', 'test')


def write_deliver(root: Path) -> Path:
    """All frames in every split; the test split lacks the failures."""
    for split in SPLITS:
        for place, (condition, sequence, number) in enumerate(FRAMES):
            if split == 'test' and place > 1:
                continue
            for name, image in _images(split, place).items():
                directory, kind = name.split('/')
                path = root / directory / condition / split / sequence
                path.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path / f'{number}_{kind}_front.png')
    return root


def raw_labels(split: str, place: int) -> np.ndarray:
    """(SIDE, SIDE) uint8 as DELIVER stores them: 1 to 25, with both values of void."""
    rng = np.random.default_rng((SPLITS.index(split), place, 9))
    labels = rng.integers(1, 26, (SIDE, SIDE), np.uint8)
    labels[:2], labels[2:4] = 0, 255
    return labels


def _images(split: str, place: int) -> dict[str, np.ndarray]:
    """By directory and name of the content."""
    rng = np.random.default_rng((SPLITS.index(split), place))
    event_side = LOW_SIDE if FRAMES[place][1].endswith('eventlowres') else SIDE
    event = rng.integers(0, 256, (event_side, event_side, 3), np.uint8)
    event[:, :, 1] = 0
    sparse = rng.random((SIDE, SIDE)) < 0.2
    labels = raw_labels(split, place)
    opaque = np.full((SIDE, SIDE), 255, np.uint8)
    return {
        'img/rgb': np.dstack([rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), opaque]),
        'hha/depth': rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8),
        'event/event': event,
        'lidar/lidar': np.where(sparse, rng.integers(1, 256, sparse.shape), 0).astype(np.uint8),
        'semantic/semantic': np.dstack([labels, 0 * labels, 0 * labels, opaque]),
    }
