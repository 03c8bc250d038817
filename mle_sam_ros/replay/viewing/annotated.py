"""The annotated recording: what the node would have published, beside what the camera saw."""

from collections.abc import Iterable, Mapping
import json
import math
from pathlib import Path
from typing import Any, Literal

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.metrics import NO_CLASS
from mle_sam_ros.core.outputs import colour_label_map, overlay
from mle_sam_ros.core.painted_points import PAINTED_POINT
from mle_sam_ros.core.rig import Mounts
from mle_sam_ros.core.trust import trust_statuses
from mle_sam_ros.replay.report.tiles import error_tile
from mle_sam_ros.replay.sampling import Sampling
from mle_sam_ros.replay.view import View
from mle_sam_ros.replay.viewing.changes import Change
from mle_sam_ros.replay.viewing.encoded import encoded
import numpy as np

ANNOTATED_NAME = 'annotated.mcap'
# The node's topics, in its default namespace.
MASK_TOPIC = '/mle_sam/perception/mask'
CONFIDENCE_TOPIC = '/mle_sam/perception/confidence'
OVERLAY_TOPIC = '/mle_sam/perception/overlay/compressed'
ROUTER_WEIGHTS_TOPIC = '/mle_sam/perception/router_weights'
CAMERA_INFO_TOPIC = '/mle_sam/perception/camera_info'
POINTS_TOPIC = '/mle_sam/perception/points'
# What only a replay knows.
TRUTH_TOPIC = '/mle_sam/replay/truth/compressed'
ERROR_TOPIC = '/mle_sam/replay/error/compressed'
MIOU_TOPIC = '/mle_sam/replay/miou'
# As numbers, which every plot takes; those of diagnostics are texts.
TRUST_TOPIC = '/mle_sam/replay/trust'
AGES_TOPIC = '/mle_sam/replay/ages_ms'
# Of the vehicle.
CAMERA_TOPIC = '/camera/image/compressed'
TRANSFORMS_TOPIC = '/tf_static'
LOG_TOPIC = '/rosout'

# How much of it: pictures and points take nearly all of the time, so by default they are of five
# frames a second; or of every frame, or of none.
Extent = Literal['full', 'sampled', 'masks', 'none']
# Of the metrics: what was run on what.
_RUN = ('bag', 'bags', 'bundle', 'software', 'arguments')
_INFO, _WARN = 20, 30  # levels of rcl_interfaces/Log


