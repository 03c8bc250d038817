"""`report.html`: one file that shows a drive's score to a person, without a network."""

import base64
from collections.abc import Mapping, Sequence
import math
from pathlib import Path
from typing import Any

import cv2
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay import charts
from mle_sam_ros.replay.evaluation import Evaluation
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.tiles import (
    camera_tile,
    mask_tile,
    MODALITY_COLOURS,
    raster_tile,
    truth_tile,
)
import numpy as np

_TEMPLATES = Path(__file__).parent / 'templates'


def write_report(
    path: Path,
    title: str,
    metrics: Mapping[str, Any],
    latency: Mapping[str, Any],
    evaluation: Evaluation,
    scenes: Sequence[Frame],
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: heading of the page.
        metrics: content of `metrics.json`.
        latency: content of `latency.json`.
        evaluation: of the same run, for what happened over time.
        scenes: frames to show.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['percent'] = _percent
    manifest = evaluation.manifest
    start_ns = evaluation.moments[0].stamp_ns if evaluation.moments else 0
    page = environment.get_template('report.html').render(
        title=title,
        metrics=metrics,
        latency=latency['total'] and {**latency['total'], 'stages': latency['stages']},
        manifest=manifest,
        modality_colours=[_hex(shade) for shade in MODALITY_COLOURS],
        class_colours={item.name: _hex(item.colour) for item in manifest.classes},
        scenes=[_scene(frame, manifest, start_ns) for frame in scenes],
        plots=_plots(evaluation) if len(evaluation.moments) > 1 else None,
    )
    path.write_text(page, encoding='utf-8')


def _scene(frame: Frame, manifest: Manifest, start_ns: int) -> dict[str, Any]:
    """One moment in pictures."""
    small = _tile_hw(frame, 384)
    tiles = [('camera', camera_tile(frame, small), 'camera' not in frame.present)]
    for modality in manifest.modalities[1:]:
        is_absent = modality.name not in frame.present
        tiles.append((modality.name, raster_tile(frame, modality, small), is_absent))
    if frame.truth is not None:
        tiles.append(('ground truth', truth_tile(frame, manifest, small), False))
    return {
        'time_s': (frame.stamp_ns - start_ns) / 1e9,
        'mask': _data_uri(mask_tile(frame, manifest, _tile_hw(frame, 800))),
        'tiles': [(name, _data_uri(tile), is_absent) for name, tile, is_absent in tiles],
        'weights': frame.router_weights.mean(axis=0).tolist(),
    }


def _plots(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that is drawn over time, in the units of `charts`."""
    moments = [evaluation.moments[i] for i in charts.thinned(len(evaluation.moments))]
    times_s = np.array([moment.stamp_ns - moments[0].stamp_ns for moment in moments]) / 1e9
    weights = np.stack([moment.router_weights for moment in moments])
    miou = np.array([moment.miou for moment in moments])
    latency_ms = np.array([moment.latency_ms for moment in moments])
    axis = charts.axis_of(times_s)
    top_ms = charts.round_top(float(np.percentile(latency_ms, 99)))
    return {
        'seconds': float(times_s[-1]),
        'trust': [charts.stacked_areas(axis, times_s, level) for level in weights.transpose(1, 0, 2)],
        'presence': {
            name: [
                axis.span(*ends)
                for ends in charts.spans(axis, times_s, [name in item.present for item in moments])
            ]
            for name in evaluation.manifest.modality_names
        },
        'miou': charts.line(axis, times_s, miou, 1.0) if not np.isnan(miou).all() else None,
        'latency': charts.line(axis, times_s, latency_ms, top_ms),
        'latency_top_ms': top_ms,
    }


def _tile_hw(frame: Frame, width: int) -> tuple[int, int]:
    height, mask_width = frame.label_map.shape
    return round(width * height / mask_width), width


def _data_uri(picture: np.ndarray) -> str:
    done, jpeg = cv2.imencode('.jpg', picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 84])
    assert done, 'OpenCV could not encode a JPEG'
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg.tobytes()).decode()


def _percent(value: float | None) -> str:
    return '–' if value is None or math.isnan(value) else f'{100 * value:.1f}'


def _hex(shade: tuple[int, int, int]) -> str:
    return '#{:02x}{:02x}{:02x}'.format(*shade)
