"""The choices of CMNeXt."""

from dataclasses import dataclass

from mle_sam.config import check_fields, NetworkConfig


@dataclass(frozen=True)
class MitSize:
    """One size of the mix transformer (SegFormer, arXiv 2105.15203).

    Attributes:
        channels: by stage, at 1/4, 1/8, 1/16 and 1/32 of the input.
        depths: blocks by stage, of the camera's branch and of the others'.
        head: channels of the decoder.
    """

    channels: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    head: int


# nano is ours, sized for CPUs.
MIT_SIZES = {
    'nano': MitSize((16, 32, 80, 128), (1, 1, 2, 1), 128),
    'b0': MitSize((32, 64, 160, 256), (2, 2, 2, 2), 256),
    'b2': MitSize((64, 128, 320, 512), (3, 4, 6, 3), 512),
}


@dataclass(frozen=True, kw_only=True)
class CmnextConfig(NetworkConfig):
    """CMNeXt (arXiv 2303.01480): a branch for the camera, one for all other sensors.

    The first modality is the camera. What is absent is left out of the hub's maximum (ours; its
    authors always have all), and the camera, if absent, is a frame of zeros.

    Attributes:
        size: a key of `MIT_SIZES`; the paper: b2.
        drop_path: probability that the last block is skipped in training, less before; paper: 0.1.
        dropout: of the decoder's channels; paper: 0.1.
    """

    kind = 'cmnext'
    has_frozen_part = False

    size: str
    drop_path: float = 0.1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(
            self,
            ('size', self.size in MIT_SIZES, f'one of {", ".join(MIT_SIZES)}'),
            ('modalities', len(self.modalities) > 1, 'the camera and at least one more'),
            ('drop_path', 0 <= self.drop_path < 1, 'from 0 to below 1'),
            ('dropout', 0 <= self.dropout < 1, 'from 0 to below 1'),
        )

    @property
    def widths(self) -> MitSize:
        """The size that `size` names."""
        return MIT_SIZES[self.size]
