"""KITTI raw data (cvlibs.net): left colour camera and Velodyne of one synchronised drive."""

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
import re

from mle_sam_ros.bags.convert.rig import Item, POINT, Rig, write_streams
from mle_sam_ros.bags.convert.text_file import read_text
from mle_sam_ros.bags.data_sets.image_files import check_files, read_image
from mle_sam_ros.core.calibration import Calibration, parse_calibration
from mle_sam_ros.core.errors import InputError
import numpy as np

_ROW_BYTES = 16  # x, y, z and reflectance: float32
_TIME = re.compile(r'(20[0-9]{2}-\d\d-\d\d \d\d:\d\d:\d\d)\.([0-9]{9})')


def convert_kitti(drive: Path, out: Path) -> None:
    """Write a drive (`synced+rectified`) as a bag, with the rectified left colour camera.

    A sweep is stamped when the laser faced forward, which is when the cameras were triggered, and
    logged at its end. Times are taken as UTC. The points have no times of their own.

    Args:
        drive: directory such as 2011_09_26_drive_0001_sync, with image_02/ and velodyne_points/;
            the calibration files lie beside it.
        out: the `.mcap` file.

    Raises:
        InputError: for a directory that is none, or files that contradict one another.
    """
    cloud_directory = drive / 'velodyne_points'
    names = ('timestamps.txt', 'timestamps_end.txt')
    calibration_paths = [drive.parent / f'calib_{n}.txt' for n in ('cam_to_cam', 'velo_to_cam')]
    check_files(
        [
            drive / 'image_02' / names[0],
            *(cloud_directory / name for name in names),
            *calibration_paths,
        ]
    )
    calibration = read_calibration(*calibration_paths)
    images = _numbered(drive / 'image_02' / 'data', '.png')
    clouds = _numbered(cloud_directory / 'data', '.bin')
    stamps_ns = _read_times(drive / 'image_02' / names[0])
    forward_ns, end_ns = (_read_times(cloud_directory / name) for name in names)
    _check_numbers(images, stamps_ns, drive / 'image_02')
    # Some drives lack single sweeps; numbers tell which.
    _check_numbers(clouds, forward_ns, cloud_directory)
    _check_numbers(clouds, end_ns, cloud_directory)
    rig = Rig(calibration)
    start_ns = min(stamps_ns[0], end_ns[0])
    streams = [
        rig.mounting(start_ns),
        _frames(rig, images, stamps_ns),
        _sweeps(rig, clouds, forward_ns, end_ns),
    ]
    total = 1 + 2 * len(images) + len(clouds)
    write_streams(out, streams, {'data_set': 'KITTI raw', 'source': drive.name}, total)


def read_calibration(camera_path: Path, lidar_path: Path) -> Calibration:
    """The rectified left colour camera, and where the LiDAR stands.

    A point of the LiDAR goes through R and T of `calib_velo_to_cam.txt` into camera 0, through
    R_rect_00 into its rectified frame, and from there along the baseline in P_rect_02.

    Raises:
        InputError: for a file that lacks one of the matrices.
    """
    cameras, lidar = _read_values(camera_path), _read_values(lidar_path)
    projection = _matrix(cameras, 'P_rect_02', (3, 4), camera_path)
    width, height = _matrix(cameras, 'S_rect_02', (2,), camera_path).tolist()
    turn, pose = np.eye(4), np.eye(4)
    turn[:3, :3] = _matrix(cameras, 'R_rect_00', (3, 3), camera_path)
    pose[:3, :3] = _matrix(lidar, 'R', (3, 3), lidar_path)
    pose[:3, 3] = _matrix(lidar, 'T', (3,), lidar_path)
    matrix = projection[:, :3]
    if not np.linalg.det(matrix):
        raise InputError(
            f'{camera_path}: expected a projection in P_rect_02, got {projection.tolist()}; '
            'download it again'
        )
    shift = np.eye(4)
    shift[:3, 3] = np.linalg.inv(matrix) @ projection[:, 3]
    mapping = {
        'cameras': {
            'camera': {
                'size_hw': [int(height), int(width)],
                'matrix': matrix.reshape(-1).tolist(),
                'distortion': [0.0] * 5,
            }
        },
        'camera_from': {'lidar': (shift @ turn @ pose).tolist()},
    }
    return parse_calibration(mapping, f'{camera_path} and {lidar_path.name}')


def _frames(rig: Rig, images: dict[int, Path], stamps_ns: list[int]) -> Iterator[Item]:
    for number, path in images.items():
        yield from rig.frame(read_image(path), stamps_ns[number])


def _sweeps(
    rig: Rig, clouds: dict[int, Path], forward_ns: list[int], end_ns: list[int]
) -> Iterator[Item]:
    for number, path in clouds.items():
        num_bytes = path.stat().st_size
        if num_bytes == 0 or num_bytes % _ROW_BYTES:
            raise InputError(
                f'{path}: expected rows of x, y, z and reflectance ({_ROW_BYTES} bytes), got '
                f'{num_bytes} bytes; download it again'
            )
        points = np.fromfile(path, POINT)
        yield rig.sweep(points, forward_ns[number], end_ns[number])


def _numbered(directory: Path, suffix: str) -> dict[int, Path]:
    """Files by their number, in order."""
    paths = sorted(directory.glob(f'*{suffix}'))
    if not paths or not all(path.stem.isdigit() for path in paths):
        raise InputError(
            f'{directory}: expected files such as 0000000000{suffix}, got '
            f'{paths[0].name if paths else "none"}; give a drive of KITTI raw (synced+rectified)'
        )
    return {int(path.stem): path for path in paths}


def _check_numbers(files: dict[int, Path], times_ns: list[int], where: Path) -> None:
    if max(files) >= len(times_ns):
        raise InputError(
            f'{where}: expected a line of timestamps for each file, got {len(times_ns)} lines and '
            f'{files[max(files)].name}; complete the drive'
        )


def _read_times(path: Path) -> list[int]:
    times = []
    for line in read_text(path).split('\n'):
        if not line.strip():
            continue
        try:
            times.append(_time_ns(line.strip()))
        except ValueError:
            raise InputError(
                f'{path}: expected lines such as 2011-09-26 13:02:25.594360375, got '
                f'{line.strip()[:40]!r}; download it again'
            ) from None
    if not times:
        raise InputError(f'{path}: expected timestamps, got none; download it again')
    return times


def _time_ns(text: str) -> int:
    """Nanoseconds since 1970; a ValueError for what is no time of these drives."""
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(text)
    moment = datetime.strptime(found[1], '%Y-%m-%d %H:%M:%S').replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 1_000_000_000 + int(found[2])


def _read_values(path: Path) -> dict[str, str]:
    lines = read_text(path).splitlines()
    return {key.strip(): value for key, _, value in (line.partition(':') for line in lines)}


def _matrix(values: dict[str, str], name: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    try:
        return np.array(values[name].split(), np.float64).reshape(shape)
    except (KeyError, ValueError) as error:
        raise InputError(
            f'{path}: expected {name} with {int(np.prod(shape))} numbers, got '
            f'{type(error).__name__} {error}; download it again'
        ) from None
