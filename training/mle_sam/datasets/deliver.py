"""DELIVER (arXiv 2303.01480): five weathers, five sensor failures, simulated."""

from pathlib import Path

from mle_sam_ros.bags.data_sets.deliver_index import (
    FAILURES,
    find_frames,
    Frame,
    NUM_CLASSES,
)
from mle_sam_ros.bags.data_sets.image_files import check_files, read_image, read_labels
from mle_sam_ros.core.aligned_raster import aligned_raster
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.projection import Projection
import numpy as np

from mle_sam.config import NetworkConfig
from mle_sam.datasets.census import census
from mle_sam.datasets.config import DeliverData, Split
from mle_sam.datasets.image_files import check_size, resize_labels
from mle_sam.datasets.network_check import check_network
from mle_sam.datasets.sample import Sample, SegmentationDataset

PUBLISHED_SAMPLES = {'train': 3983, 'val': 2005, 'test': 1897}
ENCODINGS = {
    'camera': 'rgb',
    'depth': 'depth_hha',
    'event': 'aligned_image uint8',
    'lidar': 'aligned_image uint8',
}


class Deliver(SegmentationDataset):
    """One split; conditions and failures come from path components within the root."""

    def __init__(self, data: DeliverData, network: NetworkConfig, split: Split):
        """Look for every file of every sample.

        Args:
            data: where it lies.
            network: any of camera, depth, event and lidar, encoded as `ENCODINGS` says.
            split: train, val or test.

        Raises:
            InputError: for a network that does not fit, a wrong root, or a missing file.
        """
        check_network(network, 'DELIVER', ENCODINGS, NUM_CLASSES)
        self._root, self._split = Path(data.root), split
        self._names, self._input_hw = network.modality_names, network.input_hw
        self._projection = Projection(network, Calibration())
        self._frames = find_frames(self._root, split)
        check_files(
            self._root / frame.path(content)
            for frame in self._frames
            for content in (*self._names, 'labels')
        )

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        frame, labels = self._frames[index], self.full_labels(index)
        rasters = {
            name: self._projection.raster(name, self._image(frame, name, labels.shape))
            for name in self._names
        }
        network_labels = resize_labels(labels, self._input_hw)
        source = frame.path('camera').as_posix()
        return Sample(rasters, network_labels, frame.condition, frame.failure, source)

    def full_labels(self, index: int) -> np.ndarray:
        """The labels as published, (1042, 1042) uint8."""
        path = self._root / self._frames[index].path('labels')
        return read_labels(path, NUM_CLASSES, first=1)

    def summary(self) -> str:
        """Counts by condition and failure, beside the published ones, for logs."""
        return census(
            f'DELIVER {self._split}',
            [frame.condition for frame in self._frames],
            [frame.failure for frame in self._frames],
            PUBLISHED_SAMPLES[self._split],
            tuple(FAILURES.values()),
        )

    def _image(self, frame: Frame, name: str, size_hw: tuple[int, ...]) -> np.ndarray:
        """(H, W, 3) uint8 at the size of the labels."""
        path = self._root / frame.path(name)
        image = read_image(path)
        (height, width), (rows, columns) = size_hw, image.shape[:2]
        if name == 'event' and rows < height and rows * width == columns * height:
            # The low-resolution failure: the same view in fewer pixels.
            return aligned_raster(image, (height, width), 'uint8', 'nearest', str(path))
        check_size(image, size_hw, path)
        return image
