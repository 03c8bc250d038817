"""MUSES (arXiv 2401.12761): real drives in four weathers, by day and by night."""

from pathlib import Path

from mle_sam_ros.bags.data_sets.image_files import check_files, read_image, read_labels
from mle_sam_ros.bags.data_sets.muses_index import read_frames
from mle_sam_ros.core.camera_raster import camera_raster
from mle_sam_ros.core.errors import InputError
import numpy as np

from mle_sam.config import NetworkConfig
from mle_sam.datasets.census import census
from mle_sam.datasets.config import MusesData, Split
from mle_sam.datasets.image_files import check_size, resize_labels
from mle_sam.datasets.muses_projected import ProjectedSensors
from mle_sam.datasets.muses_raw import RawSensors
from mle_sam.datasets.network_check import check_network
from mle_sam.datasets.sample import NO_FAILURE, Sample, SegmentationDataset

NUM_CLASSES = 19
PUBLISHED_SAMPLES = {'train': 1500, 'val': 250, 'test': 750}
ENCODINGS = {
    'camera': 'rgb',
    'event': 'event_polarity_counts',
    'lidar': 'lidar_range_intensity_height',
}


class Muses(SegmentationDataset):
    """One split; no sample has a sensor failure."""

    def __init__(self, data: MusesData, network: NetworkConfig, split: Split):
        """Look for every file of every sample.

        Args:
            data: where it lies, and whether the sensors' own files or the SDK's rasters are read.
            network: any of camera, event and lidar, encoded as `ENCODINGS` says.
            split: train, val or test.

        Raises:
            InputError: for a network that does not fit, a wrong root, a missing file, or the test
                split where its labels are withheld.
        """
        check_network(network, 'MUSES', ENCODINGS, NUM_CLASSES)
        root, sensors = Path(data.root), RawSensors if data.source == 'raw' else ProjectedSensors
        self._root, self._split, self._input_hw = root, split, network.input_hw
        self._frames = read_frames(root, split, network.modality_names)
        self._sensors = sensors(root, network)
        self._files = [
            {
                name: root / path if name == 'camera' else self._sensors.file(path)
                for name, path in frame.paths.items()
            }
            for frame in self._frames
        ]
        check_files(file for files in self._files for file in files.values())
        _check_labels([root / frame.labels for frame in self._frames], split)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        frame, labels = self._frames[index], self.full_labels(index)
        rasters = {
            name: self._raster(name, file, labels) for name, file in self._files[index].items()
        }
        network_labels = resize_labels(labels, self._input_hw)
        return Sample(rasters, network_labels, frame.condition, NO_FAILURE, frame.name)

    def full_labels(self, index: int) -> np.ndarray:
        """The labels as published, (1080, 1920) uint8."""
        return read_labels(self._root / self._frames[index].labels, NUM_CLASSES)

    def summary(self) -> str:
        """Counts by condition, beside the published ones, for logs."""
        return census(
            f'MUSES {self._split}',
            [frame.condition for frame in self._frames],
            [NO_FAILURE] * len(self._frames),
            PUBLISHED_SAMPLES[self._split],
        )

    def _raster(self, name: str, file: Path, labels: np.ndarray) -> np.ndarray:
        if name != 'camera':
            return self._sensors.raster(name, file)
        image = read_image(file)
        check_size(image, labels.shape, file)
        return camera_raster(image, self._input_hw)


def _check_labels(paths: list[Path], split: Split) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing and split == 'test':
        raise InputError(
            f'{missing[0]}: expected the labels of the test split, got none for {len(missing)} of '
            f'{len(paths)} frames; unpack them if you have them, or score val: MUSES has withheld '
            'them for its benchmark'
        )
    check_files(missing)
