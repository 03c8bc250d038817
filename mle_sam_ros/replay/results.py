"""What a run leaves behind: metrics, a report, pictures."""

from collections.abc import Mapping
import json
from pathlib import Path
import re
from typing import Any

import cv2
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.report.album import Album
from mle_sam_ros.replay.report.pictures import overview
from mle_sam_ros.replay.report.report import write_report
from mle_sam_ros.replay.score.conditions import Conditions
from mle_sam_ros.replay.score.evaluation import Evaluation
from mle_sam_ros.replay.score.latency import LATENCY_NAME
from mle_sam_ros.replay.score.tallies import METRICS_NAME
from mle_sam_ros.replay.viewing.video import Video
from mle_sam_ros.replay.viewing.video_panel import video_panel
import numpy as np

REPORT_NAME = 'report.html'
OVERLAY_NAME = 'overlay.png'
VIDEO_NAME = 'overlay.mp4'
_NUMBERS = re.compile(r'\[\n[\s\d.,e+-]*\]')


class Results:
    """Collects the frames of one run and writes what there is to say about them.

    ```python
    with Results(directory, manifest, with_video=True) as results:
        for frame in frames:
            results.add(frame)
    results.write('Drive 7', {'schema': SCHEMA, …, **scores(results.evaluation.tallies(…))})
    ```

    Attributes:
        evaluation: the score so far.
    """

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        with_video: bool,
        conditions: Conditions | None = None,
    ) -> None:
        """Start without frames.

        Args:
            directory: an existing one, to write to.
            manifest: of the bundle that makes the masks.
            with_video: whether to write `overlay.mp4`, which takes longer than the rest.
            conditions: of the drive.
        """
        self.evaluation = Evaluation(manifest, conditions)
        self._directory = directory
        self._manifest = manifest
        self._album = Album(manifest)
        self._video = Video(directory / VIDEO_NAME) if with_video else None

    def add(
        self, frame: Frame, subset_masks: Mapping[frozenset[str], np.ndarray] | None = None
    ) -> float:
        """Take in the next frame.

        Args:
            frame: after all before it.
            subset_masks: what fewer of its sensors make of it, (H, W) uint8 class ids; only of
                frames with ground truth.

        Returns:
            The frame's mIoU, 0 to 1; NaN without ground truth.
        """
        moment = self.evaluation.add(frame)
        for subset, label_map in (subset_masks or {}).items():
            assert frame.truth is not None, 'subsets are segmented only to be scored'
            self.evaluation.add_subset(subset, label_map, frame.truth)
        self._album.add(frame, moment.miou)
        if self._video is not None:
            start_ns = self.evaluation.moments[0].stamp_ns
            panel = video_panel(frame, moment, self._manifest, start_ns)
            self._video.add(frame.stamp_ns, panel)
        return moment.miou

    def write(self, title: str, metrics: Mapping[str, Any]) -> None:
        """Write `metrics.json`, `latency.json`, `report.html` and, of any frame, `overlay.png`.

        Args:
            title: heading of the report.
            metrics: content of `metrics.json`.
        """
        latency = self.evaluation.latency.to_mapping()
        write_json(self._directory / METRICS_NAME, metrics)
        write_json(self._directory / LATENCY_NAME, latency)
        write_report(
            self._directory / REPORT_NAME,
            title,
            metrics,
            latency,
            self._manifest,
            self.evaluation.moments,
            self._album,
        )
        scenes = self._album.even
        if scenes:
            sheet = overview(scenes, self._manifest, metrics['bags'][0]['start_ns'])
            cv2.imwrite(str(self._directory / OVERLAY_NAME), sheet[:, :, ::-1])

    def __enter__(self) -> 'Results':
        return self

    def __exit__(self, *_: object) -> None:
        if self._video is not None:
            self._video.close()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with one line for each list of numbers."""
    text = json.dumps(content, indent=2, allow_nan=False)
    # A line break stands in no JSON string, so these are lists of numbers and nothing else.
    text = _NUMBERS.sub(lambda match: ' '.join(match[0].split()), text)
    path.write_text(text + '\n', encoding='utf-8')
