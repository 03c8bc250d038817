"""What a replay and the scoring of a node's recording have in common: a drive ready to run."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.class_mapping import class_mapping, ClassMapping
from mle_sam_ros.bags.describe import aligned_streams, find_topics, Topics
from mle_sam_ros.bags.drive import check_drop, Drive, motion_topic
from mle_sam_ros.bags.label_files import LabelFiles
from mle_sam_ros.bags.reader import BagReader, open_bag
from mle_sam_ros.bags.truth import Truth
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.outputs import resize_label_map
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.replay.faults.check import check_faults, check_recorded
from mle_sam_ros.replay.faults.fault import ALWAYS, Fault
from mle_sam_ros.replay.faults.injection import Injection
from mle_sam_ros.replay.results import Results
from mle_sam_ros.replay.run_record import (
    bag_identity,
    bundle_identity,
    calibration_record,
    classes_record,
    labels_identity,
    software,
    topics_record,
)
from mle_sam_ros.replay.score.conditions import Conditions, noted_spans, Span
from mle_sam_ros.replay.score.scores import scores
from mle_sam_ros.replay.score.subsets import smaller_subsets
from mle_sam_ros.replay.score.tallies import SCHEMA
from mle_sam_ros.replay.view import View
from mle_sam_ros.replay.viewing.annotated import Extent
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import DescribedEngine, open_engine
import numpy as np


@dataclass(frozen=True)
class Settings:
    """What to run, and how.

    Attributes:
        bag_path: `.mcap` file or rosbag2 directory.
        bundle_path: the model.
        drop: sensors to leave out.
        all_subsets: score every subset of the sensors, too.
        with_video: write `overlay.mp4`, too.
        annotated: how much goes into `annotated.mcap`.
        with_rerun: write `drive.rrd`, too.
        topics: stream to topic, where the recording's names do not tell.
        calibration: of the rig; None takes CameraInfo and /tf_static from the recording.
        labels: folder of label maps named by stamp; None takes the recording's label topic.
        classes: of the label maps, as `bags.class_mapping` names them; None where they are the
            model's own.
        backend: of `runtime.engine`.
        threads: of `runtime.engine`.
        reuse_features: of `runtime.engine`.
        conditions: names of what held all the time, beside what the recording notes.
        faults: what is to go wrong, in this order; `replay.faults.parse` reads them.
        fault_seed: of all chance in them.
        keep_going: count messages that cannot be used, and go on as the node does; otherwise the
            first one ends the replay.
        rig: how the rig's messages are to be taken; the node's parameters.
    """

    bag_path: Path
    bundle_path: Path
    drop: Collection[str] = ()
    all_subsets: bool = False
    with_video: bool = False
    annotated: Extent = 'sampled'
    with_rerun: bool = False
    topics: Mapping[str, str] | None = None
    calibration: Calibration | None = None
    labels: Path | None = None
    classes: str | None = None
    backend: str = 'auto'
    threads: int | None = None
    reuse_features: bool = False
    conditions: Collection[str] = ()
    faults: Sequence[Fault] = ()
    fault_seed: int = 0
    keep_going: bool = False
    rig: RigSettings = field(default_factory=RigSettings)

    def __post_init__(self) -> None:
        _ = self.rig.motion_settings  # refuses those that cannot be
        if self.fault_seed < 0:
            raise InputError(
                f'fault seed: expected 0 or more, got {self.fault_seed}; choose another'
            )
        for name in self.conditions:
            if not (name.strip() and name.isprintable()):
                raise InputError(
                    f'condition: expected a name such as night, got {name!r}; give it one'
                )

    def check(self, manifest: Manifest) -> None:
        """Refuse what no recording can have with a model.

        Raises:
            InputError: for sensors to leave out and faults of streams that are not read.
        """
        check_drop(self.drop, manifest)
        check_faults(self.faults, manifest, self.drop, self.rig.motion)


@dataclass(frozen=True)
class Session:
    """A drive ready to run, with its model and its ground truth."""

    settings: Settings
    bundle: Bundle
    engine: DescribedEngine
    drive: Drive
    truth: Truth
    custom_data: Mapping[str, str]
    topics: Topics
    conditions: Conditions

    def truth_of(self, prediction: Prediction) -> np.ndarray | None:
        """The label map at the prediction's stamp, (H, W) uint8; None where there is none."""
        return self.truth.at(prediction.stamp_ns, prediction.image is not None)

    def views(self) -> Iterator[View]:
        """Every instant with its mask, its ground truth, and what fewer sensors make of it."""
        for now_ns, prediction in self.drive.predictions():
            truth = self.truth_of(prediction)
            subset_masks = self.subset_masks(prediction, truth)
            yield View(self.bundle.manifest, now_ns, prediction, truth, subset_masks)

    def subset_masks(
        self, prediction: Prediction, truth: np.ndarray | None
    ) -> dict[frozenset[str], np.ndarray]:
        """Each smaller subset of the sensors and its mask, where the settings ask for them."""
        if truth is None or not self.settings.all_subsets:
            return {}
        size_hw = prediction.label_map.shape
        return {
            subset: resize_label_map(small, size_hw)
            for subset, small in smaller_subsets(
                self.engine, prediction.rasters, self.bundle.manifest
            )
        }

    def metrics(self, results: Results, frames: Mapping[str, Any]) -> dict[str, Any]:
        """The content of `metrics.json`.

        Args:
            results: with all frames.
            frames: the frame account of whoever made the masks.
        """
        evaluation = results.evaluation
        bag = bag_identity(self.settings.bag_path)
        missed = self.truth.count_unused()
        tallies = evaluation.tallies(bag['sha256'], frames, self.drive.faults, missed)
        return {
            'schema': SCHEMA,
            'bags': [
                {
                    **bag,
                    'conditions': list(self.conditions.names),
                    'start_ns': self.conditions.start_ns,
                    'seconds': evaluation.seconds,
                }
            ],
            'bundle': bundle_identity(self.bundle),
            'software': software(self.engine.description),
            'arguments': arguments_of(self.settings, self.bundle.manifest, self.topics),
            'timeline': evaluation.timeline(),
            **scores(tallies),
        }


