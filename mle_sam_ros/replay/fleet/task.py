"""What a worker does: one recording in, the files of its results out."""

from pathlib import Path
import platform
import tempfile

import cv2
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.replay import replay
from mle_sam_ros.replay.session import Settings


def replay_recording(settings: Settings) -> dict[str, bytes]:
    """Replay a recording where only memory need be shared with whoever asks for it.

    Args:
        settings: of the replay; its paths exist for whoever asks, and are to be readable here.

    Returns:
        Name to content of the files that a replay writes.

    Raises:
        InputError: as `replay`, and for a path that is not there for this worker.
    """
    for path in (settings.bag_path, settings.bundle_path, settings.labels):
        if path is not None and not path.exists():
            raise InputError(
                f'{path}: expected a path that every worker can read, got nothing on '
                f'{platform.node()}; share the directory with the machines of the cluster'
            )
    cv2.setNumThreads(settings.threads or 1)  # else each worker would take every processor
    with tempfile.TemporaryDirectory(prefix='mle-sam-replay-') as room:
        out = Path(room) / 'results'
        replay(settings, out)
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}
