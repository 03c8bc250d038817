"""Scores of a network on unseen moments: by subset of its modalities, and by circumstance."""

from typing import Any

from mle_sam_ros.core.metrics import ConfusionMatrix
from mle_sam_ros.runtime.golden import subsets
import numpy as np
import torch
from tqdm import tqdm

from mle_sam.datasets.simulated import moments_of, Shard
from mle_sam.model import MleSam


def evaluate(model: MleSam, shards: list[Shard], every: int = 1) -> dict[str, dict[str, Any]]:
    """Score every subset of the modalities, at the network's size.

    Each modality is encoded once per moment, each subset only decoded.

    Args:
        model: in evaluation mode.
        shards: validation moments.
        every: score each n-th moment only.

    Returns:
        By subset (`camera+lidar`): `miou`, `iou` by class, `moments`, and `by` circumstance
        (weather and light, and what failed; weather is scored where nothing failed) the mIoU.
    """
    names, config = model.config.modality_names, model.config
    matrices: dict[tuple[str, str], ConfusionMatrix] = {}
    chosen = list(moments_of(shards))[::every]
    for shard, index in tqdm(chosen, desc='evaluating'):
        failure = shard.failures[index]
        circumstance = shard.conditions[index] if failure == 'none' else failure
        levels = _encode(model, shard, index)
        for subset in subsets(names):
            prediction = _predict(model, levels, subset)
            for group in ('all', circumstance):
                key = ('+'.join(subset), group)
                matrix = matrices.setdefault(key, ConfusionMatrix(config.num_classes))
                matrix.update(np.asarray(shard.labels[index]), prediction)
    classes = [item.name for item in config.classes]
    return {
        key: {
            'miou': _rounded(matrices[key, 'all'].miou()),
            'iou': dict(zip(classes, map(_rounded, matrices[key, 'all'].iou()), strict=True)),
            'moments': len(chosen),
            'by': {
                group: _rounded(matrix.miou())
                for (subset, group), matrix in sorted(matrices.items())
                if subset == key and group != 'all'
            },
        }
        for key in ('+'.join(subset) for subset in subsets(names))
    }


@torch.inference_mode()
def _encode(model: MleSam, shard: Shard, index: int) -> list[torch.Tensor]:
    encoded = [
        model.encode(torch.from_numpy(np.array(shard.rasters[name][index]))[None], name)
        for name in model.config.modality_names
    ]
    return [torch.stack(level) for level in zip(*encoded, strict=True)]


@torch.inference_mode()
def _predict(model: MleSam, levels: list[torch.Tensor], subset: tuple[str, ...]) -> np.ndarray:
    present = torch.tensor([[name in subset for name in model.config.modality_names]])
    logits_BKHW = model.logits(model.decode(levels, present))
    return logits_BKHW[0].argmax(0).to(torch.uint8).numpy()


def as_table(scores: dict[str, dict[str, Any]]) -> str:
    """The mIoU in percent, a row per subset and a column per circumstance.

    Args:
        scores: from `evaluate`.
    """
    columns = sorted({group for score in scores.values() for group in score['by']})
    rows = [['present', 'all', *columns]]
    for subset, score in scores.items():
        values = [score['miou'], *(score['by'].get(group) for group in columns)]
        rows.append([subset, *('-' if v is None else f'{100 * v:.1f}' for v in values)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join(
        '  '.join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
