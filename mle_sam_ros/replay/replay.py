"""`mle-sam replay`: a recorded drive in; masks, their score and a report out."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.class_mapping import class_mapping
from mle_sam_ros.bags.describe import aligned_streams, find_topics, Topics
from mle_sam_ros.bags.drive import Drive
from mle_sam_ros.bags.label_files import LabelFiles
from mle_sam_ros.bags.reader import BagReader, open_bag
from mle_sam_ros.bags.truth import Truth
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.outputs import resize_label_map
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.core.trust import trust_statuses
from mle_sam_ros.replay.agreement import Agreement
from mle_sam_ros.replay.annotated import write_prediction
from mle_sam_ros.replay.frame import Frame, frame_of
from mle_sam_ros.replay.output_directory import output_directory
from mle_sam_ros.replay.recording import RecordedMask, Recording
from mle_sam_ros.replay.results import (
    bag_identity,
    bundle_identity,
    METRICS_NAME,
    OVERLAY_NAME,
    REPORT_NAME,
    Results,
    VIDEO_NAME,
)
from mle_sam_ros.replay.subsets import smaller_subsets
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import DescribedEngine, open_engine
import numpy as np

ANNOTATED_NAME = 'annotated.mcap'
_NAMES = frozenset({METRICS_NAME, REPORT_NAME, OVERLAY_NAME, VIDEO_NAME, ANNOTATED_NAME})


@dataclass(frozen=True)
class Settings:
    """What to run, and how.

    Attributes:
        bag_path: `.mcap` file or rosbag2 directory.
        bundle_path: the model.
        drop: sensors to leave out.
        all_subsets: score every subset of the sensors, too.
        with_video: write `overlay.mp4`, too.
        topics: stream to topic, where the recording's names do not tell.
        calibration: of the rig; None takes CameraInfo and /tf_static from the recording.
        labels: folder of label maps named by stamp; None takes the recording's label topic.
        classes: of the label maps, as `bags.class_mapping` names them; None where they are the
            model's own.
        backend: of `runtime.engine`.
        threads: of `runtime.engine`.
        reuse_features: of `runtime.engine`.
        keep_going: count messages that cannot be used, and go on as the node does; otherwise the
            first one ends the replay.
        rig: how the rig's messages are to be taken; the node's parameters.
    """

    bag_path: Path
    bundle_path: Path
    drop: Collection[str] = ()
    all_subsets: bool = False
    with_video: bool = False
    topics: Mapping[str, str] | None = None
    calibration: Calibration | None = None
    labels: Path | None = None
    classes: str | None = None
    backend: str = 'auto'
    threads: int | None = None
    reuse_features: bool = False
    keep_going: bool = False
    rig: RigSettings = field(default_factory=RigSettings)


def replay(settings: Settings, out: Path) -> dict[str, Any]:
    """Run a recorded drive through the node's pipeline, and score the masks.

    The recording's log times stand for the times of arrival, and the vehicle is taken to be fast
    enough for every frame. The same settings give the same masks and the same metrics, but for
    `latency_ms`.

    Args:
        settings: what to run.
        out: directory to make, with `annotated.mcap`, `metrics.json`, `report.html` and
            `overlay.png`. It appears when everything is done, and replaces earlier results.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: for anything that cannot be read, run, or written.
    """
    with (
        output_directory(out, _NAMES) as draft,
        _open_session(settings) as session,
        BagWriter(draft / ANNOTATED_NAME) as annotated,
        Results(draft, session.bundle.manifest, settings.with_video) as results,
    ):
        for now_ns, prediction in session.drive.predictions():
            truth = session.truth_of(prediction)
            results.add(frame_of(prediction, truth))
            session.score_subsets(prediction, truth, results)
            camera = session.drive.pipeline.projection.camera
            write_prediction(annotated, prediction, session.bundle.manifest, camera, now_ns)
        frames = session.drive.pipeline.account.to_mapping()
        metrics = session.metrics(results, frames)
        results.write(f'Replay of {settings.bag_path.name}', metrics)
    return metrics


def score_recording(
    settings: Settings, recording_path: Path, frames: Mapping[str, Any], directory: Path
) -> dict[str, Any]:
    """Score what a node published, and compare it with the replay of the same drive.

    The latency of a mask runs from the camera's stamp to its arrival at the recorder. Subsets of
    the sensors are scored with the replay's engine, over the frames that the node processed.

    Args:
        settings: the drive that the node was given, and the bundle that it ran.
        recording_path: what it published: mask, confidence, router weights.
        frames: its frame account, as `FrameAccount.to_mapping()`.
        directory: existing one, to write `metrics.json`, `report.html` and pictures to.

    Returns:
        The content of `metrics.json`, which here has `agreement`, too.

    Raises:
        InputError: for anything that cannot be read or run.
    """
    agreement = Agreement()
    with (
        Recording(recording_path) as recording,
        _open_session(settings) as session,
        Results(directory, session.bundle.manifest, settings.with_video) as results,
    ):
        for _, prediction in session.drive.predictions():
            recorded = recording.at(prediction.stamp_ns)
            if recorded is None:
                continue
            statuses = trust_statuses(prediction, session.bundle.manifest.modality_names)
            agreement.add(
                recorded.label_map,
                prediction.label_map,
                recorded.statuses.get('sensors', {}),
                statuses['sensors'],
            )
            truth = session.truth_of(prediction)
            results.add(_recorded_frame(recorded, frame_of(prediction, truth)))
            session.score_subsets(prediction, truth, results)
        compared = {**agreement.to_mapping(), 'masks_unknown_to_replay': recording.count_unused()}
        metrics = {'agreement': compared, **session.metrics(results, frames)}
        results.write(f'The node on {settings.bag_path.name}', metrics)
    return metrics


@dataclass(frozen=True)
class _Session:
    """A drive ready to run, with its model and its ground truth."""

    settings: Settings
    bundle: Bundle
    engine: DescribedEngine
    drive: Drive
    truth: Truth

    def truth_of(self, prediction: Prediction) -> np.ndarray | None:
        return self.truth.at(prediction.stamp_ns, prediction.image is not None)

    def score_subsets(
        self, prediction: Prediction, truth: np.ndarray | None, results: Results
    ) -> None:
        if truth is None or not self.settings.all_subsets:
            return
        manifest = self.bundle.manifest
        for subset, small in smaller_subsets(self.engine, prediction.rasters, manifest):
            label_map = resize_label_map(small, prediction.label_map.shape)
            results.evaluation.add_subset(subset, label_map, truth)

    def metrics(self, results: Results, frames: Mapping[str, Any]) -> dict[str, Any]:
        """The content of `metrics.json`; what differs from run to run comes last."""
        return {
            **results.evaluation.metrics(frames, self.truth.count_unused()),
            'faults': dict(self.drive.faults),
            'bag': bag_identity(self.settings.bag_path),
            'bundle': bundle_identity(self.bundle),
            'arguments': {
                'drop': sorted(self.settings.drop),
                'all_subsets': self.settings.all_subsets,
                'engine': self.engine.description,
            },
            'latency_ms': results.evaluation.latency_ms(),
        }


@contextmanager
def _open_session(settings: Settings) -> Iterator[_Session]:
    bundle = Bundle.open(settings.bundle_path)
    # The ground truth is read alongside the drive, by a reader of its own.
    with open_bag(settings.bag_path) as reader, open_bag(settings.bag_path) as truth_reader:
        topics = find_topics(reader, settings.topics, aligned_streams(bundle.manifest))
        engine = open_engine(bundle, settings.backend, settings.threads, settings.reuse_features)
        drive = Drive(
            reader,
            topics,
            bundle.manifest,
            engine,
            settings.calibration or Calibration(),
            settings.drop,
            settings.keep_going,
            settings.rig,
        )
        yield _Session(
            settings, bundle, engine, drive, _truth(settings, bundle, truth_reader, topics)
        )


def _truth(settings: Settings, bundle: Bundle, reader: BagReader, topics: Topics) -> Truth:
    files = LabelFiles(settings.labels) if settings.labels else None
    classes = settings.classes
    mapping = class_mapping(classes, bundle.manifest.class_names) if classes else None
    return Truth(reader, topics.labels, files, mapping)


def _recorded_frame(recorded: RecordedMask, frame: Frame) -> Frame:
    """The frame with the mask that the node published in the place of the replay's."""
    return replace(
        frame,
        label_map=recorded.label_map,
        confidence=recorded.confidence,
        present=recorded.present,
        router_weights=recorded.router_weights,
        latency_ms=(recorded.log_time_ns - frame.stamp_ns) / 1e6,
        timings_ms=recorded.timings_ms,
    )
