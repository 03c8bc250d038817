"""Which data a run sees: one record per kind of data set, chosen by `kind` in the recipe."""

from dataclasses import dataclass
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
    """

    kind: ClassVar[str] = 'drives'
    root: str
    train_seeds: tuple[int, int]
    validation_seeds: tuple[int, int]
    moments_per_seed: int
    train_bags: tuple[str, ...] = ()
    validation_bags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        train, validation = self.train_seeds, self.validation_seeds
        if train[1] < train[0] or validation[1] < validation[0]:
            raise InputError(
                f'data: expected seeds as first, last, got {train} and {validation}; '
                'correct the recipe'
            )
        if train[0] <= validation[1] and validation[0] <= train[1]:
            raise InputError(
                f'data: expected validation seeds never trained on, got {validation} within '
                f'{train}; correct the recipe'
            )


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
