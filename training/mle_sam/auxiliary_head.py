"""The auxiliary head: a second segmentation straight from the fused maps (MLE-SAM §III)."""

import torch
from torch import nn
from torch.nn import functional as F


class AuxiliaryHead(nn.Module):
    """Per-pixel perceptrons at three levels, upsampled, concatenated, fused and classified.

    The fusing and the classifying 1x1 layers have nothing between them, so they are composed,
    split by level and applied before the upsampling: the same function, a fraction of the work.
    """

    def __init__(self, channels: tuple[int, ...], num_classes: int, width: int, dropout: float):
        super().__init__()
        self.perceptrons = nn.ModuleList(_perceptron(c, width) for c in channels)
        self.dropout = nn.Dropout2d(dropout)
        self.fuse = nn.Conv2d(width * len(channels), width, 1)
        self.predict = nn.Conv2d(width, num_classes, 1)

    def forward(self, fused: list[torch.Tensor]) -> list[torch.Tensor]:
        """Score the classes at each level's own size.

        Args:
            fused: (B, C, H/s, W/s) for s = 4, 8, 16.

        Returns:
            (B, K, H/s, W/s) logits by level; upsampled by s and added up they are the head's
            result. The biases are in the first.
        """
        fuse_levels = self.fuse.weight.chunk(len(fused), dim=1)
        classify = self.predict.weight[:, :, 0, 0]
        bias = classify @ self.fuse.bias + self.predict.bias
        scores = []
        for level, (perceptron, features) in enumerate(zip(self.perceptrons, fused, strict=True)):
            weight = (classify @ fuse_levels[level][:, :, 0, 0])[:, :, None, None]
            hidden = self.dropout(perceptron(features))
            scores.append(F.conv2d(hidden, weight, bias if level == 0 else None))
        return scores


def _perceptron(channels: int, width: int) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv2d(channels, width, 1),
        nn.ReLU(),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
        nn.Conv2d(width, width, 1),
    )
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return layers
