"""What the paper itself reports: MLE-SAM, arXiv 2412.04220, Tables I to VIII, mIoU in percent.

These are other people's measurements: they stand beside ours, and never take part in any figure
of ours. They were copied from a text version of the paper.
"""

from dataclasses import dataclass, field

SOURCE = 'MLE-SAM, arXiv 2412.04220'
MLE_SAM = 'MLE-SAM Hiera-B+'
_METHODS = ('CMNeXt MiT-B0', 'CWSAM ViT-B', 'SAM-LoRA ViT-B', MLE_SAM)


@dataclass(frozen=True)
class Ablation:
    """A row of Table V.

    Attributes:
        average: the average of the features is decoded.
        weighted: their weighted sum is.
        auxiliary_head: the second head exists.
        miou: percent.
        trainable: millions of parameters, by the paper's own count.
    """

    average: bool
    weighted: bool
    auxiliary_head: bool
    miou: float
    trainable: float

    @property
    def features(self) -> str:
        """The combination, as a network's configuration would name it."""
        if self.average and self.weighted:
            return 'average and weighted'
        return 'average' if self.average else 'weighted'


@dataclass(frozen=True)
class Published:
    """The paper on one data set. Modalities are named and joined as everywhere: `camera+depth`.

    Attributes:
        name: of the data set.
        split: that the figures are of.
        num_classes: K; the means are over all of them.
        cautions: what to know before comparing.
        combinations: Tables I to III: by method, then by what it was trained and tested on.
        conditions: Table IV: MLE-SAM by what it was trained and tested on, then by condition or
            failure; `all` is the mIoU of the whole split, not the mean of the columns.
        ablations: Table V.
        missing_means: means of Tables VI and VII over all subsets: by what was trained on, then
            by method; missing modalities are zeros.
        missing: MLE-SAM's cells of the same tables: by what was trained on, then what is there.
        noise: Table VIII, MLE-SAM with all modalities: by kind, then the noisy modality.
    """

    name: str
    split: str
    num_classes: int
    cautions: tuple[str, ...]
    combinations: dict[str, dict[str, float]]
    conditions: dict[str, dict[str, float]] = field(default_factory=dict)
    ablations: tuple[Ablation, ...] = ()
    missing_means: dict[str, dict[str, float]] = field(default_factory=dict)
    missing: dict[str, dict[str, float]] = field(default_factory=dict)
    noise: dict[str, dict[str, float]] = field(default_factory=dict)


def _by_method(combinations: str, *rows: tuple[float, ...]) -> dict[str, dict[str, float]]:
    columns = combinations.split()
    return {m: dict(zip(columns, row, strict=True)) for m, row in zip(_METHODS, rows, strict=True)}


def _by_condition(*values: float) -> dict[str, float]:
    columns = (
        'cloud fog night rain sun motion_blur over_exposure under_exposure lidar_jitter '
        'event_low_resolution all'
    ).split()
    return dict(zip(columns, values, strict=True))


_RDEL = 'camera+depth+event+lidar'

