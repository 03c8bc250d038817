"""MUSES (muses.ethz.ch): single moments of many recordings, as the frames of one bag."""

from collections.abc import Iterator
from pathlib import Path

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.convert.event_packets import PACKET_NS
from mle_sam_ros.bags.convert.rig import EPOCH_NS, FRAMES, Item, Rig, TIMED_POINT, write_streams
from mle_sam_ros.bags.data_sets.image_files import check_files, read_image, read_labels
from mle_sam_ros.bags.data_sets.muses_files import read_events, read_rows
from mle_sam_ros.bags.data_sets.muses_index import Frame, read_frames, read_json
from mle_sam_ros.bags.muses_calibration import EVENT_HW, FRAME_HW, parse_muses_calibration
from mle_sam_ros.core.errors import InputError
import numpy as np

# Far enough apart that no sweep or event serves two frames, near enough for a camera that lives.
FRAME_PERIOD_NS = 200_000_000
_EVENTS_NS = 150_000_000
_MAX_APART_NS = 1_000_000_000
_NUM_CLASSES = 19
_SENSORS = ('camera', 'event', 'lidar')


def convert_muses(root: Path, out: Path, part: str = 'val') -> None:
    """Write the frames of a split, or of one of its conditions, as a bag.

    Each frame is a moment of its own, so they follow one another every 200 ms on a made-up clock.
    A frame's sweep keeps its distance in time from the middle of the exposure; its events end with
    the frame, as in the SDK.

    Args:
        root: directory with meta.json and calib.json.
        out: the `.mcap` file.
        part: `val`, or `val/fog`, or `val/fog/night`.

    Raises:
        InputError: for a wrong root or part, or files that are not as published.
    """
    split, *_ = part.split('/')
    frames = read_frames(root, split, _SENSORS)
    frames = [frame for frame in frames if f'{frame.name}/'.startswith(f'{part}/')]
    if not frames:
        raise InputError(
            f'{root}: expected frames of {part}, got none; give a split and, with slashes, '
            'weather and time of day, such as val/fog/night'
        )
    check_files(root / path for frame in frames for path in frame.paths.values())
    calibration_path = root / 'calib.json'
    calibration = parse_muses_calibration(read_json(calibration_path), str(calibration_path))
    rig = Rig(calibration)
    streams = [
        rig.mounting(EPOCH_NS),
        rig.event_camera_info(EPOCH_NS),
        # What a frame is made from is there before the frame is.
        _sweeps(rig, root, frames),
        _events(root, frames),
        _images(rig, root, frames),
    ]
    custom_data = {'data_set': 'MUSES', 'source': part}
    conditions = {frame.condition for frame in frames}
    if len(conditions) == 1:
        custom_data |= {'condition': conditions.pop(), 'failure': 'none'}
    per_frame = 4 + _EVENTS_NS // PACKET_NS
    write_streams(out, streams, custom_data, 2 + per_frame * len(frames))


def _stamps(frames: list[Frame]) -> Iterator[tuple[Frame, int]]:
    for index, frame in enumerate(frames):
        yield frame, EPOCH_NS + (index + 1) * FRAME_PERIOD_NS


def _images(rig: Rig, root: Path, frames: list[Frame]) -> Iterator[Item]:
    for frame, stamp_ns in _stamps(frames):
        path = root / frame.paths['camera']
        image = read_image(path)
        if image.shape[:2] != FRAME_HW:
            raise InputError(
                f'{path}: expected {FRAME_HW[1]} x {FRAME_HW[0]} as the calibration is for, got '
                f'{image.shape[1]} x {image.shape[0]}; use the pictures as published'
            )
        labels_path = root / frame.labels
        labels = read_labels(labels_path, _NUM_CLASSES) if labels_path.is_file() else None
        yield from rig.frame(image, stamp_ns, labels)


def _events(root: Path, frames: list[Frame]) -> Iterator[Item]:
    seq = 0
    for frame, stamp_ns in _stamps(frames):
        events = read_events(root / frame.paths['event'], _EVENTS_NS)
        if len(events):
            events.t_ns[:] += stamp_ns - events.t_ns[-1]
        for end_ns in range(stamp_ns - _EVENTS_NS + PACKET_NS, stamp_ns + 1, PACKET_NS):
            part = events.window(end_ns - PACKET_NS, end_ns)
            packet = messages.event_packet(part, EVENT_HW, end_ns, FRAMES['event'], seq)
            yield end_ns, '/event_camera/events', packet
            seq += 1


def _sweeps(rig: Rig, root: Path, frames: list[Frame]) -> Iterator[Item]:
    for frame, stamp_ns in _stamps(frames):
        path = root / frame.paths['lidar']
        rows = read_rows(path)
        rows = rows[np.isfinite(rows).all(axis=1)]
        after_ns = _after_exposure_ns(rows, frame, path)
        points = np.empty(len(rows), TIMED_POINT)
        for column, axis in enumerate(('x', 'y', 'z', 'intensity', 'ring')):
            points[axis] = rows[:, column]
        points['t'] = after_ns - after_ns.min()
        yield rig.sweep(points, stamp_ns + int(after_ns.min()), stamp_ns)


def _after_exposure_ns(rows: np.ndarray, frame: Frame, path: Path) -> np.ndarray:
    """(N,) int64: when each point was measured, after the middle of the frame's exposure."""
    if frame.exposure_us is None:
        raise InputError(
            f'{frame.name}: expected the times of the exposure in meta.json, got none; '
            'download it again'
        )
    middle_s = sum(frame.exposure_us) / 2e6
    after_ns = np.rint((rows[:, 5] - middle_s) * 1e9)
    if not len(rows) or np.abs(after_ns).max() > _MAX_APART_NS:
        raise InputError(
            f'{path}: expected points measured within a second of the exposure '
            f'({middle_s:.6f} s), got {len(rows)} from {rows[:, 5].min(initial=np.inf):.6f} to '
            f'{rows[:, 5].max(initial=-np.inf):.6f} s; their clocks are not as this converter '
            'takes them to be'
        )
    return after_ns.astype(np.int64)
