"""Class ids of a data set to those of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import re

from mle_sam_ros.core.errors import InputError
import numpy as np
import yaml

NO_CLASS = 255
CITYSCAPES = (
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
    'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
    'motorcycle', 'bicycle',
)  # fmt: skip
DELIVER = (
    'Building', 'Fence', 'Other', 'Pedestrian', 'Pole', 'RoadLine', 'Road', 'SideWalk',
    'Vegetation', 'Cars', 'Wall', 'TrafficSign', 'Sky', 'Ground', 'Bridge', 'RailTrack',
    'GroundRail', 'TrafficLight', 'Static', 'Dynamic', 'Water', 'Terrain', 'TwoWheeler', 'Bus',
    'Truck',
)  # fmt: skip
# Ids as the label maps hold them: 255 is void everywhere. DELIVER's own files count from 1; what
# `mle-sam convert` and the loaders make of them counts from 0.
CLASS_LISTS: Mapping[str, Sequence[str]] = {
    'cityscapes': CITYSCAPES,
    'muses': CITYSCAPES,
    'deliver': DELIVER,
}
# Names of one thing in several data sets.
_SAME = {'cars': 'car', 'person': 'pedestrian', 'line': 'roadline'}


@dataclass(frozen=True, eq=False)
class ClassMapping:
    """What each id of a label map means to a model.

    Attributes:
        name: of the data set's classes, or the file that maps them.
        table: (256,) uint8 class ids of the model; 255 for what is not scored.
        known: (256,) bool, which ids the data set has at all.
        unscored: names of the data set's classes that the model does not have.
        unmet: names of the model's classes that the data set does not have.
    """

    name: str
    table: np.ndarray
    known: np.ndarray
    unscored: tuple[str, ...]
    unmet: tuple[str, ...]

    def apply(self, label_map: np.ndarray, source: str) -> np.ndarray:
        """The label map in the model's ids.

        Args:
            label_map: (H, W) uint8 ids of the data set, 255 where unknown.
            source: where it came from, for error messages.

        Raises:
            InputError: for an id that the data set does not have.
        """
        present = np.bincount(label_map.reshape(-1), minlength=256) > 0
        strangers = np.flatnonzero(present & ~self.known)
        if strangers.size:
            raise InputError(
                f'{source}: expected class ids of {self.name}, or 255, got {strangers[0]}; '
                'name the classes that the labels really have'
            )
        return self.table[label_map]


def class_mapping(choice: Path | str, class_names: Sequence[str]) -> ClassMapping:
    """How a data set's classes map onto a model's.

    A named data set (`CLASS_LISTS`) maps by name: `TrafficSign`, `traffic sign` and
    `traffic_sign` are one. A YAML file says it class by class:

    ```yaml
    0: road          # id in the label maps: class of the model
    1: sidewalk
    13: vehicle
    14: vehicle      # several may become one
    18: null         # known, but not scored
    ```

    Args:
        choice: `cityscapes`, `muses`, `deliver`, or the path of such a file.
        class_names: of the model, in the order of its ids.

    Raises:
        InputError: for an unknown name, a file that is none, or a class that the model lacks.
    """
    if str(choice) in CLASS_LISTS:
        return _by_name(str(choice), CLASS_LISTS[str(choice)], class_names)
    return _from_file(Path(choice), class_names)


def _by_name(name: str, classes: Sequence[str], class_names: Sequence[str]) -> ClassMapping:
    id_of = {_plain(text): index for index, text in enumerate(class_names)}
    pairs = {index: id_of.get(_plain(text), NO_CLASS) for index, text in enumerate(classes)}
    if set(pairs.values()) == {NO_CLASS}:
        raise InputError(
            f'classes: expected some class of {name} among those of the model, got '
            f'{", ".join(class_names)}; map them in a YAML file'
        )
    return _mapping(name, pairs, dict(enumerate(classes)), class_names)


def _from_file(path: Path, class_names: Sequence[str]) -> ClassMapping:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected one of {", ".join(CLASS_LISTS)}, or a YAML file of class ids, got '
            f'{reason}; correct the name'
        ) from None
    if not isinstance(content, dict) or not content:
        raise InputError(
            f'{path}: expected pairs of class id and class name, got {type(content).__name__}; '
            'write lines such as 0: road'
        )
    id_of = {_plain(text): index for index, text in enumerate(class_names)}
    pairs = {}
    for key, value in content.items():
        if type(key) is not int or not 0 <= key < NO_CLASS:
            raise InputError(f'{path}: expected class ids from 0 to 254, got {key!r}; correct it')
        if value is not None and _plain(str(value)) not in id_of:
            raise InputError(
                f'{path}: expected one of {", ".join(class_names)} for {key}, or null, got '
                f'{value!r}; name a class of the model'
            )
        pairs[key] = NO_CLASS if value is None else id_of[_plain(str(value))]
    return _mapping(str(path), pairs, {key: str(key) for key in pairs}, class_names)


def _mapping(
    name: str,
    pairs: Mapping[int, int],
    names: Mapping[int, str],
    class_names: Sequence[str],
) -> ClassMapping:
    table = np.full(256, NO_CLASS, np.uint8)
    known = np.zeros(256, bool)
    known[NO_CLASS] = True
    for key, value in pairs.items():
        table[key], known[key] = value, True
    unscored = tuple(names[key] for key, value in pairs.items() if value == NO_CLASS)
    met = set(pairs.values())
    unmet = tuple(text for index, text in enumerate(class_names) if index not in met)
    return ClassMapping(name, table, known, unscored, unmet)


def _plain(text: str) -> str:
    letters = re.sub('[^a-z0-9]', '', text.lower())
    return _SAME.get(letters, letters)
