"""A scene in the words and numbers of the report."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.causes import causes_in, Finding, noted_text
from mle_sam_ros.replay.scene import CAMERA, ERROR, MASK, Scene, TRUTH

_NUM_LOSSES = 4


def scene_view(
    scene: Scene,
    manifest: Manifest,
    findings: Sequence[Finding],
    index: int,
    timeline: Sequence[Mapping[str, Any]],
    start_ns: int,
) -> dict[str, Any]:
    """What the template shows of a scene.

    Args:
        scene: to show.
        manifest: of the bundle.
        findings: of the drive.
        index: of the scene's frame in the drive.
        timeline: of `metrics.json`.
        start_ns: stamp that counts as 0 s.
    """
    time_s = (scene.stamp_ns - start_ns) / 1e9
    causes = causes_in(findings, index)
    return {
        'time_s': time_s,
        'miou': scene.miou,
        'confidence': scene.confidence,
        'latency_ms': scene.latency_ms,
        'large': [_picture(scene, name) for name in (CAMERA, MASK, TRUTH, ERROR)],
        'small': [_picture(scene, name) for name in manifest.modality_names if name != CAMERA],
        'sensors': [
            {
                'name': name,
                'is_present': name in scene.present,
                'why': scene.faults.get(name, ''),
                'age_ms': scene.ages_ms.get(name),
                'weight': float(scene.router_weights[:, column].mean()),
            }
            for column, name in enumerate(manifest.modality_names)
        ],
        'noted': [
            noted_text(entry)
            for entry in timeline
            if noted_text(entry) and entry['from_s'] <= time_s + 1e-6 < entry['to_s'] + 2e-6
        ],
        'losses': [loss for loss in scene.losses if loss.iou < 0.995][:_NUM_LOSSES],
        'causes': [{'text': cause.in_frame(index), 'finding': cause} for cause in causes],
    }


def _picture(scene: Scene, name: str) -> tuple[str, str | None]:
    """Its name, and its address; None where there is nothing to show."""
    jpeg = scene.pictures.get(name)
    if jpeg is None:
        return name, None
    return name, 'data:image/jpeg;base64,' + base64.b64encode(jpeg).decode()
