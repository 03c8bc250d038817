"""What every network offers to training, evaluation and export.

Shape suffixes: B batch, M modalities, K classes, C channels, H height, W width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
import functools
import itertools
from typing import NamedTuple

import torch
from torch import nn

from mle_sam.config import NetworkConfig, Stage
from mle_sam.embedding_cache import EmbeddingCacheConfig
from mle_sam.enlargement import Enlargement, SCALES
from mle_sam.pretrained_names import Names


class Segmentation(NamedTuple):
    """What a network says of a batch.

    Attributes:
        paths: the logits of each head, which add up to the result; of a head, maps (B, K, h, w) at
            1/4 and, where it has them, at 1/8 and 1/16 of the input, to be enlarged and added up.
        router_weights_BLM: by level and modality, how much each counted; rows add up to 1.
    """

    paths: tuple[list[torch.Tensor], ...]
    router_weights_BLM: torch.Tensor


class Network(nn.Module, ABC):
    """Encodes each modality by itself, then decodes those that are present.

    So that one bundle serves every subset of the sensors, and what is absent costs nothing.

    Attributes:
        config: what it was built from.
        feature_channels: of the maps that pass from encoders to decoder, at 1/4 and, where there
            are more, at 1/8 and 1/16.
        enlarge: adds up logits at the input's size.
        checkpoint_names: of the family that it starts from, where the configuration has a frozen
            part.
    """

    checkpoint_names: Names

    def __init__(self, config: NetworkConfig, feature_channels: tuple[int, ...]):
        super().__init__()
        self.config, self.feature_channels = config, feature_channels
        self.enlarge = Enlargement(config.input_hw)

    @abstractmethod
    def encode(self, raster_BHW3: torch.Tensor, modality: str) -> list[torch.Tensor]:
        """Compute one modality's maps (B, C, H/s, W/s) for s in `SCALES`, as many as it has.

        Args:
            raster_BHW3: in the units of the modality's encoding, any dtype.
            modality: of the configuration.
        """

    @abstractmethod
    def decode(self, levels: list[torch.Tensor], present_BM: torch.Tensor) -> Segmentation:
        """Decode maps stacked by modality, (M, B, C, h, w) by level.

        Slots of absent modalities may hold anything, NaN too.
        """

    @abstractmethod
    def trainable(self, stage: Stage) -> set[str]:
        """Names of the parameters that a stage is there to train."""

    def without_gradient(self) -> set[str]:
        """Names of what has no path to the result, and so never learns."""
        return set()

    def rate_of(self, name: str) -> float:
        """By how much a parameter's learning rate differs from the recipe's."""
        return 1.0

    def load_backbone(self) -> None:
        """Start what stands beside the frozen part, where the configuration names a file for it.

        Raises:
            InputError: for a file that does not fit.
        """

    def keep_embeddings(
        self, cache: EmbeddingCacheConfig, precision: str, num_images: int
    ) -> None:
        """Ask the disk before the frozen encoder in training, from now on.

        Args:
            cache: where and how.
            precision: that training computes in.
            num_images: that training sees.

        Raises:
            InputError: if there are too many.
        """
        raise NotImplementedError  # but where the configuration has a frozen embedding

    def logits(self, segmentation: Segmentation) -> torch.Tensor:
        """The result: the mean of all paths, (B, K, H, W); added before they are enlarged."""
        by_scale = itertools.zip_longest(*segmentation.paths)
        levels = [functools.reduce(torch.add, filter(_is_there, maps)) for maps in by_scale]
        return self.enlarge(levels) / len(segmentation.paths)

    def forward(
        self, rasters: Mapping[str, torch.Tensor], present_BM: torch.Tensor
    ) -> Segmentation:
        """Segment a batch; a modality is encoded only for the items that have it.

        Args:
            rasters: modality to (B, H, W, 3); rows of items without it are not read.
            present_BM: bool, at least one per row, columns in the configuration's order.
        """
        stacks: list[list[torch.Tensor]] = [[] for _ in self.feature_channels]
        for column, modality in enumerate(self.config.modality_names):
            rows = present_BM[:, column].nonzero().squeeze(1)
            if len(rows):
                encoded = self.encode(rasters[modality][rows], modality)
            else:
                encoded = self._empty_maps(present_BM.device)
            for stack, features in zip(stacks, encoded, strict=True):
                blank = features.new_zeros(len(present_BM), *features.shape[1:])
                stack.append(blank.index_copy(0, rows, features))
        return self.decode([torch.stack(stack) for stack in stacks], present_BM)

    def set_trainable(self, stage: Stage) -> None:
        """Let learn what the stage is there to train and what can learn; freeze the rest."""
        learning = self.trainable(stage) - self.without_gradient()
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in learning)

    def _empty_maps(self, device: torch.device) -> list[torch.Tensor]:
        height, width = self.config.input_hw
        return [
            torch.zeros(0, channels, height // scale, width // scale, device=device)
            for channels, scale in zip(self.feature_channels, SCALES, strict=False)
        ]


def _is_there(logits: torch.Tensor | None) -> bool:
    return logits is not None
