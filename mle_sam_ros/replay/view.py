"""One prediction with all that viewers show beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import is_

from mle_sam_ros.core.labelled_cloud import label_cloud, points_in_camera
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.painted_points import painted_points
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.replay.frame import Frame, frame_of
import numpy as np


@dataclass(frozen=True, eq=False)
class View:
    """One prediction and its surroundings.

    Attributes:
        manifest: of the bundle.
        log_time_ns: when the sensor set was complete.
        prediction: of the pipeline.
        truth: (H, W) uint8 class ids, 255 where unknown; None without ground truth.
        subset_masks: of fewer sensors, only to be scored: (H, W) uint8 class ids.
    """

    manifest: Manifest
    log_time_ns: int
    prediction: Prediction
    truth: np.ndarray | None
    subset_masks: Mapping[frozenset[str], np.ndarray] = field(default_factory=dict)

    @cached_property
    def frame(self) -> Frame:
        """The same as the report draws it."""
        return frame_of(self.prediction, self.truth)

    @cached_property
    def points(self) -> np.ndarray | None:
        """(N,) of `PAINTED_POINT`: of those that the node publishes, the ones the camera sees.

        None without sweep or camera.
        """
        prediction = self.prediction
        if prediction.camera is None or not prediction.sweeps:
            return None
        cloud = points_in_camera(prediction.sweeps)
        labelled = label_cloud(
            cloud.xyz,
            prediction.camera,
            prediction.label_map,
            prediction.confidence,
            self.manifest.input_hw,
        )
        seen = labelled.cells >= 0
        return painted_points(labelled.only(seen), cloud.intensity[seen], self.manifest.palette)

    def shares_sweeps(self, earlier: 'View | None') -> bool:
        """Whether the points were measured no later than those of a view before."""
        if earlier is None:
            return False
        clouds, others = (
            [sweep.cloud for sweep in view.prediction.sweeps] for view in (self, earlier)
        )
        return len(clouds) == len(others) and all(map(is_, clouds, others))