def arguments_of(settings: Settings, manifest: Manifest, topics: Topics) -> dict[str, Any]:
    """What a replay with these settings is told, in full, as `metrics.json` has it.

    Args:
        settings: of the replay.
        manifest: of the bundle.
        topics: that the recording turned out to have.

    Raises:
        InputError: for a class mapping or label maps that cannot be read.
    """
    return {
        'drop': sorted(settings.drop),
        'all_subsets': settings.all_subsets,
        'conditions': sorted(settings.conditions),
        'faults': [str(fault) for fault in settings.faults],
        'fault_seed': settings.fault_seed,
        'labels': labels_identity(settings.labels),
        'classes': classes_record(_class_mapping(settings, manifest), manifest.class_names),
        'topics': topics_record(topics),
        'calibration': calibration_record(settings.calibration),
        'rig': to_mapping(settings.rig),
        'backend': settings.backend,
        'threads': settings.threads,
        'reuse_features': settings.reuse_features,
        'keep_going': settings.keep_going,
    }


@contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """Open everything that the settings name.

    Raises:
        InputError: for anything that cannot be read or run.
    """
    bundle = Bundle.open(settings.bundle_path)
    settings.check(bundle.manifest)
    with open_bag(settings.bag_path) as reader:
        first = next(reader.raw(), None)
        start_ns = 0 if first is None else first.log_time_ns
        topics = find_topics(reader, settings.topics, aligned_streams(bundle.manifest))
        # What is soon refused comes first: engines take seconds to open.
        if settings.rig.motion != 'none':
            motion_topic(reader, topics, settings.rig.motion)
        truth = _truth(settings, bundle, reader, topics)
        engine = open_engine(bundle, settings.backend, settings.threads, settings.reuse_features)
        encodings = {modality.name: modality.encoding for modality in bundle.manifest.modalities}
        injection = Injection(settings.faults, settings.fault_seed, start_ns, encodings)
        drive = Drive(
            reader,
            topics,
            bundle.manifest,
            engine,
            settings.calibration or Calibration(),
            settings.drop,
            settings.keep_going,
            injection.settings(settings.rig),
            injection if settings.faults else None,
        )
        check_recorded(settings.faults, bundle.manifest, drive.streams)
        noted = noted_spans(reader.custom_data)
        given = [Span('condition', name) for name in settings.conditions]
        injected = [
            Span('injected', fault.name, fault.window.from_s, fault.window.to_s)
            for fault in settings.faults
            if fault.window != ALWAYS
        ]
        conditions = Conditions((*noted, *given, *injected), start_ns)
        yield Session(
            settings, bundle, engine, drive, truth, reader.custom_data, topics, conditions
        )


def _truth(settings: Settings, bundle: Bundle, reader: BagReader, topics: Topics) -> Truth:
    files = LabelFiles(settings.labels) if settings.labels else None
    return Truth(reader, topics.labels, files, _class_mapping(settings, bundle.manifest))


def _class_mapping(settings: Settings, manifest: Manifest) -> ClassMapping | None:
    classes = settings.classes
    return class_mapping(classes, manifest.class_names) if classes else None
