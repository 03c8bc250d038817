"""A small tree in the layout of MUSES: its names, encodings and bit depths, made-up content."""

import json
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from PIL import Image

SIZE_HW = (54, 96)  # 1080 x 1920 in the original
# Split, weather, time of day and name; two of the splits in other conditions.
FRAMES = [
    ('train', 'clear', 'day', 'REC0001_frame_000100'),
    ('train', 'fog', 'night', 'REC0002_frame_000200'),
    ('val', 'snow', 'day', 'REC0003_frame_000300'),
    ('val', 'rain', 'night', 'REC0004_frame_000400'),
    ('test', 'clear', 'night', 'REC0005_frame_000500'),
]
CAMERA_K = [[1400.0, 0, 960.5], [0, 1410.0, 540.25], [0, 0, 1]]
EVENT_K = [[850.0, 0, 640.25], [0, 855.0, 360.5], [0, 0, 1]]  # sees more than the camera
# LiDAR: x front, y left, z up, half a metre above the camera. Event camera: turned a little.
LIDAR2RGB = [[0.0, -1, 0, 0.1], [0, 0, -1, 0.5], [1, 0, 0, -0.2], [0, 0, 0, 1]]
_C, _S = float(np.cos(0.01)), float(np.sin(0.01))
EVENT2RGB = [[_C, -_S, 0, 0.05], [_S, _C, 0, 0.0], [0, 0, 1, 0.0], [0, 0, 0, 1]]
END_US = 1_600_000_000_000_000


def write_muses(root: Path) -> Path:
    """All frames, with labels in every split, and the two files that describe them."""
    meta = {}
    for place, (split, weather, time_of_day, name) in enumerate(FRAMES):
        folder = f'{split}/{weather}/{time_of_day}'
        paths = {
            'frame_camera': f'frame_camera/{folder}/{name}_frame_camera.png',
            'event_camera': f'event_camera/{folder}/{name}_event_camera.h5',
            'lidar': f'lidar/{folder}/{name}_lidar.bin',
            'gt_semantic': f'gt_semantic/{folder}/{name}_gt_labelTrainIds.png',
        }
        for path in paths.values():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image(place)).save(root / paths['frame_camera'])
        Image.fromarray(labels(place)).save(root / paths['gt_semantic'])
        sweep(place).tofile(root / paths['lidar'])
        write_events(root / paths['event_camera'], *events(place))
        meta[name] = {
            'split': split,
            'weather': weather,
            'time_of_day': time_of_day,
            'frame_camera_exposure_start_timestamp_us': END_US - 40_000,
            'frame_camera_exposure_end_timestamp_us': END_US - 30_000,
            **{f'path_to_{sensor}': paths[sensor] for sensor in list(paths)[:3]},
        }
    # Not in the order of the splits, nor of the names.
    (root / 'meta.json').write_text(json.dumps(dict(reversed(meta.items()))))
    calibration = {
        'intrinsics': {'rgb': {'K': CAMERA_K}, 'event': {'K': EVENT_K}},
        'extrinsics': {'lidar2rgb': LIDAR2RGB, 'event2rgb': EVENT2RGB},
    }
    (root / 'calib.json').write_text(json.dumps(calibration))
    return root


def file_of(root: Path, place: int, sensor: str) -> Path:
    """The file of a sensor as the directory names call it."""
    (found,) = (root / sensor).rglob(f'{FRAMES[place][3]}_*')
    return found


def image(place: int) -> np.ndarray:
    return np.random.default_rng(place).integers(0, 256, (*SIZE_HW, 3), np.uint8)


def labels(place: int) -> np.ndarray:
    """(54, 96) uint8: 0 to 18, and void."""
    values = np.random.default_rng((place, 1)).integers(0, 19, SIZE_HW, np.uint8)
    values[:3] = 255
    return values


def sweep(place: int, count: int = 400) -> np.ndarray:
    """(N, 6) float64: all around, some too near, some behind."""
    rng = np.random.default_rng((place, 2))
    points = np.zeros((count, 6))
    points[:, 0] = rng.uniform(-20, 60, count)
    points[:, 1] = rng.uniform(-15, 15, count)
    points[:, 2] = rng.uniform(-2, 4, count)
    points[:8, :3] *= 0.005
    points[:, 3] = rng.uniform(0, 255, count)
    points[:, 4] = rng.integers(0, 125, count)
    points[:, 5] = (END_US - 50_000) / 1e6 + rng.uniform(0, 0.1, count)
    return points


def events(place: int, count: int = 3000) -> tuple[np.ndarray, ...]:
    """x, y, t in microseconds and p; the last tenth of a second of the stream."""
    rng = np.random.default_rng((place, 3))
    t = END_US - np.sort(rng.integers(0, 100_000, count))[::-1]
    x = rng.integers(0, 1280, count).astype(np.uint16)
    y = rng.integers(0, 720, count).astype(np.uint16)
    return x, y, t.astype(np.int64), rng.integers(0, 2, count).astype(np.uint8)


def write_events(path: Path, x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray) -> None:
    with h5py.File(path, 'w') as file:
        for name, column in zip('xytp', (x, y, t, p), strict=True):
            file.create_dataset(f'events/{name}', data=column, **hdf5plugin.Blosc(cname='zstd'))
