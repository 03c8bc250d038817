"""`mle-sam check-calibration`: does what the sensors saw fall where it belongs in the image?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import json
from pathlib import Path

import cv2
from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.extrinsics.edges import depth_edges, edge_nearness, event_edges
from mle_sam_ros.replay.extrinsics.event_distance import event_points
from mle_sam_ros.replay.extrinsics.moments import Moment, read_moments
from mle_sam_ros.replay.extrinsics.pictures import contact_sheet, event_picture, lidar_picture
from mle_sam_ros.replay.extrinsics.score import EdgeMatch, ExtrinsicScore, score_extrinsic
from mle_sam_ros.replay.output_directory import output_directory
import numpy as np

SCORES_NAME = 'scores.json'
_SHEETS = {'lidar': 'lidar.png', 'event': 'event.png'}
_NAMES = frozenset({SCORES_NAME, *_SHEETS.values()})
# For the eye four pictures; for the score so many that single ones do not decide.
_NUM_PICTURES, _NUM_MOMENTS = 4, 24
# Edges are looked for at no more than this width: beyond it they are not sharper, only slower.
_WIDTH = 960
_MAX_POINTS = 8000


@dataclass(frozen=True)
class CheckSettings:
    """What to check.

    Attributes:
        bag_path: `.mcap` file or rosbag2 directory.
        topics: stream to topic, where the recording's names do not tell.
        calibration: of the rig; None takes CameraInfo and the transforms of the recording.
    """

    bag_path: Path
    topics: Mapping[str, str] | None = None
    calibration: Calibration | None = None


def check_calibration(settings: CheckSettings, out: Path) -> dict[str, ExtrinsicScore]:
    """Draw LiDAR points and events over images, and score the extrinsics against shifted ones.

    Args:
        settings: what to check.
        out: directory to make, with `lidar.png`, `event.png` and `scores.json`.

    Returns:
        By sensor that could be checked, its score.

    Raises:
        InputError: for a recording without camera, without LiDAR and events, or whose calibration
            does not say where any of them stands.
    """
    with open_bag(settings.bag_path) as bag:
        topics = find_topics(bag, settings.topics)
        calibration = settings.calibration or calibration_of(bag, topics)
        sensors = [
            name
            for name, topic in (('lidar', topics.lidar), ('event', topics.event))
            if topic and not _lack(name, calibration)
        ]
        if not sensors:
            recorded = [name for name, topic in (('lidar', topics.lidar), ('event', topics.event))
                        if topic]  # fmt: skip
            lacks = [f'{name} without {_lack(name, calibration)}' for name in recorded]
            raise InputError(
                f'{settings.bag_path}: expected a LiDAR or events, and their calibration, got '
                f'{"; ".join(lacks) or "neither"}; record CameraInfo and /tf_static, or give a '
                'calibration file'
            )
        moments = read_moments(bag, topics, _NUM_MOMENTS)
    camera = calibration.cameras['camera']
    for moment in moments:
        camera.check_image_size(moment.image.shape[:2], f'{settings.bag_path}: {topics.camera}')
    scores = {}
    with output_directory(out, _NAMES) as draft:
        for name in sensors:
            score = _score(name, moments, calibration)
            _write_sheet(draft / _SHEETS[name], name, moments, calibration, score)
            if score is not None:
                scores[name] = score
        content = {name: _score_mapping(score) for name, score in scores.items()}
        (draft / SCORES_NAME).write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    return scores


def describe_scores(scores: Mapping[str, ExtrinsicScore], out: Path) -> Iterator[str]:
    """Lines for a person: how each sensor scored, what would be better, and the verdict."""
    for name, score in scores.items():
        yield (
            f'{name}: edges meet by {score.given:.2f} standard deviations in {score.num_moments} '
            f'moments; {score.num_worse} of {len(score.shifted)} shifted extrinsics score less'
        )
        if not score.better:
            yield '  no shift is better beyond chance'
        for item in score.better[:3]:
            yield (
                f'  better by {item.gain:.2f} +- {item.error:.2f}, in '
                f'{100 * item.share_better:.0f} % of the moments: {item.shift}'
            )
        if score.correction:
            steps = ', then '.join(map(str, score.correction))
            yield f'  in all, {steps} would lead to {score.corrected:.2f}'
    missing = sorted(set(_SHEETS) - set(scores))
    if missing:
        yield f'not scored: {", ".join(missing)} (not recorded, not calibrated, or no edges)'
    yield f'look at {", ".join(str(out / _SHEETS[name]) for name in _SHEETS if name in scores)}'
    yield f'verdict: {"; ".join(f"{name} {verdict_text(item)}" for name, item in scores.items())}'


def verdict_text(score: ExtrinsicScore) -> str:
    """What is to be thought of an extrinsic, in a phrase."""
    if score.verdict == 'fits':
        return 'fits'
    if score.verdict == 'wrong':
        return f'is wrong, by about {score.better[0].shift} or more'
    if score.better:
        gain = 100 * score.better[0].gain / score.given
        return (
            f'is unclear: {score.better[0].shift} would score {gain:.0f} % better, as it may '
            'where a bright sky eats into edges'
        )
    return 'is unclear: edges hardly meet anywhere'


def _lack(name: str, calibration: Calibration) -> str:
    """What the calibration lacks for this sensor; empty if nothing."""
    needed = ('camera', 'event') if name == 'event' else ('camera',)
    lacks = [f'intrinsics of {camera}' for camera in needed if camera not in calibration.cameras]
    if name not in calibration.camera_from:
        lacks.append(f'camera_from.{name}')
    return ' and '.join(lacks)


def _write_sheet(
    path: Path,
    name: str,
    moments: list[Moment],
    calibration: Calibration,
    score: ExtrinsicScore | None,
) -> None:
    camera = calibration.cameras['camera']
    start_ns = moments[0].stamp_ns
    usable = [item for item in moments if (item.cloud if name == 'lidar' else item.events)]
    if not usable:
        return
    places = np.linspace(0, len(usable) - 1, min(_NUM_PICTURES, len(usable))).round().astype(int)
    pictures, captions = [], []
    for moment in (usable[place] for place in places):
        if name == 'lidar':
            picture = lidar_picture(
                moment.image, moment.cloud, camera, calibration.camera_from['lidar']
            )
        else:
            picture = event_picture(
                moment.image,
                moment.events,
                _event_points(moment, calibration),
                camera,
                calibration.camera_from['event'],
            )
        pictures.append(picture)
        captions.append(f't = {(moment.stamp_ns - start_ns) / 1e9:.2f} s')
    titles = {
        'lidar': 'LiDAR over the camera. Large dots stand before something farther: they belong '
        'on edges of the image',
        'event': 'Events over the camera: orange brighter, blue darker. They belong on the edges '
        'of what moves',
    }
    result = 'not scored: too few edges'
    if score is not None:
        result = f'score {score.given:.2f} in {score.num_moments} moments: {verdict_text(score)}'
    sheet = contact_sheet(pictures, captions, titles[name], result, has_ranges=name == 'lidar')
    if not cv2.imwrite(str(path), sheet[:, :, ::-1]):
        raise InputError(f'{path}: expected to write a picture, got an error; free some space')


def _score(name: str, moments: list[Moment], calibration: Calibration) -> ExtrinsicScore | None:
    camera = _shrunk(calibration.cameras['camera'])
    matches = []
    for moment in moments:
        if name == 'lidar' and moment.cloud is not None:
            edges, seen = depth_edges(moment.cloud), moment.cloud.xyz
        elif name == 'event' and moment.events is not None:
            points = _event_points(moment, calibration)
            edges, seen = event_edges(moment.events, points), points.reshape(-1, 3)
        else:
            continue
        matches.append(EdgeMatch(_nearness(moment, camera), *edges, _some(seen)))
    return score_extrinsic(matches, camera, calibration.camera_from[name], name == 'lidar')


def _event_points(moment: Moment, calibration: Calibration) -> np.ndarray:
    camera_from = calibration.camera_from
    event_from_lidar = None
    if 'lidar' in camera_from:
        event_from_lidar = np.linalg.inv(camera_from['event']) @ camera_from['lidar']
    return event_points(calibration.cameras['event'], moment.cloud, event_from_lidar)


def _shrunk(camera: CameraModel) -> CameraModel:
    height, width = camera.size_hw
    if width <= _WIDTH:
        return camera
    return camera.scaled_to((max(1, round(height * _WIDTH / width)), _WIDTH))


def _nearness(moment: Moment, camera: CameraModel) -> np.ndarray:
    image = cv2.resize(moment.image, camera.size_hw[::-1], interpolation=cv2.INTER_AREA)
    return edge_nearness(image, camera)


def _some(points: np.ndarray) -> np.ndarray:
    """Up to so many of the finite points, evenly picked; float64."""
    finite = points[np.isfinite(points).all(axis=1)]
    return finite[:: max(1, len(finite) // _MAX_POINTS)].astype(np.float64)


def _score_mapping(score: ExtrinsicScore) -> dict[str, object]:
    return {
        'verdict': score.verdict,
        'given': score.given,
        'moments': score.num_moments,
        'correction': [str(shift) for shift in score.correction],
        'corrected': score.corrected,
        'shifts': [
            {
                'shift': str(item.shift),
                'gain': item.gain,
                'error': item.error if np.isfinite(item.error) else None,
                'share_better': item.share_better,
                'is_better': item in score.better,
            }
            for item in score.shifted
        ],
    }
