"""Which data a run sees: one record per kind of data set, chosen by `kind` in the recipe."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from mle_sam_ros.core.errors import InputError

Split = Literal['train', 'val', 'test']


@dataclass(frozen=True)
class DriveData:
    """Drives: simulated ones by seed (a town with its own traffic and weather), and recordings.

    Attributes:
        root: directory of the shards; what is not there yet is simulated when it is first wanted.
        train_seeds: first and last.
        validation_seeds: first and last; none of them among the training ones.
        moments_per_seed: instants taken from each.
        train_bags: recordings with a label topic.
        validation_bags: likewise.
        topics: stream to topic of the recordings, where their names do not tell.
        calibration: YAML file of the rig that made the recordings; without one, they carry
            CameraInfo and /tf_static themselves.
        train_conditions: light and weather; training samples of any other are left out. None for
            all.
    """

    kind: ClassVar[str] = 'drives'
    root: str
    train_seeds: tuple[int, int] | None = None
    validation_seeds: tuple[int, int] | None = None
    moments_per_seed: int = 24
    train_bags: tuple[str, ...] = ()
    validation_bags: tuple[str, ...] = ()
    topics: dict[str, str] = field(default_factory=dict)
    calibration: str | None = None
    train_conditions: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        train, validation = self.seeds('train'), self.seeds('val')
        if self.moments_per_seed < 1:
            raise InputError(
                f'data.moments_per_seed: expected at least 1, got {self.moments_per_seed}; '
                'correct the recipe'
            )
        if set(train) & set(validation) or set(self.train_bags) & set(self.validation_bags):
            raise InputError(
                'data: expected validation seeds and recordings never trained on, got '
                f'{self.validation_seeds} and {self.validation_bags} beside {self.train_seeds} '
                f'and {self.train_bags}; correct the recipe'
            )

    def seeds(self, split: Split) -> range:
        """The seeds of a split.

        Raises:
            InputError: for the split `test`, which drives do not have, or a last seed before the
                first.
        """
        limits = self.train_seeds if self._is_training(split) else self.validation_seeds
        first, last = limits or (0, -1)
        if limits is not None and not 0 <= first <= last:
            raise InputError(
                f'data: expected seeds as first, last, from 0 on, got {limits}; correct the recipe'
            )
        return range(first, last + 1)

    def bags(self, split: Split) -> tuple[str, ...]:
        """The recordings of a split.

        Raises:
            InputError: for the split `test`.
        """
        return self.train_bags if self._is_training(split) else self.validation_bags

    def _is_training(self, split: Split) -> bool:
        if split == 'test':
            raise InputError(
                'split: expected train or val, which drives have, got test; choose one of them'
            )
        return split == 'train'


@dataclass(frozen=True)
class DeliverData:
    """DELIVER (arXiv 2303.01480).

    Attributes:
        root: the directory that holds img/, hha/, event/, lidar/ and semantic/.
    """

    kind: ClassVar[str] = 'deliver'
    root: str


@dataclass(frozen=True)
class MusesData:
    """MUSES (arXiv 2401.12761).

    Attributes:
        root: the directory that holds meta.json and calib.json.
        source: `raw`, sweeps and events projected by the vehicle's code, or `projected`, the
            rasters that the MUSES SDK wrote under projected_to_rgb/.
    """

    kind: ClassVar[str] = 'muses'
    root: str
    source: str = 'raw'

    def __post_init__(self) -> None:
        if self.source not in ('raw', 'projected'):
            raise InputError(
                f'data.source: expected raw or projected, got {self.source}; correct the recipe'
            )


@dataclass(frozen=True)
class McubesData:
    """MCubeS.

    Attributes:
        root: the directory that holds polL_color/, GT/ and list_folder/.
        ignore_invalid_nir: labels become 255 where NIR_warped_mask says so, as in the original
            work; False for comparisons with the literature.
    """

    kind: ClassVar[str] = 'mcubes'
    root: str
    ignore_invalid_nir: bool = False


DataConfig = DriveData | DeliverData | MusesData | McubesData
