"""Writing a drive as a video that browsers play."""

from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
import numpy as np

RATE_HZ = 20
_SECOND_NS = 1_000_000_000
# Longer gaps are cut to this: a clock that jumps would make a film of days.
_MAX_GAP_NS = 10 * _SECOND_NS


class Video:
    """An H.264 file of constant rate; frames are repeated or left out to keep to their stamps.

    Where the stamps fall, it goes on as if nothing had been.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = None
        self._stamp_ns = 0
        self._shown_ns = 0
        self._num_written = 0
        self._last: np.ndarray | None = None

    def add(self, stamp_ns: int, panel: np.ndarray) -> None:
        """Show a panel from its stamp on.

        Args:
            stamp_ns: of the frame.
            panel: (H, W, 3) uint8, even sides, the same size each time.
        """
        if self._stream is None:
            self._stream = _open_stream(self._path, panel.shape[:2])
        else:
            gap_ns = stamp_ns - self._stamp_ns
            self._shown_ns += min(max(gap_ns, 0), _MAX_GAP_NS)
        self._stamp_ns = stamp_ns
        due = self._shown_ns * RATE_HZ // _SECOND_NS
        while self._last is not None and self._num_written < due:
            self._write(self._last)
        self._last = panel

    def close(self) -> None:
        """Write the last panel and finish the file."""
        if self._stream is not None:
            if self._last is not None:
                self._write(self._last)
            self._stream.close()

    def _write(self, panel: np.ndarray) -> None:
        assert self._stream is not None
        self._stream.send(np.ascontiguousarray(panel))
        self._num_written += 1


def _open_stream(path: Path, size_hw: tuple[int, int]) -> Any:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise InputError(
            f'{path.name}: expected the Python package imageio-ffmpeg to write videos, got none; '
            'pip install imageio-ffmpeg'
        ) from None
    stream = imageio_ffmpeg.write_frames(
        str(path),
        size_hw[::-1],
        fps=RATE_HZ,
        codec='libx264',
        pix_fmt_out='yuv420p',
        macro_block_size=2,
        output_params=[
            '-preset',
            'veryfast',
            '-crf',
            '26',
            '-movflags',
            '+faststart',
            '-threads',
            '2',
        ],
        ffmpeg_log_level='error',
    )
    stream.send(None)
    return stream
