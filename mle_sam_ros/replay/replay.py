"""`mle-sam replay`: a recorded drive in; masks, their score and a report out."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.outputs import resize_label_map
from mle_sam_ros.replay.annotated import write_prediction
from mle_sam_ros.replay.drive import Drive
from mle_sam_ros.replay.frame import frame_of
from mle_sam_ros.replay.output_directory import output_directory
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
from mle_sam_ros.replay.truth import Truth
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import open_engine

ANNOTATED_NAME = 'annotated.mcap'
_NAMES = frozenset({METRICS_NAME, REPORT_NAME, OVERLAY_NAME, VIDEO_NAME, ANNOTATED_NAME})


def replay(
    bag_path: Path,
    bundle_path: Path,
    out: Path,
    *,
    drop: Collection[str] = (),
    all_subsets: bool = False,
    with_video: bool = False,
    calibration: Calibration | None = None,
    backend: str = 'auto',
    threads: int | None = None,
) -> dict[str, Any]:
    """Run a recorded drive through the node's pipeline, and score the masks.

    The recording's log times stand for the times of arrival, and the vehicle is taken to be fast
    enough for every frame. The same arguments give the same masks and the same metrics, but for
    `latency_ms`.

    Args:
        bag_path: `.mcap` file or rosbag2 directory.
        bundle_path: the model.
        out: directory to make: `annotated.mcap`, `metrics.json`, `report.html`, `overlay.png`. It
            appears when everything is done; results of an earlier run are replaced.
        drop: sensors to leave out.
        all_subsets: score every subset of the sensors, too.
        with_video: write `overlay.mp4`, too.
        calibration: of the rig; None takes CameraInfo and /tf_static from the recording.
        backend: of `runtime.engine`.
        threads: of `runtime.engine`.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: for anything that cannot be read, run, or written.
    """
    bundle = Bundle.open(bundle_path)
    manifest = bundle.manifest
    with open_bag(bag_path) as reader, open_bag(bag_path) as truth_reader:
        topics = find_topics(reader)
        calibration = calibration or calibration_of(reader, topics)
        truth = Truth(truth_reader, topics.labels)
        with output_directory(out, _NAMES) as draft:
            engine = open_engine(bundle, backend, threads)
            drive = Drive(reader, topics, manifest, engine, calibration, drop)
            with (
                Results(draft, manifest, with_video) as results,
                BagWriter(draft / ANNOTATED_NAME) as annotated,
            ):
                for now_ns, prediction in drive.predictions():
                    label_map = truth.at(prediction.stamp_ns, prediction.image is not None)
                    results.add(frame_of(prediction, label_map))
                    camera = drive.pipeline.projection.camera
                    write_prediction(annotated, prediction, manifest, camera, now_ns)
                    if all_subsets and label_map is not None:
                        for subset, small in smaller_subsets(engine, prediction.rasters, manifest):
                            mask = resize_label_map(small, label_map.shape)
                            results.evaluation.add_subset(subset, mask, label_map)
            frames = drive.pipeline.account.to_mapping()
            metrics = {
                **results.evaluation.metrics(frames, truth.count_unused()),
                'faults': dict(drive.faults),
                'bag': bag_identity(bag_path),
                'bundle': bundle_identity(bundle),
                'arguments': {
                    'drop': sorted(drop),
                    'all_subsets': all_subsets,
                    'engine': engine.description,
                },
                'latency_ms': results.evaluation.latency_ms(),
            }
            results.write(f'Replay of {bag_path.name}', metrics)
    return metrics
