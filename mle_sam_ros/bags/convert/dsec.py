"""DSEC (dsec.ifi.uzh.ch): left frame camera and left event camera of one sequence."""

from collections.abc import Iterator, Mapping
from pathlib import Path
import re
from typing import Any

from mle_sam_ros.bags.convert.event_packets import EventStream
from mle_sam_ros.bags.convert.rig import Item, Rig, write_streams
from mle_sam_ros.bags.convert.text_file import read_text
from mle_sam_ros.bags.data_sets.hdf5_file import dataset_of, open_hdf5
from mle_sam_ros.bags.data_sets.image_files import check_files, read_image
from mle_sam_ros.core.calibration import Calibration, parse_calibration
from mle_sam_ros.core.errors import InputError
import numpy as np
import yaml

_EVENT_HW = (480, 640)
_MICROSECONDS = re.compile('[0-9]{1,15}')


def convert_dsec(sequence: Path, out: Path) -> None:
    """Write a sequence as a bag.

    Frames are the rectified ones of the left camera, with the calibration that belongs to them;
    events keep their raw coordinates, with the lens of their camera. Frames are stamped with the
    data set's image timestamps, the middle of the exposure.

    Args:
        sequence: directory with calibration/, events/left/events.h5, images/timestamps.txt and
            images/left/rectified/.
        out: the `.mcap` file.

    Raises:
        InputError: for a directory that is none, or files that contradict one another.
    """
    events_path = sequence / 'events' / 'left' / 'events.h5'
    stamps_path = sequence / 'images' / 'timestamps.txt'
    calibration_path = sequence / 'calibration' / 'cam_to_cam.yaml'
    check_files([events_path, stamps_path, calibration_path])
    images = sorted((sequence / 'images' / 'left' / 'rectified').glob('*.png'))
    stamps_ns = _read_stamps(stamps_path, len(images))
    calibration = read_calibration(
        calibration_path,
        calibration_path.with_name('cam_to_lidar.yaml'),
        read_image(images[0]).shape[:2],
    )
    rig = Rig(calibration)
    with open_hdf5(events_path) as file:
        # Without the offset, events are on a clock of their own.
        offset_us = int(dataset_of(file, 't_offset', events_path, (), 'iu')[()])
        events = _event_group(file, events_path)
        stream = EventStream(events, events_path, offset_us * 1000, _EVENT_HW)
        start_ns = min(stamps_ns[0], stream.first_ns())
        streams = [
            rig.mounting(start_ns),
            rig.event_camera_info(start_ns),
            _frames(rig, images, stamps_ns, calibration),
            stream.packets(),
        ]
        total = 2 + 2 * len(images) + stream.num_packets()
        write_streams(out, streams, {'data_set': 'DSEC', 'source': sequence.name}, total)


def _event_group(file: Any, path: Path) -> Any:
    """The group with x, y, t and p.

    Raises:
        InputError: where the file has none.
    """
    if 'events' not in file or not hasattr(file['events'], 'keys'):
        raise InputError(
            f'{path}: expected a group events with x, y, t and p, got {", ".join(file)}; '
            'give the events.h5 of DSEC'
        )
    return file['events']


def read_calibration(path: Path, lidar_path: Path, frame_hw: tuple[int, ...]) -> Calibration:
    """The rectified left frame camera (camRect1), the left event camera (cam0), and the LiDAR.

    `T_10` maps points of cam0 into cam1, `R_rect1` turns cam1 into camRect1, and
    `T_lidar_camRect1` maps points of camRect1 into the LiDAR's frame.

    Args:
        path: `cam_to_cam.yaml`.
        lidar_path: `cam_to_lidar.yaml`; without it the LiDAR's pose stays unknown.
        frame_hw: (height, width) of the frames, where the file does not say.

    Raises:
        InputError: for a file that lacks one of them, or has another distortion model.
    """
    content = _read_yaml(path)
    try:
        intrinsics, extrinsics = content['intrinsics'], content['extrinsics']
        frame, event = intrinsics['camRect1'], intrinsics['cam0']
        model = event.get('distortion_model', 'radtan')
        turn = np.eye(4)
        turn[:3, :3] = np.array(extrinsics['R_rect1'], np.float64)
        camera_from = {'event': turn @ np.array(extrinsics['T_10'], np.float64)}
        cameras = {
            'camera': _camera(frame, frame_hw, [0.0] * 4),
            'event': _camera(event, _EVENT_HW, event['distortion_coeffs']),
        }
        if lidar_path.is_file():
            pose: np.ndarray = np.array(_read_yaml(lidar_path)['T_lidar_camRect1'], np.float64)
            camera_from['lidar'] = np.linalg.inv(pose)
    except (KeyError, TypeError, ValueError, AttributeError, np.linalg.LinAlgError) as error:
        raise InputError(
            f'{path}: expected intrinsics of camRect1 and cam0, extrinsics T_10 and R_rect1, and '
            f'T_lidar_camRect1 beside it, got {type(error).__name__} {error}; download it again'
        ) from None
    if model != 'radtan':
        raise InputError(
            f'{path}: expected distortion_model radtan of cam0, got {model!r}; '
            'the file is of another data set or version'
        )
    mapping = {
        'cameras': cameras,
        'camera_from': {name: pose.tolist() for name, pose in camera_from.items()},
    }
    return parse_calibration(mapping, str(path))


def _camera(entry: Any, size_hw: tuple[int, ...], coefficients: Any) -> dict[str, object]:
    fx, fy, cx, cy = (float(value) for value in entry['camera_matrix'])
    width, height = (int(value) for value in entry.get('resolution', size_hw[::-1]))
    k1, k2, p1, p2 = (float(value) for value in coefficients)
    return {
        'size_hw': [height, width],
        'matrix': [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        'distortion': [k1, k2, p1, p2, 0.0],
    }


def _frames(
    rig: Rig, images: list[Path], stamps_ns: list[int], calibration: Calibration
) -> Iterator[Item]:
    size_hw = calibration.cameras['camera'].size_hw
    for path, stamp_ns in zip(images, stamps_ns, strict=True):
        image = read_image(path)
        if image.shape[:2] != size_hw:
            raise InputError(
                f'{path}: expected {size_hw[1]} x {size_hw[0]} as the calibration says, got '
                f'{image.shape[1]} x {image.shape[0]}; the files are of different sequences'
            )
        yield from rig.frame(image, stamp_ns)


def _read_stamps(path: Path, num_images: int) -> list[int]:
    lines = [line.split('#')[0].strip() for line in read_text(path).splitlines()]
    values = [line for line in lines if line]
    if not values or len(values) != num_images or not all(map(_MICROSECONDS.fullmatch, values)):
        raise InputError(
            f'{path}: expected one number of microseconds for each of the {num_images} pictures '
            f'in left/rectified, got {len(values)} lines; complete the sequence'
        )
    return [int(value) * 1000 for value in values]


def _read_yaml(path: Path) -> Mapping[str, Any]:
    text = read_text(path)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(
            f'{path}: expected a calibration file of DSEC (YAML), got '
            f'{" ".join(str(error).split())[:120]!r}; download it again'
        ) from None
    return content
