"""The score that picks the best checkpoint of a run."""

from mle_sam_ros.core.metrics import ConfusionMatrix
import torch

from mle_sam.datasets.batches import as_item, collate
from mle_sam.datasets.sample import SegmentationDataset
from mle_sam.models.network import Network
from mle_sam.workers import Workers


@torch.inference_mode()
def validate(model: Network, dataset: SegmentationDataset, workers: Workers) -> float:
    """Score all samples with all modalities that they have, at the network's size, in float32.

    Args:
        model: is in evaluation mode afterwards.
        dataset: labelled samples; each worker takes its share.
        workers: that score together; all get the result.

    Returns:
        mIoU over all samples, 0 to 1, classes nowhere seen left out; NaN without a known pixel.
    """
    model.eval()
    matrix = ConfusionMatrix(model.config.num_classes)
    for index in range(workers.rank, len(dataset), workers.count):
        batch = collate([as_item(dataset[index], model.config)]).to(workers.device)
        logits_BKHW = model.logits(model(batch.rasters, batch.present))
        label_map = logits_BKHW[0].argmax(0).to(torch.uint8)
        matrix.update(batch.labels[0].cpu().numpy(), label_map.cpu().numpy())
    matrix.counts = workers.sum(torch.from_numpy(matrix.counts)).numpy()
    return matrix.miou()
