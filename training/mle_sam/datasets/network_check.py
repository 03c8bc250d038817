"""Does a network fit a data set?"""

from collections.abc import Mapping

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import AlignedImageEncoding, Encoding

from mle_sam.config import NetworkConfig


def check_network(
    network: NetworkConfig, data_set: str, encodings: Mapping[str, str], num_classes: int
) -> None:
    """Compare a network's inputs and classes with what a data set gives.

    Args:
        network: of the recipe.
        data_set: its name, for error messages.
        encodings: what each modality of the data set is, as `describe_encoding` says it.
        num_classes: of the data set.

    Raises:
        InputError: for a modality that the data set lacks, an encoding that its files do not
            hold, or another number of classes.
    """
    for spec in network.modalities:
        if spec.name not in encodings:
            raise InputError(
                f'network.modalities: expected some of {", ".join(encodings)}, which {data_set} '
                f'has, got {spec.name}; correct the recipe'
            )
        expected, got = encodings[spec.name], describe_encoding(spec.encoding)
        if got != expected:
            raise InputError(
                f'network.modalities: expected the encoding {expected} for {spec.name} of '
                f'{data_set}, got {got}; correct the recipe'
            )
    if network.num_classes != num_classes:
        raise InputError(
            f'network.classes: expected the {num_classes} classes of {data_set}, got '
            f'{network.num_classes}; correct the recipe'
        )


def describe_encoding(encoding: Encoding) -> str:
    """The kind, and an aligned image's dtype: `rgb`, `aligned_image uint8`."""
    if isinstance(encoding, AlignedImageEncoding):
        return f'{encoding.kind} {encoding.dtype}'
    return encoding.kind
