"""The index of MUSES: which frames there are, in which conditions, and where their files lie."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from mle_sam_ros.core.errors import InputError

# Field of meta.json that says where a modality lies.
_PATH_FIELDS = {
    'camera': 'path_to_frame_camera',
    'event': 'path_to_event_camera',
    'lidar': 'path_to_lidar',
}
_CAMERA, _CAMERA_ENDING = 'frame_camera', '_frame_camera.png'
_LABELS, _LABELS_ENDING = 'gt_semantic', '_gt_labelTrainIds.png'


class Frame(NamedTuple):
    """One frame; all paths are within the data set.

    Attributes:
        name: `val/fog/night/REC0012_frame_000345`.
        condition: weather and time of day: `fog_night`.
        paths: modality to the file of its sensor.
        exposure_us: begin and end of the exposure; None where meta.json does not say.
    """

    name: str
    condition: str
    paths: dict[str, Path]
    exposure_us: tuple[int, int] | None

    @property
    def labels(self) -> Path:
        """The file of the labels, which meta.json does not name."""
        return Path(_LABELS, self.name + _LABELS_ENDING)


def read_frames(root: Path, split: str, modalities: tuple[str, ...]) -> list[Frame]:
    """The frames that `meta.json` has of a split, in the order of their names.

    Raises:
        InputError: for a `meta.json` that is missing or lacks what is needed, or has no such
            frame.
    """
    path = root / 'meta.json'
    meta = read_json(path)
    frames = [
        _frame(entry, modalities, f'{path}: {key}')
        for key, entry in sorted(meta.items())
        if isinstance(entry, dict) and entry.get('split') == split
    ]
    if not frames:
        raise InputError(
            f'{path}: expected frames of the split {split}, got none in {len(meta)} entries; '
            'download it again'
        )
    return frames


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds.

    Raises:
        InputError: for a file that is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected a JSON file of MUSES, got {reason}; '
            'correct the path of the data set'
        ) from None
    if not isinstance(content, dict):
        raise InputError(
            f'{path}: expected a mapping, got {type(content).__name__}; download it again'
        )
    return content


def _frame(entry: dict[str, Any], modalities: tuple[str, ...], where: str) -> Frame:
    fields = ['weather', 'time_of_day', _PATH_FIELDS['camera']]
    for field in (*fields, *(_PATH_FIELDS[name] for name in modalities)):
        if not isinstance(entry.get(field), str):
            raise InputError(
                f'{where}: expected a text as {field}, got {entry.get(field)!r}; download it again'
            )
    camera = Path(entry[_PATH_FIELDS['camera']])
    if camera.parts[0] != _CAMERA or not camera.name.endswith(_CAMERA_ENDING):
        raise InputError(
            f'{where}: expected {_PATH_FIELDS["camera"]} as {_CAMERA}/...{_CAMERA_ENDING}, got '
            f'{camera}; download it again'
        )
    name = camera.relative_to(_CAMERA).as_posix().removesuffix(_CAMERA_ENDING)
    condition = f'{entry["weather"]}_{entry["time_of_day"]}'
    paths = {name: Path(entry[_PATH_FIELDS[name]]) for name in modalities}
    begin, end = (
        entry.get(f'frame_camera_exposure_{moment}_timestamp_us') for moment in ('start', 'end')
    )
    exposure_us = (begin, end) if isinstance(begin, int) and isinstance(end, int) else None
    return Frame(name, condition, paths, exposure_us)