class Annotated:
    """Writes `annotated.mcap`, frame by frame; use it in a `with` block.

    All that belongs to a frame carries the camera image's stamp and frame, as the node's own. The
    same frames give the same bytes: what differs from run to run is left out.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        extent: Extent = 'sampled',
        custom_data: Mapping[str, str] | None = None,
    ) -> None:
        """Open the file.

        Args:
            path: of the file to be.
            manifest: of the bundle.
            extent: `sampled` has pictures and points of five frames a second, `masks` leaves out
                pictures, points and transforms.
            custom_data: that of the drive, which holds for this recording, too.
        """
        self._bag = BagWriter(path, custom_data, 'lz4')
        self._manifest = manifest
        self._extent = extent
        self._sampling = Sampling()
        self._mounts: Mounts = {}
        self._latest_shown: View | None = None
        names = dict(enumerate(manifest.class_names)) | {NO_CLASS: 'unlabelled'}
        self._bag.note('label_info', {str(number): name for number, name in names.items()})

    def add(self, view: View, miou: float, changes: Iterable[Change]) -> None:
        """Append one frame; log times must not fall.

        Args:
            view: the frame.
            miou: of this frame alone; NaN without ground truth.
            changes: since the frame before.
        """
        if self._is_shown(view):
            self._write_transforms(view)
            self._write_pictures(view)
            self._write_points(view)
            self._latest_shown = view
        self._write_masks(view)
        self._write_numbers(view, miou)
        self._write_log(view, changes)

    def note_run(self, metrics: Mapping[str, Any]) -> None:
        """Note what made this recording, as `metrics.json` has it."""
        texts = {
            name: json.dumps(metrics[name], sort_keys=True) for name in _RUN if name in metrics
        }
        self._bag.note('mle_sam_run', texts)

    def _is_shown(self, view: View) -> bool:
        """Whether the frame has pictures and points."""
        if self._extent == 'sampled':
            return self._sampling.takes(view.prediction.stamp_ns)
        return self._extent == 'full'

    def _write_masks(self, view: View) -> None:
        prediction = view.prediction
        stamp_ns, frame_id = prediction.stamp_ns, prediction.frame_id
        mask = messages.image(prediction.label_map, 'mono8', stamp_ns, frame_id)
        confidence = messages.image(prediction.confidence, 'mono8', stamp_ns, frame_id)
        statuses = trust_statuses(prediction, self._manifest.modality_names)
        del statuses['timings']
        weights = messages.diagnostics(statuses, stamp_ns, frame_id)
        self._bag.write(MASK_TOPIC, mask, view.log_time_ns)
        self._bag.write(CONFIDENCE_TOPIC, confidence, view.log_time_ns)
        self._bag.write(ROUTER_WEIGHTS_TOPIC, weights, view.log_time_ns)
        if prediction.camera is not None:
            info = messages.camera_info(prediction.camera, stamp_ns, frame_id)
            self._bag.write(CAMERA_INFO_TOPIC, info, view.log_time_ns)

    def _write_numbers(self, view: View, miou: float) -> None:
        prediction, names = view.prediction, self._manifest.modality_names
        trust = messages.multi_array(prediction.router_weights, ('level', 'modality'))
        self._bag.write(TRUST_TOPIC, trust, view.log_time_ns)
        ages_ns = [
            prediction.ages_ns[name] if name in prediction.present else math.nan for name in names
        ]
        ages_ms = messages.multi_array(np.array(ages_ns) / 1e6, ('modality',))
        self._bag.write(AGES_TOPIC, ages_ms, view.log_time_ns)
        if not math.isnan(miou):
            score = messages.new_message('std_msgs/msg/Float64', data=miou)
            self._bag.write(MIOU_TOPIC, score, view.log_time_ns)

    def _write_log(self, view: View, changes: Iterable[Change]) -> None:
        for change in changes:
            entry = messages.new_message(
                'rcl_interfaces/msg/Log',
                stamp=messages.time_message(view.prediction.stamp_ns),
                level=_WARN if change.is_loss else _INFO,
                name='mle_sam.perception',
                msg=change.text,
                file='',
                function='',
                line=0,
            )
            self._bag.write(LOG_TOPIC, entry, view.log_time_ns)

    def _write_pictures(self, view: View) -> None:
        prediction, palette = view.prediction, self._manifest.palette
        if prediction.image is None:
            picture = colour_label_map(prediction.label_map, palette)
        else:
            picture = overlay(prediction.image, prediction.label_map, palette)
            self._write_picture(CAMERA_TOPIC, prediction.image, 'jpeg', view)
        self._write_picture(OVERLAY_TOPIC, picture, 'jpeg', view)
        if view.truth is not None:
            self._write_picture(TRUTH_TOPIC, colour_label_map(view.truth, palette), 'png', view)
            error = error_tile(view.frame, view.truth.shape)
            self._write_picture(ERROR_TOPIC, error, 'jpeg', view)

    def _write_picture(self, topic: str, picture: np.ndarray, kind: str, view: View) -> None:
        data = encoded(picture, kind)
        stamp_ns, frame_id = view.prediction.stamp_ns, view.prediction.frame_id
        message = messages.compressed_image(data, kind, stamp_ns, frame_id)
        self._bag.write(topic, message, view.log_time_ns)

    def _write_points(self, view: View) -> None:
        """A sweep serves several frames of a faster camera; it is written with the first of them.

        Viewers show a cloud until the next one comes, so an empty one follows the last.
        """
        latest = self._latest_shown
        if view.shares_sweeps(latest):
            return
        points, prediction = view.points, view.prediction
        if points is None:
            if latest is None or latest.points is None:
                return
            points = np.zeros(0, PAINTED_POINT)
        cloud = messages.point_cloud(points, prediction.stamp_ns, prediction.frame_id)
        self._bag.write(POINTS_TOPIC, cloud, view.log_time_ns)

    def _write_transforms(self, view: View) -> None:
        mounts = view.prediction.mounts
        if mounts is self._mounts or not mounts:
            return
        self._mounts = mounts
        transforms = [
            messages.transform(parent, frame, matrix, view.prediction.stamp_ns)
            for frame, (parent, matrix) in mounts.items()
        ]
        self._bag.write(TRANSFORMS_TOPIC, messages.transforms(transforms), view.log_time_ns)

    def __enter__(self) -> 'Annotated':
        self._bag.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bag.__exit__(*exception)
