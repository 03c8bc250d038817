from mle_sam.datasets.batches import as_item, collate
from mle_sam.validate import validate
from mle_sam.workers import Workers
import pytest
import torch
from toy import ToyDataset


class Half(Workers):
    """One of two workers, without the other."""

    def __init__(self, rank):
        self.rank, self.count, self.device = rank, 2, torch.device('cpu')

    def sum(self, value):
        self.seen = value
        return value


@torch.inference_mode()
def miou_of(model, dataset) -> float:
    """The slow way: intersection and union of each class over all pixels of all samples."""
    hits, unions = torch.zeros(3), torch.zeros(3)
    for index in range(len(dataset)):
        batch = collate([as_item(dataset[index], model.config)])
        guess = model.logits(model(batch.rasters, batch.present)).argmax(1)
        known = batch.labels != 255
        for k in range(3):
            hits[k] += ((guess == k) & (batch.labels == k)).sum()
            unions[k] += (known & ((guess == k) | (batch.labels == k))).sum()
    return (hits / unions)[unions > 0].mean().item()


@pytest.mark.parametrize('lacking', [(), ('camera',)])
def test_score(model, lacking):
    dataset = ToyDataset(3, lacking=lacking)
    score = validate(model.train(), dataset, Workers('cpu'))
    assert not model.training
    assert score == pytest.approx(miou_of(model, dataset), abs=1e-6)


def test_workers_share_the_samples(model):
    dataset = ToyDataset(5)
    seen = []
    for rank in (0, 1):
        workers = Half(rank)
        validate(model, dataset, workers)
        seen.append(int(workers.seen.sum()))
    pixels = 64 * 126
    assert seen == [3 * pixels, 2 * pixels]
