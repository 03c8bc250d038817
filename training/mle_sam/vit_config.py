"""The choices of the networks on the first SAM's image encoder, a plain vision transformer."""

from dataclasses import dataclass, replace

from mle_sam.config import check_fields, NetworkConfig


@dataclass(frozen=True)
class VitSize:
    """Widths and depths of one size of SAM (arXiv 2304.02643).

    Attributes:
        embed_dim: channels.
        depth: blocks.
        num_heads: attention heads of a block.
        global_blocks: blocks that attend to the whole frame; the others within windows.
        window: side of the windows, in patches of 16 pixels.
        position_side: side of the learnt position embedding, in patches of 16 pixels.
        d_model: channels of the neck and of the mask decoder.
        decoder_mlp: hidden width of the decoder's transformer.
        decoder_heads: attention heads of the decoder's transformer.
    """

    embed_dim: int
    depth: int
    num_heads: int
    global_blocks: tuple[int, ...]
    window: int = 14
    position_side: int = 64
    d_model: int = 256
    decoder_mlp: int = 2048
    decoder_heads: int = 8


# nano is ours, sized for CPUs; the others are the official ones of SAM.
VIT_SIZES = {
    'nano': VitSize(192, 6, 3, (2, 5), 7, position_side=28, d_model=128, decoder_mlp=512),
    'base': VitSize(768, 12, 12, (2, 5, 8, 11)),
    'large': VitSize(1024, 24, 16, (5, 11, 17, 23)),
    'huge': VitSize(1280, 32, 16, (7, 15, 23, 31)),
}


@dataclass(frozen=True, kw_only=True)
class VitNetworkConfig(NetworkConfig):
    """What all of them have.

    Attributes:
        size: a key of `VIT_SIZES`.
    """

    size: str

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f'one of {", ".join(VIT_SIZES)}'
        check_fields(self, ('size', self.size in VIT_SIZES, rule))

    @property
    def widths(self) -> VitSize:
        """The size that `size` names."""
        return VIT_SIZES[self.size]

    def trunk(self) -> 'SamLoraConfig':
        """SAM itself with one modality: what stands for its authors' training."""
        return SamLoraConfig(
            self.input_hw, self.modalities[:1], self.classes, size=self.size, lora_rank=0
        )


@dataclass(frozen=True, kw_only=True)
class SamLoraConfig(VitNetworkConfig):
    """SAM-LoRA, the MLE-SAM paper's baseline: one network per modality, their masks averaged.

    Attributes:
        lora_rank: rank of the updates of q and v, 0 for none; the paper's baseline: not said,
            ours is that of MLE-SAM.
        input_adapters: each modality has its own trainable patch embedding (ours, as in MLE-SAM).
    """

    kind = 'sam_lora'

    lora_rank: int = 32
    input_adapters: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, ('lora_rank', self.lora_rank >= 0, 'a rank of 0 or more'))

    def trunk(self) -> 'SamLoraConfig':
        """See `VitNetworkConfig`."""
        first = self.modalities[:1]
        return replace(self, modalities=first, lora_rank=0, input_adapters=False)


@dataclass(frozen=True, kw_only=True)
class CwsamConfig(VitNetworkConfig):
    """CWSAM (xypu98/CWSAM): adapters and prompts within SAM, a decoder by class.

    Its authors have one sensor. As a baseline of the MLE-SAM paper it has several: how is not
    said; ours has one set of adapters, prompts and decoder per modality and averages the masks.

    Attributes:
        adapter_share: width of an adapter's bottleneck, of the width of what it adapts; public
            code: 0.25.
        adapter_scale: of the adapter beside the perceptron; public code of the adapter: 0.5.
        prompt_share: width of the prompts, of the encoder's: public code: 1/32.
        low_frequencies: share of the frequencies that the prompts do not see; public code: 0.25.
    """

    kind = 'cwsam'

    adapter_share: float = 0.25
    adapter_scale: float = 0.5
    prompt_share: float = 1 / 32
    low_frequencies: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(
            self,
            ('adapter_share', 0 < self.adapter_share <= 1, 'above 0, to 1'),
            ('prompt_share', 0 < self.prompt_share <= 1, 'above 0, to 1'),
            ('low_frequencies', 0 <= self.low_frequencies < 1, 'from 0 to below 1'),
        )

    @property
    def prompt_width(self) -> int:
        """Channels of the prompts."""
        return max(1, round(self.prompt_share * self.widths.embed_dim))


@dataclass(frozen=True, kw_only=True)
class TsSamConfig(VitNetworkConfig):
    """TS-SAM (arXiv 2408.01835): a convolutional stream beside SAM. For the camera alone.

    Attributes:
        side_width: channels of the stream beside; the paper: 256.
        side_blocks: blocks after which the stream takes part; the paper: all.
        refined_blocks: blocks that the refinement sees; the paper's ViT-H: 20 to 31, ViT-B: all.
        refined_width: channels of the refinement and of the decoder; the paper: 128.
    """

    kind = 'ts_sam'

    side_width: int = 256
    side_blocks: tuple[int, ...] = ()
    refined_blocks: tuple[int, ...] = ()
    refined_width: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(
            self,
            ('modalities', len(self.modalities) == 1, 'one modality'),
            ('side_width', self.side_width >= 1, 'a width of 1 or more'),
            ('refined_width', self.refined_width >= 1, 'a width of 1 or more'),
            *(
                (name, all(0 <= i < self.widths.depth for i in blocks), 'blocks of the encoder')
                for name, blocks in (
                    ('side_blocks', self.side_blocks),
                    ('refined_blocks', self.refined_blocks),
                )
            ),
        )
