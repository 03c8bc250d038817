"""From what a recipe says of its data to a data set."""

from mle_sam.config import NetworkConfig
from mle_sam.datasets.config import (
    DataConfig,
    DeliverData,
    DriveData,
    McubesData,
    Split,
)
from mle_sam.datasets.deliver import Deliver
from mle_sam.datasets.drives import Drives
from mle_sam.datasets.mcubes import Mcubes
from mle_sam.datasets.muses import Muses
from mle_sam.datasets.sample import SegmentationDataset


def open_dataset(data: DataConfig, network: NetworkConfig, split: Split) -> SegmentationDataset:
    """Open one split.

    Raises:
        InputError: for a wrong root, a missing file or a split that does not exist.
    """
    if isinstance(data, DriveData):
        return Drives(data, network, split)
    if isinstance(data, DeliverData):
        return Deliver(data, network, split)
    if isinstance(data, McubesData):
        return Mcubes(data, network, split)
    return Muses(data, network, split)
