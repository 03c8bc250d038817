"""The short form of an evaluation that a bundle's manifest carries."""

from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import sha256_of

from mle_sam.scores import Evaluation, read_evaluation, Score


def read_accuracy(path: Path, checkpoint: Path) -> dict[str, Any]:
    """Take what was measured of a checkpoint from an `evaluation.json`.

    Args:
        path: of the evaluation, of the protocol `vehicle`.
        checkpoint: file that was evaluated; what counts is its content.

    Returns:
        `data`, what it was measured on, and `subsets`: by what is there (`camera+lidar`) its
        `miou` over the classes present, `iou` by class, `moments`, and `by` condition and failure
        the mIoU; 0 to 1, None without a pixel.

    Raises:
        InputError: for a file that is no such evaluation, another protocol, or an evaluation of
            other checkpoints.
    """
    evaluation = read_evaluation(path)
    if evaluation.protocol != 'vehicle':
        raise InputError(
            f'{path}: expected an evaluation of the protocol vehicle, got {evaluation.protocol}; '
            'evaluate with --protocol vehicle'
        )
    digest = sha256_of(checkpoint)
    for scores in evaluation.checkpoints:
        if scores.sha256 == digest:
            subsets = {key: _compact(score) for key, score in scores.missing['drop'].items()}
            return {'data': _data(evaluation), 'subsets': subsets}
    evaluated = ', '.join(scores.path for scores in evaluation.checkpoints)
    raise InputError(
        f'{path}: expected scores of {checkpoint} as it is now, got those of {evaluated}; '
        'evaluate this checkpoint'
    )


def _data(evaluation: Evaluation) -> str:
    sampled = f', 1 sample in {evaluation.every}' if evaluation.every > 1 else ''
    own_size = "at the size of the data set's labels"
    return f'{evaluation.data_name}, split {evaluation.split}, {own_size}{sampled}'


def _compact(score: Score) -> dict[str, Any]:
    groups = {**score.conditions, **score.failures}
    return {
        'miou': _rounded(score.whole.over_present),
        'iou': {name: _rounded(iou) for name, iou in score.iou.items()},
        'moments': score.whole.samples,
        'by': {name: _rounded(mean.over_present) for name, mean in sorted(groups.items())},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
