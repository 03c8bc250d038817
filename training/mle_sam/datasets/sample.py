"""The one kind of sample that every data set gives, whatever its files look like."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

NO_FAILURE = 'none'


class Sample(NamedTuple):
    """One instant, at the network's input size.

    Attributes:
        rasters: modality to (H, W, 3) uint8 or float32, in the units of its encoding; a modality
            that is not there has no entry.
        labels: (H, W) uint8 class ids, 255 = does not count.
        condition: weather and light, as the data set names them.
        failure: what failed, or `none`.
        source: where it comes from, for people: a path within the data set, or a seed and a stamp.
    """

    rasters: dict[str, np.ndarray]
    labels: np.ndarray
    condition: str
    failure: str
    source: str


class SegmentationDataset(Dataset[Sample], ABC):
    """Samples by index; the same index always gives the same sample."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """The sample at an index.

        Raises:
            InputError: for a file that is missing or holds something else; it names the file.
        """

    def full_labels(self, index: int) -> np.ndarray:
        """The labels at the size that the data set gives them in, (h, w) uint8."""
        return self[index].labels

    def summary(self) -> str:
        """What it holds, in lines for people."""
        return f'{len(self)} samples'
