"""MCubeS: materials in street scenes, seen in colour, polarisation and near infrared."""

from pathlib import Path

from mle_sam_ros.bags.data_sets.image_files import check_files, IGNORE, read_image, read_labels
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.projection import Projection
import numpy as np

from mle_sam.config import NetworkConfig
from mle_sam.datasets.census import census
from mle_sam.datasets.config import McubesData, Split
from mle_sam.datasets.image_files import check_size, read_array, resize_labels
from mle_sam.datasets.network_check import check_network
from mle_sam.datasets.sample import NO_FAILURE, Sample, SegmentationDataset

NUM_CLASSES = 20
NO_CONDITION = 'unknown'
PUBLISHED_SAMPLES = {'train': 302, 'val': 96, 'test': 102}
ENCODINGS = {
    'camera': 'rgb',
    'aolp': 'aligned_image float32',
    'dolp': 'aligned_image float32',
    'nir': 'aligned_image float32',
}
# Directories, and the extension of their files, by what they hold.
_FILES = {
    'camera': (('polL_color',), 'png'),
    'aolp': (('polL_aolp_sin', 'polL_aolp_cos'), 'npy'),
    'dolp': (('polL_dolp',), 'npy'),
    'nir': (('NIR_warped',), 'png'),
    'labels': (('GT',), 'png'),
    'invalid_nir': (('NIR_warped_mask',), 'png'),
}
# Public code drops these columns at the left of every file.
_CUT_COLUMNS = 192
_DEPTHS = ('uint8', 'uint16')


class Mcubes(SegmentationDataset):
    """One split, as `list_folder` names it.

    The left columns are cut, and of the rest the largest centred window with the input's aspect
    is kept: 1024 x 1024 of 1024 x 1224 for a square input, as in public code. What it calls `val`,
    however, is the test list.

    Rasters: camera uint8; aolp (sine, cosine, sine), dolp, and nir from 0 to 1, float32.
    """

    def __init__(self, data: McubesData, network: NetworkConfig, split: Split):
        """Look for every file of every sample.

        Args:
            data: where it lies.
            network: any of camera, aolp, dolp and nir, encoded as `ENCODINGS` says.
            split: train, val or test.

        Raises:
            InputError: for a network that does not fit, a wrong root, or a missing file.
        """
        check_network(network, 'MCubeS', ENCODINGS, NUM_CLASSES)
        self._root, self._split = Path(data.root), split
        self._names, self._input_hw = network.modality_names, network.input_hw
        self._ignore_invalid_nir = data.ignore_invalid_nir
        self._projection = Projection(network, Calibration())
        self._samples = _read_list(self._root, split)
        masks = ('invalid_nir',) if data.ignore_invalid_nir else ()
        check_files(
            path
            for sample in self._samples
            for content in (*self._names, 'labels', *masks)
            for path in self._paths(sample, content)
        )

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        sample, labels = self._samples[index], self._labels(index)
        rasters = {
            name: self._projection.raster(name, self._window(self._image(sample, name, labels)))
            for name in self._names
        }
        network_labels = resize_labels(self._window(labels), self._input_hw)
        return Sample(rasters, network_labels, NO_CONDITION, NO_FAILURE, sample)

    def full_labels(self, index: int) -> np.ndarray:
        """The labels in the window that is kept, (1024, 1024) uint8 for a square input."""
        return self._window(self._labels(index))

    def summary(self) -> str:
        """The count beside the published one, for logs."""
        number = len(self._samples)
        return census(
            f'MCubeS {self._split}',
            [NO_CONDITION] * number,
            [NO_FAILURE] * number,
            PUBLISHED_SAMPLES[self._split],
        )

    def _paths(self, sample: str, content: str) -> list[Path]:
        directories, extension = _FILES[content]
        return [self._root / directory / f'{sample}.{extension}' for directory in directories]

    def _labels(self, index: int) -> np.ndarray:
        """(H, W) uint8, all columns."""
        sample = self._samples[index]
        (path,) = self._paths(sample, 'labels')
        labels = read_labels(path, NUM_CLASSES)
        if labels.shape[1] <= _CUT_COLUMNS:
            raise InputError(
                f'{path}: expected more than {_CUT_COLUMNS} columns, got {labels.shape[1]}; '
                'use the label files of the data set'
            )
        if self._ignore_invalid_nir:
            (path,) = self._paths(sample, 'invalid_nir')
            mask = read_image(path)[:, :, 0]
            check_size(mask, labels.shape, path)
            labels[mask >= 128] = IGNORE
        return labels

    def _image(self, sample: str, name: str, labels: np.ndarray) -> np.ndarray:
        """(H, W, 3), all columns: uint8 of the camera, else float32."""
        paths = self._paths(sample, name)
        if paths[0].suffix == '.png':
            planes = [read_image(paths[0], _DEPTHS)]
        else:
            planes = [read_array(path) for path in paths]
        for plane, path in zip(planes, paths, strict=True):
            check_size(plane, labels.shape, path)
        if name == 'camera':
            return _in_eight_bits(planes[0])
        if name == 'nir':
            return planes[0] / np.float32(np.iinfo(planes[0].dtype).max)
        return np.dstack([planes[0], planes[-1], planes[0]])

    def _window(self, array: np.ndarray) -> np.ndarray:
        height, width = array.shape[0], array.shape[1] - _CUT_COLUMNS
        scale = min(height / self._input_hw[0], width / self._input_hw[1])
        rows, columns = (max(round(side * scale), 1) for side in self._input_hw)
        top, left = (height - rows) // 2, _CUT_COLUMNS + (width - columns) // 2
        return np.ascontiguousarray(array[top : top + rows, left : left + columns])


def _in_eight_bits(image: np.ndarray) -> np.ndarray:
    """Rounded to what a camera of 8 bits would give."""
    if image.dtype == np.uint8:
        return image
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _read_list(root: Path, split: Split) -> list[str]:
    """The first column of a split's list."""
    path = root / 'list_folder' / f'{split}.txt'
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected the list of a split, got {reason}; correct data.root'
        ) from None
    samples = [line.split()[0] for line in lines if line.strip()]
    if not samples:
        raise InputError(
            f'{path}: expected a name in each line, got none; download the data set again'
        )
    return samples
