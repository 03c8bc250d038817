"""Kalibr's camchain: intrinsics of several cameras, each placed by the one before it."""

from collections.abc import Mapping
from itertools import pairwise
import re
from typing import Any

from mle_sam_ros.core.calibration import Calibration, check_rigid
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
import numpy as np

_CAMERA_NAME = re.compile(r'cam(\d+)')
# Kalibr's name of each lens to CameraInfo's, and the zeros that its coefficients lack.
_LENSES = {
    'radtan': ('plumb_bob', 4, 1),
    'equidistant': ('equidistant', 4, 0),
    'equi': ('equidistant', 4, 0),
    'none': ('plumb_bob', 0, 5),
}


def is_camchain(content: object) -> bool:
    """Whether a YAML file's content looks like a camchain."""
    return isinstance(content, Mapping) and 'cam0' in content


def parse_camchain(content: Any, source: str, cameras: Mapping[str, str]) -> Calibration:
    """Read the content of a camchain.

    Args:
        content: what `is_camchain` took for one.
        source: the file, for error messages.
        cameras: `camera` and `event` to `cam0`, `cam1`, …. Where nothing is said, a camera whose
            rostopic has `event` or `dvs` in it is the event camera, and the only other one the
            camera.

    Raises:
        InputError: for another structure, a lens that is not supported, or where it cannot be
            told which camera is which.
    """
    chain = sorted(
        (name for name in content if _CAMERA_NAME.fullmatch(str(name))),
        key=lambda name: int(name[3:]),
    )
    if chain != [f'cam{index}' for index in range(len(chain))]:
        raise InputError(
            f'{source}: expected cam0, cam1, … without gaps, got {", ".join(chain)}; '
            'give the file as Kalibr wrote it'
        )
    roles = _roles(content, chain, source, cameras)
    models = {role: _camera(content[name], f'{source}: {name}') for role, name in roles.items()}
    if 'event' not in roles:
        return Calibration(models)
    from_first = _from_first(content, chain, source)
    camera_from_event = from_first[roles['camera']] @ np.linalg.inv(from_first[roles['event']])
    return Calibration(models, {'event': camera_from_event})


def _roles(
    content: Any, chain: list[str], source: str, cameras: Mapping[str, str]
) -> dict[str, str]:
    topics = {
        name: str(content[name].get('rostopic', '')) if isinstance(content[name], Mapping) else ''
        for name in chain
    }
    event_names = [name for name in chain if re.search('event|dvs', topics[name].lower())]
    other_names = [name for name in chain if name not in event_names]
    roles = dict(cameras)
    for role, names in (('camera', other_names), ('event', event_names)):
        free = [name for name in names if name not in roles.values()]
        if role not in roles and len(free) == 1:
            roles[role] = free[0]
    listed = ', '.join(f'{name} ({topics[name] or "no rostopic"})' for name in chain)
    unknown = [role for role in roles if role not in ('camera', 'event')]
    is_told = 'camera' in roles and ('event' in roles or not event_names)
    if unknown or not is_told or not set(roles.values()) <= set(chain):
        raise InputError(
            f'{source}: expected to know which is the camera and which the event camera, got '
            f'{listed}; say it with --camera camera=cam0 --camera event=cam1 of '
            'mle-sam calibration'
        )
    return roles


def _from_first(content: Any, chain: list[str], source: str) -> dict[str, np.ndarray]:
    """By camera, (4, 4) from the coordinates of cam0 to its own."""
    from_first = {'cam0': np.eye(4)}
    for before, name in pairwise(chain):
        where = f'{source}: {name}.T_cn_cnm1'
        matrix = _numbers(content[name], 'T_cn_cnm1', f'{source}: {name}')
        from_first[name] = check_rigid(matrix, where) @ from_first[before]
    return from_first


def _camera(entry: Any, where: str) -> CameraModel:
    model, lens = _text(entry, 'camera_model', where), _text(entry, 'distortion_model', where)
    if model != 'pinhole' or lens not in _LENSES:
        raise InputError(
            f'{where}: expected camera_model pinhole with distortion_model '
            f'{", ".join(_LENSES)}, got {model} with {lens}; calibrate with pinhole-radtan or '
            'pinhole-equi'
        )
    distortion_model, num_coefficients, num_zeros = _LENSES[lens]
    intrinsics = _numbers(entry, 'intrinsics', where)
    resolution = _numbers(entry, 'resolution', where)
    coefficients = _numbers(entry, 'distortion_coeffs', where)
    lengths = intrinsics.shape, resolution.shape, coefficients.shape
    if lengths != ((4,), (2,), (num_coefficients,)):
        raise InputError(
            f'{where}: expected 4 intrinsics, 2 of resolution and {num_coefficients} '
            f'distortion_coeffs, got {intrinsics.tolist()}, {resolution.tolist()} and '
            f'{coefficients.tolist()}; give the file as Kalibr wrote it'
        )
    fx, fy, cx, cy = intrinsics
    width, height = (int(value) for value in np.nan_to_num(resolution))
    try:
        return CameraModel(
            (height, width),
            np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]),
            np.append(coefficients, np.zeros(num_zeros)),
            distortion_model,
        )
    except InputError as error:
        raise InputError(f'{where}: {error}') from None


def _text(entry: Any, key: str, where: str) -> str:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(value, str):
        raise InputError(
            f'{where}: expected a text as {key}, got {value!r}; give the file as Kalibr wrote it'
        )
    return value


def _numbers(entry: Any, key: str, where: str) -> np.ndarray:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f'{where}: expected numbers as {key}, got {value!r}; give the file as Kalibr wrote it'
        ) from None
