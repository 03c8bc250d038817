"""Public recordings as bags that the node and the replay take."""

from pathlib import Path

from mle_sam_ros.bags.convert.deliver import convert_deliver
from mle_sam_ros.bags.convert.dsec import convert_dsec
from mle_sam_ros.bags.convert.kitti import convert_kitti
from mle_sam_ros.bags.convert.m3ed import convert_m3ed
from mle_sam_ros.bags.convert.muses import convert_muses
from mle_sam_ros.core.errors import InputError

# One sequence of these is one bag; of the others, a part must be named.
_SEQUENCES = {'dsec': convert_dsec, 'm3ed': convert_m3ed, 'kitti': convert_kitti}
_COLLECTIONS = {'muses': convert_muses, 'deliver': convert_deliver}
DATA_SETS = (*_SEQUENCES, *_COLLECTIONS)


def convert(data_set: str, source: Path, out: Path, part: str | None = None) -> None:
    """Write a bag.

    Args:
        data_set: one of `DATA_SETS`.
        source: what the data set's own converter takes.
        out: the `.mcap` file; it appears whole or not at all.
        part: of a collection: `val/fog/night` of MUSES, `cloud/val/MAP_10_point102` of DELIVER.

    Raises:
        InputError: for anything that is not as the data set has it.
    """
    if not source.exists():
        raise InputError(f'{source}: expected a data set, got nothing; correct the path')
    if data_set in _SEQUENCES:
        if part is not None:
            raise InputError(
                f'--part: expected none for {data_set}, whose source is one sequence, got {part}; '
                'leave it out'
            )
        _SEQUENCES[data_set](source, out)
        return
    if part is None:
        raise InputError(
            f'--part: expected which part of {data_set}, got none; give for instance '
            f'{"val/fog/night" if data_set == "muses" else "cloud/val/MAP_10_point102"}'
        )
    _COLLECTIONS[data_set](source, out, part)