_DELIVER = Published(
    name='DELIVER',
    split='val',
    num_classes=25,
    cautions=(
        'best epochs were chosen on the same split',
        'with missing modalities many cells of SAM-LoRA ignore the sparse inputs to two decimals',
    ),
    combinations=_by_method(
        f'camera camera+depth camera+depth+event {_RDEL}',
        (51.29, 59.61, 59.84, 59.18),
        (51.59, 58.64, 56.22, 55.43),
        (51.84, 60.25, 60.08, 59.54),
        (55.23, 63.57, 62.69, 64.08),
    ),
    conditions={
        'camera': _by_condition(
            58.25, 56.07, 47.81, 54.67, 58.46, 56.95, 49.16, 35.65, 54.09, 54.69, 55.23
        ),
        'depth': _by_condition(
            54.25, 54.23, 53.31, 51.02, 54.17, 52.93, 55.17, 53.45, 53.95, 50.79, 53.72
        ),
        'event': _by_condition(
            30.73, 18.88, 30.46, 27.75, 26.53, 26.87, 24.61, 27.00, 30.49, 21.25, 26.70
        ),
        'lidar': _by_condition(
            26.76, 28.21, 25.98, 27.00, 28.36, 26.22, 27.19, 29.95, 21.03, 28.43, 27.46
        ),
        'camera+depth': _by_condition(
            66.21, 63.89, 62.16, 61.23, 65.58, 63.03, 63.17, 57.82, 63.46, 63.73, 63.57
        ),
        'camera+depth+event': _by_condition(
            65.09, 61.41, 60.82, 62.01, 65.21, 62.26, 63.41, 56.90, 61.32, 62.19, 62.69
        ),
        _RDEL: _by_condition(
            64.72, 62.87, 62.68, 62.71, 65.40, 62.66, 64.28, 59.35, 63.22, 64.15, 64.08
        ),
    },
    ablations=(
        Ablation(True, False, False, 61.87, 20.62),
        Ablation(True, False, True, 62.03, 20.64),
        Ablation(False, True, False, 58.35, 20.77),
        Ablation(False, True, True, 57.99, 20.79),
        Ablation(True, True, True, 64.08, 20.79),
    ),
    missing_means={
        'camera+depth+event': dict(zip(_METHODS, (17.91, 28.25, 36.87, 38.45), strict=True)),
        'depth+event+lidar': dict(zip(_METHODS[1:], (24.71, 31.11, 34.02), strict=True)),
        _RDEL: dict(zip(_METHODS, (20.77, 25.44, 34.13, 34.90), strict=True)),
    },
    missing={
        _RDEL: {
            'camera': 15.80,
            'depth': 50.28,
            'event': 0.74,
            'lidar': 2.07,
            'camera+depth': 63.47,
            'camera+event': 15.57,
            'camera+lidar': 15.91,
            'depth+event': 50.42,
            'depth+lidar': 50.60,
            'event+lidar': 0.86,
            'camera+depth+event': 63.11,
            'camera+depth+lidar': 64.26,
            'camera+event+lidar': 15.64,
            'depth+event+lidar': 50.68,
        },
    },
    noise={
        'gaussian': {'camera': 57.00, 'depth': 42.64, 'event': 63.90, 'lidar': 63.87},
        'uniform': {'camera': 56.35, 'depth': 38.58, 'event': 63.89, 'lidar': 63.89},
    },
)

_MUSES = Published(
    name='MUSES',
    split='val',
    num_classes=19,
    cautions=(
        'the paper names no split: the test labels were withheld, so it must be val',
        'CMNeXt MiT-B0 is a weak baseline here',
        'with missing modalities many cells of SAM-LoRA ignore the sparse inputs to two decimals',
    ),
    combinations=_by_method(
        'camera camera+event camera+lidar camera+event+lidar',
        (43.37, 43.39, 47.03, 46.66),
        (55.41, 41.77, 40.69, 49.98),
        (65.91, 67.96, 70.34, 70.08),
        (73.95, 74.73, 75.42, 74.80),
    ),
    missing_means={
        'camera+lidar': dict(zip(_METHODS, (17.62, 18.25, 45.27, 53.09), strict=True)),
        'camera+event': dict(zip(_METHODS, (16.16, 22.92, 45.31, 50.23), strict=True)),
        'camera+event+lidar': dict(zip(_METHODS, (10.80, 13.01, 37.96, 42.95), strict=True)),
    },
    missing={
        'camera+event+lidar': {
            'camera': 69.67,
            'lidar': 5.55,
            'event': 1.50,
            'camera+lidar': 74.11,
            'camera+event': 69.50,
            'event+lidar': 5.55,
        },
    },
)

_MCUBES = Published(
    name='MCubeS',
    split='test',
    num_classes=20,
    cautions=('public code selects the best epoch on the same 102 test images',),
    combinations=_by_method(
        'camera+aolp camera+aolp+dolp camera+aolp+dolp+nir',
        (37.21, 38.72, 36.16),
        (49.78, 48.27, 50.59),
        (48.74, 49.35, 49.46),
        (50.61, 50.89, 51.02),
    ),
)

# By `kind` of the data. There are none for drives.
PUBLISHED = {'deliver': _DELIVER, 'muses': _MUSES, 'mcubes': _MCUBES}
