"""A small tree in MCubeS's layout: its names, channels and bit depths, made-up content."""

from pathlib import Path

import cv2
import numpy as np

HW = (96, 296)  # 1024 x 1224 in the original; 192 columns are cut in both
NAMES = {
    'train': ['outscene1208_2_0000000150', 'outscene1208_2_0000000180'],
    'val': ['inscene0412_1_0000000040'],
    'test': ['outscene1203_7_0000000010'],
}


def write_mcubes(root: Path, depth: type = np.uint16) -> Path:
    """Every sample of the lists; colour and near infrared of a depth, uint8 or uint16."""
    for split, names in NAMES.items():
        _write_text(root / 'list_folder' / f'{split}.txt', [f'{name} 17' for name in names])
        for name in names:
            for directory, array in contents(name, depth).items():
                _write(root / directory / name, array)
    return root


def contents(name: str, depth: type = np.uint16) -> dict[str, np.ndarray]:
    """By directory, what the files of a sample hold; colours as red, green, blue."""
    rng = np.random.default_rng(list(name.encode()))
    top = np.iinfo(depth).max
    angle = rng.uniform(-np.pi, np.pi, HW)
    labels = rng.integers(0, 20, HW).astype(np.uint8)
    labels[:2] = 255
    return {
        'polL_color': rng.integers(0, top, (*HW, 3), endpoint=True).astype(depth),
        'NIR_warped': rng.integers(0, top, HW, endpoint=True).astype(depth),
        'NIR_warped_mask': np.where(rng.random(HW) < 0.1, 255, 0).astype(np.uint8),
        'GT': labels,
        'polL_aolp_sin': np.sin(angle),
        'polL_aolp_cos': np.cos(angle),
        'polL_dolp': rng.random(HW).astype(np.float32),
    }


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if array.dtype.kind == 'f':
        np.save(f'{path}.npy', array)
    else:
        cv2.imwrite(f'{path}.png', array[:, :, ::-1] if array.ndim == 3 else array)


def _write_text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join([*lines, '']))
