"""A data set of three bands, made up on the spot: what every sensor sees is what is labelled."""

from mle_sam.datasets.sample import Sample, SegmentationDataset
import numpy as np

HW = (64, 128)
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
CONDITIONS = ('day', 'night', 'day', 'fog')
FAILURES = ('none', 'none', 'none', 'lidar_jitter')


class ToyDataset(SegmentationDataset):
    """Samples whose bands end elsewhere in each; the first two columns do not count."""

    def __init__(self, num_samples: int = 8, seed: int = 0, lacking: tuple[str, ...] = ()):
        """Make up samples.

        Args:
            num_samples: how many.
            seed: of their bands and noise.
            lacking: modalities that no sample has.
        """
        self._num_samples, self._seed, self._lacking = num_samples, seed, lacking

    def __len__(self) -> int:
        return self._num_samples

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng((self._seed, index))
        labels = np.zeros(HW, np.uint8)
        for class_id in (1, 2):
            labels[int(rng.integers(20, 31)) * class_id :] = class_id
        labels[:, :2] = 255
        paint = np.array(COLOURS, np.float32)[np.minimum(labels, 2)]
        rasters = {
            'camera': (paint + rng.normal(0, 10, paint.shape)).clip(0, 255).astype(np.uint8),
            'event': (paint > 100).astype(np.uint8) * rng.integers(0, 5, paint.shape, np.uint8),
            'lidar': (paint / 10 * (rng.random(paint.shape) < 0.3)).astype(np.float32),
        }
        for name in self._lacking:
            del rasters[name]
        condition, failure = CONDITIONS[index % 4], FAILURES[index % 4]
        return Sample(rasters, labels, condition, failure, f'toy {index}')
