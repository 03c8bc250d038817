"""The manifest: everything the vehicle must know of a model, kept inside its bundle.

Vehicle configuration never repeats any of it, so training and vehicle cannot drift apart.
"""

from dataclasses import dataclass
import re
from typing import Any, ClassVar

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping

SCHEMA_VERSION = 1
_MAX_SIDE = 8192  # what is allocated for a bundle follows from it
_FILE_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]*')
_SHA256 = re.compile(r'[0-9a-f]{64}')


@dataclass(frozen=True)
class RgbEncoding:
    """Camera image as red, green, blue, uint8, resized to `input_hw`."""

    kind: ClassVar[str] = 'rgb'


@dataclass(frozen=True)
class EventEncoding:
    """Counts of positive and of negative events on the camera's image plane, uint8, saturating.

    Attributes:
        window_ns: length of the window that ends at the reference time.
        dilation_px: side of the square maximum filter; 1 leaves the counts as they are.
    """

    kind: ClassVar[str] = 'event_polarity_counts'
    window_ns: int
    dilation_px: int


@dataclass(frozen=True)
class LidarEncoding:
    """Range (m), intensity (as the driver gives it) and height (m, LiDAR frame), float32.

    Attributes:
        min_range_m: nearer returns come from the vehicle itself and are dropped.
        dilation_px: side of the square that a return fills, nearest return wins; 1 is one pixel.
    """

    kind: ClassVar[str] = 'lidar_range_intensity_height'
    min_range_m: float
    dilation_px: int


@dataclass(frozen=True)
class AlignedImageEncoding:
    """Any other image on the camera's image plane, three channels, resized to `input_hw`.

    Attributes:
        dtype: uint8 or float32.
        resize: `area`, or `nearest`, which keeps the values of sparse images.
    """

    kind: ClassVar[str] = 'aligned_image'
    dtype: str
    resize: str

    def __post_init__(self) -> None:
        if self.dtype not in ('uint8', 'float32') or self.resize not in ('area', 'nearest'):
            raise InputError(
                'encoding aligned_image: expected dtype uint8 or float32 and resize area or '
                f'nearest, got {self.dtype} and {self.resize}; correct the recipe or the manifest'
            )


@dataclass(frozen=True)
class DepthHhaEncoding:
    """Depth as HHA on the camera's image plane: disparity, height, angle; uint8, by area."""

    kind: ClassVar[str] = 'depth_hha'


Encoding = RgbEncoding | EventEncoding | LidarEncoding | AlignedImageEncoding | DepthHhaEncoding


@dataclass(frozen=True)
class ModalitySpec:
    """One input of the network.

    Attributes:
        name: modality and stream name: camera, event, lidar, depth.
        encoding: how its raster is made.
        mean: per channel, in raster units; applied inside the graph.
        std: per channel, in raster units; applied inside the graph.
    """

    name: str
    encoding: Encoding
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class SemanticClass:
    """A class and its colour in overlays (red, green, blue)."""

    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class RouterSpec:
    """The router: how many pyramid levels it weighs, and how many modalities it keeps at each."""

    levels: int
    k: int


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` of a bundle holds.

    Attributes:
        schema_version: of this format; 1.
        model: name of the model.
        revision: git revision of the code that trained it.
        recipe: the resolved training recipe.
        input_hw: (height, width) of every raster.
        resize: how the camera image reaches input_hw; `stretch_area` is the one rule so far.
        modalities: in the order of the stacked features.
        classes: index = class id in the label map.
        router: levels and k.
        files: sha256 by file name, for every file of the bundle but the manifest.
        accuracy: measured figures, with the data they were measured on.
    """

    schema_version: int
    model: str
    revision: str
    recipe: dict[str, Any]
    input_hw: tuple[int, int]
    resize: str
    modalities: tuple[ModalitySpec, ...]
    classes: tuple[SemanticClass, ...]
    router: RouterSpec
    files: dict[str, str]
    accuracy: dict[str, Any]

    @property
    def modality_names(self) -> tuple[str, ...]:
        """Names in the order of the stacked features."""
        return tuple(modality.name for modality in self.modalities)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the class ids."""
        return tuple(item.name for item in self.classes)

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """Colours in the order of the class ids: red, green, blue."""
        return tuple(item.colour for item in self.classes)

    def to_mapping(self) -> dict[str, Any]:
        """The content of `manifest.json`."""
        return to_mapping(self)


def parse_manifest(mapping: object, source: str) -> Manifest:
    """Read the content of a `manifest.json`.

    Args:
        mapping: the parsed JSON.
        source: the file's path, for error messages.

    Raises:
        InputError: for unknown or missing keys, wrong types, or values that contradict each other.
    """
    version = mapping.get('schema_version') if isinstance(mapping, dict) else None
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise InputError(
            f'{source}: expected schema_version {SCHEMA_VERSION}, got {version}; '
            'export the bundle again with this release'
        )
    manifest = from_mapping(Manifest, mapping, source)
    for expectation, is_met, got in _rules(manifest):
        if not is_met:
            raise InputError(
                f'{source}: expected {expectation}, got {got}; export the bundle again'
            )
    return manifest


def _rules(manifest: Manifest) -> list[tuple[str, bool, object]]:
    names, files, router = manifest.modality_names, manifest.files, manifest.router
    modalities = manifest.modalities
    return [
        (
            f'input_hw from 32 to {_MAX_SIDE}, in multiples of 32',
            all(0 < side <= _MAX_SIDE and side % 32 == 0 for side in manifest.input_hw),
            manifest.input_hw,
        ),
        ('resize to be stretch_area', manifest.resize == 'stretch_area', manifest.resize),
        ('at least one modality, each named once', 0 < len(names) == len(set(names)), names),
        ('1 to 255 classes', 1 <= len(manifest.classes) <= 255, len(manifest.classes)),
        ('router.k from 1 to the number of modalities', 1 <= router.k <= len(names), router.k),
        ('positive std', all(min(m.std) > 0 for m in modalities), [m.std for m in modalities]),
        (
            'colours from 0 to 255',
            all(0 <= value <= 255 for item in manifest.classes for value in item.colour),
            [item.colour for item in manifest.classes],
        ),
        (
            'plain file names in files, without directories',
            all(_FILE_NAME.fullmatch(name) for name in files),
            list(files),
        ),
        (
            'sha256 digests in files',
            all(_SHA256.fullmatch(digest) for digest in files.values()),
            list(files.values()),
        ),
    ]
