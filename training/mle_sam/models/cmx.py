"""How CMX (arXiv 2203.04838) joins two streams: rectify each by the other, then fuse.

Shape suffixes: B batch, C channels, H height, W width, N pixels, D channels of an attention head.
"""

import torch
from torch import nn


class Rectification(nn.Module):
    """Feature rectification module (FRM): each stream plus the other, weighed."""

    def __init__(self, width: int):
        super().__init__()
        self.of_channels = nn.Sequential(
            nn.Linear(4 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, 2 * width)
        )
        self.of_pixels = nn.Sequential(
            nn.Conv2d(2 * width, width, 1), nn.ReLU(), nn.Conv2d(width, 2, 1)
        )

    def forward(
        self, one_BCHW: torch.Tensor, other_BCHW: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rectify both; channels and pixels have half of the say each."""
        both = torch.cat([one_BCHW, other_BCHW], 1)
        pooled = torch.cat([both.mean((2, 3)), both.amax((2, 3))], 1)
        channels = self.of_channels(pooled).sigmoid()[:, :, None, None]
        of_one, of_other = channels.chunk(2, 1)
        at_one, at_other = self.of_pixels(both).sigmoid().chunk(2, 1)
        return (
            one_BCHW + 0.5 * (of_other + at_other) * other_BCHW,
            other_BCHW + 0.5 * (of_one + at_one) * one_BCHW,
        )


class FeatureFusion(nn.Module):
    """Feature fusion module (FFM): both streams attend to each other, then become one."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.paths = nn.ModuleList(_Path(width) for _ in range(2))
        self.num_heads = num_heads
        self.shortcut = nn.Conv2d(2 * width, width, 1, bias=False)
        self.embed = nn.Sequential(
            nn.Conv2d(2 * width, width, 1),
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.BatchNorm2d(width),
        )
        self.norm = nn.BatchNorm2d(width)

    def forward(self, one_BCHW: torch.Tensor, other_BCHW: torch.Tensor) -> torch.Tensor:
        """Fuse two maps into one."""
        size_hw = one_BCHW.shape[2:]
        streams = [x.flatten(2).transpose(1, 2) for x in (one_BCHW, other_BCHW)]
        own, shown = zip(
            *(p.split(x) for p, x in zip(self.paths, streams, strict=True)), strict=True
        )
        contexts = [
            path.context(x, self.num_heads) for path, x in zip(self.paths, shown, strict=True)
        ]
        joined = [
            path.join(x, mine, self._attend(seen, context))
            for path, x, mine, seen, context in zip(
                self.paths, streams, own, shown, reversed(contexts), strict=True
            )
        ]
        both = torch.cat(joined, 2).transpose(1, 2).unflatten(2, size_hw)
        return self.norm(self.shortcut(both) + self.embed(both))

    def _attend(self, x_BNC: torch.Tensor, context_BhDD: torch.Tensor) -> torch.Tensor:
        query_BhND = x_BNC.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        return (query_BhND @ context_BhDD).transpose(1, 2).flatten(2)


class _Path(nn.Module):
    """One stream's side of the cross attention, whose context is as small as a head is wide."""

    def __init__(self, width: int):
        super().__init__()
        self.project = nn.Linear(width, 2 * width)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.end = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)

    def split(self, x_BNC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What it keeps, and what it shows to the other."""
        own, shown = self.project(x_BNC).relu().chunk(2, 2)
        return own, shown

    def context(self, x_BNC: torch.Tensor, num_heads: int) -> torch.Tensor:
        """(B, heads, D, D): keys by values, softmax over the keys' channels."""
        parts = self.key_value(x_BNC).unflatten(2, (2, num_heads, -1)).permute(2, 0, 3, 1, 4)
        key_BhND, value_BhND = parts
        scale = key_BhND.shape[3] ** -0.5
        return ((key_BhND.transpose(2, 3) @ value_BhND) * scale).softmax(2)

    def join(self, x_BNC: torch.Tensor, own: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """The stream with what it kept and what the other told it."""
        return self.norm(x_BNC + self.end(torch.cat([own, attended], 2)))
