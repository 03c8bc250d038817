"""Every choice of the network, each with its origin: paper, public code, or ours.

Paper: MLE-SAM, arXiv 2412.04220. Public code: the related repositories of the same group, and the
`sam2` package. What neither settles is our own choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import ModalitySpec, RgbEncoding, SemanticClass


@dataclass(frozen=True)
class SizeConfig:
    """Widths and depths of one size of the SAM 2 modules.

    Attributes:
        embed_dim: channels of stage 1; they double at each of the three later stages.
        num_heads: attention heads of stage 1; they double likewise.
        stages: blocks per stage.
        global_blocks: blocks that attend to the whole frame; the others attend within windows.
        window_spec: window side per stage, in tokens.
        position_hw: size of the learnt position embedding before it is resized.
        d_model: channels of the neck and of the mask decoder.
        decoder_mlp: hidden width of the decoder's transformer.
        decoder_heads: attention heads of the decoder's transformer.
    """

    embed_dim: int
    num_heads: int
    stages: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    window_spec: tuple[int, int, int, int] = (8, 4, 14, 7)
    position_hw: tuple[int, int] = (7, 7)
    d_model: int = 256
    decoder_mlp: int = 2048
    decoder_heads: int = 8

    @property
    def feature_channels(self) -> tuple[int, int, int]:
        """Channels of the three maps: at 1/4 (FFP), 1/8 (IFP) and 1/16 (SFM) of the input."""
        return self.d_model // 8, self.d_model // 4, self.d_model


# nano is ours, sized for CPUs; the others are the official SAM 2 ones, base_plus is the paper's.
SIZES = {
    'nano': SizeConfig(24, 1, (1, 1, 3, 1), (4,), d_model=128, decoder_mlp=512, decoder_heads=4),
    'tiny': SizeConfig(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    'small': SizeConfig(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    'base_plus': SizeConfig(112, 2, (2, 3, 16, 3), (12, 16, 20), position_hw=(14, 14)),
    'large': SizeConfig(144, 2, (2, 6, 36, 4), (23, 33, 43), window_spec=(8, 4, 16, 8)),
}

# What is decoded: how much of the average, and how much of the weighted features.
COMBINATIONS = {
    'mean': (0.5, 0.5),
    'sum': (1.0, 1.0),
    'average': (1.0, 0.0),
    'weighted': (0.0, 1.0),
}


@dataclass(frozen=True)
class NetworkConfig:
    """What every network has.

    Attributes:
        input_hw: (height, width) of the rasters, multiples of 32; paper: (1024, 1024).
        modalities: names, encodings and normalisation, in the order of the stacked features.
        classes: index = class id.
        kind: of network, as recipes name it.
    """

    kind = ''
    has_frozen_part = True  # which comes from elsewhere, or from a stage before
    has_frozen_embedding = False  # what the frozen part says depends on the image alone

    input_hw: tuple[int, int]
    modalities: tuple[ModalitySpec, ...]
    classes: tuple[SemanticClass, ...]

    def __post_init__(self) -> None:
        check_fields(
            self,
            ('input_hw', all(s > 0 and s % 32 == 0 for s in self.input_hw), 'multiples of 32'),
            (
                'modalities',
                0 < len(self.modalities) == len(set(self.modality_names)),
                'at least one modality, each named once',
            ),
            ('classes', 0 < len(self.classes) < 256, '1 to 255 classes'),
        )

    @property
    def modality_names(self) -> tuple[str, ...]:
        """Names in the order of the stacked features."""
        return tuple(modality.name for modality in self.modalities)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    @property
    def router_levels(self) -> int:
        """At how many levels the modalities are weighed."""
        return 1

    @property
    def num_weighed(self) -> int:
        """The most modalities that count at a level."""
        return len(self.modalities)

    def with_modalities(self, names: Sequence[str]) -> 'NetworkConfig':
        """The same with a part of the modalities."""
        kept = tuple(spec for spec in self.modalities if spec.name in names)
        return replace(self, modalities=kept)

    def trunk(self) -> 'NetworkConfig':
        """The network of the stage before, where all learns what is frozen afterwards."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class MleSamConfig(NetworkConfig):
    """MLE-SAM.

    Attributes:
        size: a key of `SIZES`.
        frozen: SAM 2's own weights stay as they were trained; paper: True. Otherwise they learn on
            beside the experts, which suits a trunk that has seen less than SAM 2's.
        lora_rank: rank of the updates of q and v, 0 for none; paper: 32.
        lora_width: how many of the q and v channels are updated at the blocks that widen the
            features: `input` as many as come in (public code), `output` all of them (ours).
        input_adapters: each modality has its own trainable patch embedding that starts as the
            trunk's (ours: metres and event counts do not look like colours); False in the paper.
        router_k: modalities that the router keeps per level; the paper leaves it open, ours is 2.
        router_renormalise: the weights of the modalities kept add up to one; the paper leaves it
            open, ours is True.
        router_input: `all`, a modality is judged beside the others, or `own`, by its own features
            only; the paper leaves it open, ours is all.
        router_hidden: width of a ReLU layer before the linear one; 0, none, is Eq. 9.
        combination: what is decoded (Table V): `mean` of average and weighted features, which
            keeps the scale that the frozen transformer knows (ours), their `sum`, which is the
            plain reading of the paper, or only the `average` or the `weighted` ones.
        no_memory_embedding: SAM 2's `no_mem_embed` is added to the coarsest map, as its image
            predictor does; public code does not.
        not_a_point_tokens: sparse prompt tokens; public code: 2, SAM 2's image predictor: 0.
        auxiliary_head: the second head exists (Table V).
        auxiliary_width: width of the auxiliary head's perceptrons; public code: 32.
        auxiliary_dropout: probability that a channel of it is dropped; public code: 0.1.
    """

    kind = 'mle_sam'

    size: str
    frozen: bool = True
    lora_rank: int = 32
    lora_width: str = 'input'
    input_adapters: bool = False
    router_k: int = 2
    router_renormalise: bool = True
    router_input: str = 'all'
    router_hidden: int = 0
    combination: str = 'mean'
    no_memory_embedding: bool = False
    not_a_point_tokens: int = 2
    auxiliary_head: bool = True
    auxiliary_width: int = 32
    auxiliary_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(
            self,
            ('size', self.size in SIZES, f'one of {", ".join(SIZES)}'),
            ('lora_rank', self.lora_rank >= 0, 'a rank of 0 or more'),
            ('lora_width', self.lora_width in ('input', 'output'), 'input or output'),
            ('router_k', self.router_k >= 1, 'at least 1'),
            ('router_input', self.router_input in ('all', 'own'), 'all or own'),
            ('router_hidden', self.router_hidden >= 0, 'a width of 0 or more'),
            ('combination', self.combination in COMBINATIONS, f'one of {", ".join(COMBINATIONS)}'),
            ('not_a_point_tokens', self.not_a_point_tokens >= 0, '0 or more tokens'),
            ('auxiliary_width', self.auxiliary_width >= 1, 'a width of 1 or more'),
            ('auxiliary_dropout', 0 <= self.auxiliary_dropout < 1, 'from 0 to below 1'),
        )

    @property
    def widths(self) -> SizeConfig:
        """The size that `size` names."""
        return SIZES[self.size]

    @property
    def router_levels(self) -> int:
        """One per map."""
        return 3

    @property
    def num_weighed(self) -> int:
        """Those that the router keeps."""
        return min(self.router_k, len(self.modalities))

    def trunk(self) -> 'MleSamConfig':
        """The network of the stage before: one modality, no experts."""
        first = self.modalities[:1]
        return replace(self, modalities=first, frozen=True, lora_rank=0, input_adapters=False)

    @property
    def router_is_constant(self) -> bool:
        """Whether the router's weights cannot depend on what it sees, so that it cannot learn.

        So it is with one modality, and where the one weight that is kept is made 1.
        """
        keeps_one = self.router_k == 1 and self.router_renormalise
        return len(self.modalities) == 1 or keeps_one


def check_fields(config: NetworkConfig, *rules: tuple[str, bool, str]) -> None:
    """Refuse a field that breaks its rule: (name, whether it is met, what is expected)."""
    readable = {'modalities': config.modality_names, 'classes': config.num_classes}
    for name, is_met, expected in rules:
        if not is_met:
            raise InputError(
                f'network.{name}: expected {expected}, got '
                f'{readable.get(name, getattr(config, name))}; correct it'
            )


def plain_network(
    size: str, modalities: tuple[str, ...], num_classes: int, input_hw: tuple[int, int]
) -> MleSamConfig:
    """A network of default choices for rasters that come normalised: to be counted or verified.

    How a raster is made and what the classes are called changes neither parameters nor work.

    Raises:
        InputError: for a size, names, number of classes or input that no network can have.
    """
    return MleSamConfig(
        size=size,
        input_hw=input_hw,
        modalities=tuple(
            ModalitySpec(name, RgbEncoding(), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
            for name in modalities
        ),
        classes=tuple(SemanticClass(f'class_{i}', (0, 0, 0)) for i in range(num_classes)),
    )


Stage = Literal['trunk', 'experts']
