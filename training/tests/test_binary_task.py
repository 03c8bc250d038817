"""TS-SAM's own task: one thing against all the rest, a mask for each, BCE and soft IoU."""

from dataclasses import replace

from mle_sam.checkpoint import load_model, read_checkpoint
from mle_sam.datasets.augmentation import AugmentationConfig
from mle_sam.datasets.batches import as_item, collate
from mle_sam.datasets.sample import Sample, SegmentationDataset
from mle_sam.models.build import build_network
from mle_sam.recipe import StageConfig
from mle_sam.train import train
from mle_sam.vit_config import TsSamConfig
from mle_sam_ros.core.manifest import SemanticClass
from mle_sam_ros.core.metrics import ConfusionMatrix
import numpy as np
import torch
from toy import HW

REST, THING = 0, 1


class Discs(SegmentationDataset):
    """A disc somewhere, hardly brighter than what is around it; the border does not count."""

    def __init__(self, num_samples: int, seed: int):
        self._num_samples, self._seed = num_samples, seed

    def __len__(self) -> int:
        return self._num_samples

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng((self._seed, index))
        row, column, radius = rng.uniform((16, 16, 10), (48, 112, 24))
        rows, columns = np.ogrid[: HW[0], : HW[1]]
        labels = np.hypot(rows - row, columns - column) < radius
        image = rng.normal(100, 20, (*HW, 3)) + 40 * labels[..., None]
        labels = labels.astype(np.uint8)
        labels[:, :2] = 255
        rasters = {'camera': image.clip(0, 255).astype(np.uint8)}
        return Sample(rasters, labels, 'day', 'none', f'disc {index}')


def test_one_thing_is_found_among_the_rest(recipe, tmp_path):
    camera = recipe.network.modalities[:1]
    classes = (SemanticClass('rest', (0, 0, 0)), SemanticClass('thing', (255, 255, 255)))
    network = TsSamConfig(HW, camera, classes, size='nano', side_width=32, refined_width=16)
    torch.save(build_network(network.trunk()).state_dict(), tmp_path / 'sam.pth')
    stage = StageConfig(
        steps=40,
        batch=4,
        learning_rate=4e-3,
        loss={'binary_cross_entropy': 1.0, 'soft_iou': 1.0},
        augmentation=AugmentationConfig(scale=(1.0, 1.0), jitter=0.0, blur=0.0),
    )
    task = replace(
        recipe, network=network, trunk=None, pretrained=str(tmp_path / 'sam.pth'), experts=stage
    )
    model = load_model(read_checkpoint(train(task, 'experts', Discs(64, 0), None, tmp_path)))

    by_class, by_mask = ConfusionMatrix(2), ConfusionMatrix(2)
    unseen = Discs(8, 1)
    for index in range(len(unseen)):
        batch = collate([as_item(unseen[index], network)])
        with torch.inference_mode():
            logits = model.logits(model(batch.rasters, batch.present))[0]
        labels = batch.labels[0].numpy()
        by_class.update(labels, logits.argmax(0).numpy().astype(np.uint8))
        by_mask.update(labels, (logits[THING] > 0).numpy().astype(np.uint8))
    assert by_class.iou()[THING] > 0.8
    # The mask of the thing alone is the paper's; that of the rest says the same.
    assert by_mask.iou()[THING] > 0.8
