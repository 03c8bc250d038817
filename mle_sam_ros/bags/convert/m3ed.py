"""M3ED (m3ed.io): colour camera, left event camera and Ouster LiDAR of one `_data.h5`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.convert.event_packets import EventStream
from mle_sam_ros.bags.convert.rig import EPOCH_NS, Item, Rig, TIMED_POINT, write_streams
from mle_sam_ros.bags.data_sets.hdf5_file import dataset_of, open_hdf5
from mle_sam_ros.bags.data_sets.ouster_packets import (
    decode_ouster_sweep,
    OusterGeometry,
    parse_ouster_metadata,
)
from mle_sam_ros.core.calibration import Calibration, parse_calibration
from mle_sam_ros.core.errors import InputError
import numpy as np

_CAMERA, _EVENT, _LIDAR = 'ovc/rgb', 'prophesee/left', 'ouster'
_ENDS = ('start', 'end')
# Kalibr's name of a distortion to that of CameraInfo, and the coefficients it adds.
_DISTORTIONS = {'radtan': ('plumb_bob', 1), 'equidistant': ('equidistant', 0)}


def convert_m3ed(path: Path, out: Path) -> None:
    """Write a sequence as a bag.

    The data set counts microseconds from the start of the recording; 10^9 s are added, since a ROS
    clock at zero means that there is none. Pictures are stored blue first, as OpenCV reads them.
    Sweeps are stamped with their beginning, and each point has its time.

    Args:
        path: the `_data.h5` of the sequence.
        out: the `.mcap` file.

    Raises:
        InputError: for a file that is none.
    """
    with open_hdf5(path) as file:
        calibration, event_hw = _read_calibration(file, path)
        rig = Rig(calibration)
        images = dataset_of(file, f'{_CAMERA}/data', path, (None, None, None, 3), 'u')
        image_times = _times_ns(file, 'ovc/ts', len(images), path)
        stream = EventStream(file[_EVENT], path, EPOCH_NS, event_hw)
        packets = dataset_of(file, f'{_LIDAR}/data', path, (None, None, None), 'u')
        geometry = parse_ouster_metadata(_text(file, f'{_LIDAR}/metadata', path), str(path))
        _check_packets(packets, geometry, path)
        spans = [_times_ns(file, f'{_LIDAR}/ts_{end}', len(packets), path) for end in _ENDS]
        streams = [
            rig.mounting(EPOCH_NS),
            rig.event_camera_info(EPOCH_NS),
            _frames(rig, images, image_times),
            stream.packets(),
            _sweeps(rig, packets, geometry, *spans),
        ]
        total = 2 + 2 * len(images) + stream.num_packets() + len(packets)
        write_streams(out, streams, {'data_set': 'M3ED', 'source': path.stem}, total)


def _read_calibration(file: Any, path: Path) -> tuple[Calibration, tuple[int, int]]:
    """The rig, and (height, width) of the event camera.

    `T_to_prophesee_left` maps points of a sensor's frame into that of the left event camera.
    """
    event_from = {
        name: dataset_of(file, f'{group}/calib/T_to_prophesee_left', path, (4, 4), 'f')[:]
        for name, group in (('camera', _CAMERA), ('event', _EVENT), ('lidar', _LIDAR))
    }
    cameras = {
        name: _camera(file, f'{group}/calib', path)
        for name, group in (('camera', _CAMERA), ('event', _EVENT))
    }
    try:
        camera_from_event = np.linalg.inv(event_from['camera'])
    except np.linalg.LinAlgError:
        raise InputError(
            f'{path}: expected a rigid {_CAMERA}/calib/T_to_prophesee_left, got '
            f'{event_from["camera"].tolist()}; download it again'
        ) from None
    camera_from = {
        name: (camera_from_event @ event_from[name]).tolist() for name in ('event', 'lidar')
    }
    calibration = parse_calibration({'cameras': cameras, 'camera_from': camera_from}, str(path))
    return calibration, calibration.cameras['event'].size_hw


def _camera(file: Any, group: str, path: Path) -> dict[str, object]:
    fx, fy, cx, cy = dataset_of(file, f'{group}/intrinsics', path, (4,), 'f')[:].tolist()
    coefficients = dataset_of(file, f'{group}/distortion_coeffs', path, (4,), 'f')[:].tolist()
    width, height = dataset_of(file, f'{group}/resolution', path, (2,), 'iu')[:].tolist()
    model = _text(file, f'{group}/camera_model', path)
    distortion = _text(file, f'{group}/distortion_model', path)
    if model != 'pinhole' or distortion not in _DISTORTIONS:
        raise InputError(
            f'{path}: expected {group} of camera_model pinhole with distortion_model '
            f'{" or ".join(_DISTORTIONS)}, got {model} with {distortion}; '
            'the file is of another data set or version'
        )
    name, num_zeros = _DISTORTIONS[distortion]
    return {
        'size_hw': [height, width],
        'matrix': [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        'distortion': coefficients + [0.0] * num_zeros,
        'distortion_model': name,
    }


def _frames(rig: Rig, images: Any, times_ns: np.ndarray) -> Iterator[Item]:
    for index, stamp_ns in enumerate(times_ns.tolist()):
        yield from rig.frame(np.ascontiguousarray(images[index][:, :, ::-1]), stamp_ns)


def _sweeps(
    rig: Rig,
    packets: Any,
    geometry: OusterGeometry,
    start_ns: np.ndarray,
    end_ns: np.ndarray,
) -> Iterator[Item]:
    for index, stamp_ns in enumerate(start_ns.tolist()):
        returns = decode_ouster_sweep(packets[index], geometry)
        # Where the recording lost a sweep, the data set has zeros.
        if len(returns.xyz):
            points = np.zeros(len(returns.xyz), TIMED_POINT)
            for column, axis in enumerate('xyz'):
                points[axis] = returns.xyz[:, column]
            points['intensity'], points['ring'] = returns.intensity, returns.ring
            # Columns carry the sensor's own clock; within a sweep its rate is right.
            points['t'] = (returns.time_ns - returns.time_ns.min()).clip(0, 2**32 - 1)
            yield rig.sweep(points, stamp_ns, int(end_ns[index]))


def _check_packets(packets: Any, geometry: OusterGeometry, path: Path) -> None:
    if packets.shape[2] < geometry.packet_bytes or packets.dtype != np.uint8:
        raise InputError(
            f'{path}: expected {_LIDAR}/data with packets of {geometry.packet_bytes} bytes, got '
            f'{packets.shape} {packets.dtype}; the file is of another data set or version'
        )


def _times_ns(file: Any, name: str, count: int, path: Path) -> np.ndarray:
    """(count,) int64."""
    times = dataset_of(file, name, path, (count,), 'iu')[:].astype(np.int64)
    if count == 0 or times.min() < 0 or times.max() > 10**12:
        raise InputError(
            f'{path}: expected microseconds since the start in {name}, got {count} values from '
            f'{times.min(initial=0)} to {times.max(initial=0)}; '
            'the file is of another data set or version'
        )
    return EPOCH_NS + times * 1000


def _text(file: Any, name: str, path: Path) -> str:
    value = dataset_of(file, name, path, (), 'OSU')[()]
    return value.decode('utf-8', 'replace') if isinstance(value, bytes) else str(value)
