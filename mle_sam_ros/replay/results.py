"""What a run leaves behind: metrics, a report, pictures."""

from collections.abc import Mapping
import hashlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.evaluation import Evaluation
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.pictures import overview, Storyboard, video_panel
from mle_sam_ros.replay.report import write_report
from mle_sam_ros.replay.video import Video
from mle_sam_ros.runtime.bundle import Bundle, sha256_of

METRICS_NAME = 'metrics.json'
REPORT_NAME = 'report.html'
OVERLAY_NAME = 'overlay.png'
VIDEO_NAME = 'overlay.mp4'


class Results:
    """Collects the frames of one run and writes what there is to say about them.

    ```python
    with Results(directory, manifest, with_video=True) as results:
        for frame in frames:
            results.add(frame)
    results.write('Drive 7', {**results.evaluation.metrics(...), ...})
    ```

    Attributes:
        evaluation: the score so far.
    """

    def __init__(self, directory: Path, manifest: Manifest, with_video: bool) -> None:
        """Start without frames.

        Args:
            directory: an existing one, to write to.
            manifest: of the bundle that makes the masks.
            with_video: whether to write `overlay.mp4`, which takes longer than the rest.
        """
        self.evaluation = Evaluation(manifest)
        self._directory = directory
        self._manifest = manifest
        self._storyboard = Storyboard()
        self._video = Video(directory / VIDEO_NAME) if with_video else None

    def add(self, frame: Frame) -> None:
        """Take in the next frame."""
        self.evaluation.add(frame)
        self._storyboard.add(frame)
        if self._video is not None:
            start_ns = self.evaluation.moments[0].stamp_ns
            self._video.add(frame.stamp_ns, video_panel(frame, self._manifest, start_ns))

    def write(self, title: str, metrics: Mapping[str, Any]) -> None:
        """Write `metrics.json`, `report.html` and, where there was any frame, `overlay.png`.

        Args:
            title: heading of the report.
            metrics: of `evaluation.metrics` and `evaluation.latency_ms`, with `bag`, `bundle`,
                `arguments` and `faults`.
        """
        text = json.dumps(metrics, indent=2, allow_nan=False) + '\n'
        (self._directory / METRICS_NAME).write_text(text, encoding='utf-8')
        scenes = self._storyboard.frames
        write_report(self._directory / REPORT_NAME, title, metrics, self.evaluation, scenes)
        if scenes:
            sheet = overview(scenes, self._manifest, self.evaluation.moments[0].stamp_ns)
            cv2.imwrite(str(self._directory / OVERLAY_NAME), sheet[:, :, ::-1])

    def __enter__(self) -> 'Results':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._video is not None:
            self._video.close()


def bundle_identity(bundle: Bundle) -> dict[str, str]:
    """Name, revision, and a hash that stands for every byte of the bundle."""
    manifest = bundle.manifest
    return {'name': manifest.model, 'revision': manifest.revision, 'sha256': bundle.identity}


def bag_identity(path: Path) -> dict[str, str]:
    """Name and hash of a recording; of a directory, over the names and hashes of its files."""
    if path.is_file():
        return {'name': path.name, 'sha256': sha256_of(path)}
    digest = hashlib.sha256()
    for file in sorted(item for item in path.iterdir() if item.is_file()):
        digest.update(f'{file.name} {sha256_of(file)}\n'.encode())
    return {'name': path.name, 'sha256': digest.hexdigest()}
