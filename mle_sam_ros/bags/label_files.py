"""Label maps as PNG files that are named by the stamps of camera frames."""

from pathlib import Path
import re

import cv2
from mle_sam_ros.core.errors import InputError
import numpy as np

# 1700000000123456789.png, 1700000000.123456789.png or 1700000000_123456789.png, and with fewer
# digits behind the point, which then name the same stamp less exactly.
_WHOLE = re.compile(r'(\d{10,19})')
_SPLIT = re.compile(r'(\d{1,10})[._](\d{1,9})')


class LabelFiles:
    """A folder of label maps, looked up by stamp.

    Attributes:
        num_used: files that were given out.
    """

    def __init__(self, directory: Path | str) -> None:
        """Look at the names of the files.

        Raises:
            InputError: for a directory without PNG files, or a name that is no stamp.
        """
        self._directory = Path(directory)
        stamps = sorted(
            (_stamp_ns(path), path) for path in self._directory.iterdir() if path.suffix == '.png'
        )
        if not stamps:
            raise InputError(
                f'{self._directory}: expected PNG files named by stamps, got none; '
                'give the folder of the label maps'
            )
        self._paths = [path for _, path in stamps]
        self._stamps_ns = np.array([stamp for stamp, _ in stamps], np.int64)
        self._used: set[int] = set()

    @property
    def num_used(self) -> int:
        """Files that were given out."""
        return len(self._used)

    def __len__(self) -> int:
        return len(self._paths)

    def at(self, stamp_ns: int, tolerance_ns: int) -> tuple[np.ndarray, Path] | None:
        """The label map nearest to a stamp, and its file; None if none is within the tolerance.

        Returns:
            (H, W) uint8 as the file has it.

        Raises:
            InputError: for a file that holds no 8-bit picture of one channel.
        """
        index = int(np.abs(self._stamps_ns - stamp_ns).argmin())
        if abs(int(self._stamps_ns[index]) - stamp_ns) > tolerance_ns:
            return None
        self._used.add(index)
        return _read(self._paths[index]), self._paths[index]


def _stamp_ns(path: Path) -> int:
    whole, split = _WHOLE.fullmatch(path.stem), _SPLIT.fullmatch(path.stem)
    if split:
        return int(split[1]) * 1_000_000_000 + int(split[2].ljust(9, '0'))
    # Ten digits alone are seconds; what is between that and nanoseconds could be anything.
    if whole and len(path.stem) in (10, 19):
        return int(whole[1]) * (1 if len(path.stem) == 19 else 1_000_000_000)
    raise InputError(
        f'{path}: expected a name such as 1700000000123456789.png (nanoseconds) or '
        f'1700000000.123456789.png (seconds), got {path.name}; rename it to the stamp of its frame'
    )


def _read(path: Path) -> np.ndarray:
    content = np.fromfile(path, np.uint8)
    pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if pixels is None or pixels.ndim != 2 or pixels.dtype != np.uint8:
        got = 'something else' if pixels is None else f'{pixels.shape} {pixels.dtype}'
        raise InputError(
            f'{path}: expected a picture with 8 bits and one channel, class ids, got {got}; '
            'save the ids, not their colours'
        )
    return pixels
