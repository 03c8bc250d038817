"""A part of a data set."""

import numpy as np

from mle_sam.datasets.sample import Sample, SegmentationDataset


class EvenPart(SegmentationDataset):
    """So many samples of a data set, evenly spread over it; the same ones every time."""

    def __init__(self, whole: SegmentationDataset, num_samples: int):
        """Choose.

        Args:
            whole: what they are chosen from.
            num_samples: how many, at least one; the whole, where it has no more.
        """
        self._whole = whole
        count = min(num_samples, len(whole))
        self._indices = np.arange(count) * len(whole) // count

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._whole[int(self._indices[index])]

    def full_labels(self, index: int) -> np.ndarray:
        """See `SegmentationDataset`."""
        return self._whole.full_labels(int(self._indices[index]))

    def summary(self) -> str:
        """See `SegmentationDataset`."""
        return f'{len(self)} of {self._whole.summary()}'
