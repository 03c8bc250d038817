"""Rasters that the SDK of MUSES has projected onto the camera's image plane."""

from pathlib import Path
from zipfile import BadZipFile

from mle_sam_ros.bags.data_sets.image_files import read_image
from mle_sam_ros.core.aligned_raster import aligned_raster
from mle_sam_ros.core.errors import InputError
import numpy as np

from mle_sam.config import NetworkConfig

_DIRECTORY = 'projected_to_rgb'
_ENDINGS = ('.npz', '.npy', '.png')  # what the SDK writes by default comes first
_DTYPES = {'event': 'uint8', 'lidar': 'float32'}
# The SDK's PNG of a LiDAR raster is uint16 (value + shift) * scale: 15000 where there is nothing.
_SHIFT, _SCALE = 100, 150


class ProjectedSensors:
    """What `scripts/project_sensors_to_rgb.py` of the SDK wrote.

    Window, dilation and motion compensation are those it was called with: an encoding in the
    recipe only tells the vehicle what to do, and should say the same. Rasters of another size are
    reduced to nearest pixels, which loses returns; give the SDK the input size as its target.
    """

    def __init__(self, root: Path, network: NetworkConfig):
        """Look for the directory.

        Raises:
            InputError: where the SDK has not been run.
        """
        self._directory, self._input_hw = root / _DIRECTORY, network.input_hw
        if set(network.modality_names) & set(_DTYPES) and not self._directory.is_dir():
            raise InputError(
                f'{self._directory}: expected the rasters of the MUSES SDK, got none; run its '
                'scripts/project_sensors_to_rgb.py, or set data.source: raw'
            )

    def file(self, path: Path) -> Path:
        """Where the raster lies of the file that `meta.json` names, in whichever format."""
        files = [(self._directory / path).with_suffix(ending) for ending in _ENDINGS]
        return next((file for file in files if file.is_file()), files[0])

    def raster(self, name: str, file: Path) -> np.ndarray:
        """(height, width, 3) of the network's input size.

        Raises:
            InputError: for a file that holds no such raster.
        """
        raster = _read_png(name, file) if file.suffix == '.png' else _read_numpy(file)
        if not np.isfinite(raster).all():
            raise InputError(
                f'{file}: expected finite values, got NaN or infinity; project it again'
            )
        return aligned_raster(raster, self._input_hw, _DTYPES[name], 'nearest', str(file))


def _read_png(name: str, file: Path) -> np.ndarray:
    """The SDK wrote the first channel where a picture has its blue one."""
    stored = read_image(file, ('uint16',) if name == 'lidar' else ('uint8',))[:, :, ::-1]
    if name != 'lidar':
        return np.ascontiguousarray(stored)
    return stored.astype(np.float32) / np.float32(_SCALE) - np.float32(_SHIFT)


def _read_numpy(file: Path) -> np.ndarray:
    try:
        content = np.load(file, allow_pickle=False)
        raster = content['arr_0'] if file.suffix == '.npz' else content
        return raster.astype(np.float32) if raster.dtype == np.float64 else raster
    except (OSError, ValueError, EOFError, KeyError, IndexError, BadZipFile) as error:
        reason = ' '.join(str(error).split())
        raise InputError(
            f'{file}: expected a raster in NumPy format, got {reason}; project it again'
        ) from None
