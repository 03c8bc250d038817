"""One moment of a drive as a report shows it: small pictures, and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.metrics import ConfusionMatrix
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.report.tiles import (
    at_size,
    confidence_tile,
    error_tile,
    mask_tile,
    raster_tile,
    truth_tile,
)
import numpy as np

CAMERA, MASK, TRUTH, ERROR = 'camera', 'mask', 'ground truth', 'error map'
CONFIDENCE = 'confidence'
LARGE, SMALL = 560, 416  # widths, pixels
_QUALITY = 80


@dataclass(frozen=True)
class ClassLoss:
    """How a class fared in one frame.

    Attributes:
        name: of the class.
        iou: of this frame.
        share: part of the known pixels that are of this class, 0 to 1.
        taken_for: what most of its wrong pixels were taken for; None where none were.
        taken_share: part of the known pixels that were, 0 to 1.
    """

    name: str
    iou: float
    share: float
    taken_for: str | None
    taken_share: float


@dataclass(frozen=True, eq=False)
class Scene:
    """A frame reduced to what a report shows.

    Attributes:
        stamp_ns: of the frame.
        size_hw: of the mask, and the shape of all pictures.
        present: modalities that took part.
        router_weights: (levels, M) float32.
        ages_ms: by modality that took part.
        faults: by stream that could have taken part, why it did not.
        latency_ms: of the frame.
        confidence: mean over the pixels, 0 to 1.
        miou: of the frame; NaN without ground truth.
        losses: its classes, the worst first; none without ground truth.
        classes: names of those that the mask or the ground truth shows, in the manifest's order.
        pictures: JPEG by name: camera, mask, ground truth, error map, and the other modalities;
            without those there is nothing to show of. Without ground truth also confidence.
    """

    stamp_ns: int
    size_hw: tuple[int, int]
    present: frozenset[str]
    router_weights: np.ndarray
    ages_ms: Mapping[str, float]
    faults: Mapping[str, str]
    latency_ms: float
    confidence: float
    miou: float
    losses: tuple[ClassLoss, ...]
    classes: tuple[str, ...]
    pictures: Mapping[str, bytes]


def scene_of(frame: Frame, manifest: Manifest, miou: float, width: int = LARGE) -> Scene:
    """Reduce a frame to a scene.

    Args:
        frame: not kept.
        manifest: classes, palette and modalities.
        miou: of the frame; NaN without ground truth.
        width: of the pictures, at most; of rasters other than the camera's `SMALL`.
    """
    large, small = _tile_hw(frame, width), _tile_hw(frame, SMALL)
    shown = at_size(frame, large)
    pictures = {MASK: mask_tile(shown, manifest, large)}
    if shown.image is not None:
        pictures[CAMERA] = shown.image
    if shown.truth is None:
        pictures[CONFIDENCE] = confidence_tile(shown, small)
    else:
        pictures[TRUTH] = truth_tile(shown, manifest, large)
        pictures[ERROR] = error_tile(shown, large)
    for modality in manifest.modalities:
        if modality.name in frame.rasters and modality.name != CAMERA:
            pictures[modality.name] = raster_tile(frame, modality, small)
    return Scene(
        frame.stamp_ns,
        (frame.label_map.shape[0], frame.label_map.shape[1]),
        frame.present,
        frame.router_weights,
        frame.ages_ms,
        frame.faults,
        frame.latency_ms,
        float(frame.confidence.mean()) / 255,
        miou,
        _losses(frame, manifest),
        _classes(frame, manifest),
        {name: _jpeg(picture) for name, picture in pictures.items()},
    )


def decode_picture(jpeg: bytes) -> np.ndarray:
    """(h, w, 3) uint8 of a scene's picture."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, 'OpenCV could not decode its own JPEG'
    return np.ascontiguousarray(picture[:, :, ::-1])


def _losses(frame: Frame, manifest: Manifest) -> tuple[ClassLoss, ...]:
    if frame.truth is None:
        return ()
    matrix = ConfusionMatrix(len(manifest.classes))
    matrix.update(frame.truth, frame.label_map)
    total = max(1, int(matrix.counts.sum()))
    names = (*manifest.class_names, 'no class')
    losses = []
    for index, iou in enumerate(matrix.iou().tolist()):
        if np.isnan(iou):
            continue
        wrong = matrix.counts[index].copy()
        wrong[index] = 0
        other = int(wrong.argmax())
        losses.append(
            ClassLoss(
                names[index],
                iou,
                int(matrix.counts[index].sum()) / total,
                names[other] if wrong.any() else None,
                int(wrong[other]) / total,
            )
        )
    return tuple(sorted(losses, key=lambda loss: loss.iou))


def _classes(frame: Frame, manifest: Manifest) -> tuple[str, ...]:
    shown = np.bincount(frame.label_map.ravel(), minlength=256)
    if frame.truth is not None:
        shown = shown + np.bincount(frame.truth.ravel(), minlength=256)
    return tuple(name for name, count in zip(manifest.class_names, shown, strict=False) if count)


def _tile_hw(frame: Frame, width: int) -> tuple[int, int]:
    """At most that wide, in the shape of the mask."""
    mask_height, mask_width = frame.label_map.shape
    width = min(width, mask_width)
    return max(1, round(width * mask_height / mask_width)), width


def _jpeg(picture: np.ndarray) -> bytes:
    # Encoding a view with its channels reversed takes three times as long.
    blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode('.jpg', blue_first, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done, 'OpenCV could not encode a JPEG'
    return data.tobytes()
