"""`verify-sam2`: is our encoder, with its experts at their start, SAM 2's own, to the last bit?"""

from dataclasses import dataclass
from pathlib import Path

from hydra.utils import instantiate
from mle_sam_ros.core.errors import InputError
from omegaconf import OmegaConf
import sam2
from sam2.modeling.sam2_base import SAM2Base
import torch

from mle_sam.config import plain_network
from mle_sam.models.mle_sam import MleSam
from mle_sam.pretrained import LoadReport, read_official, start_from

# The letters that stand for our sizes in the names of the packaged configurations.
LETTERS = {'tiny': 't', 'small': 's', 'base_plus': 'b+', 'large': 'l'}
LEVELS = ('fine', 'intermediate', 'semantic')
# Of frames in units of 0 to 255, with which SAM 2 was trained.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Verification:
    """How far our encoder is from SAM 2's.

    Attributes:
        report: what was loaded.
        differences: largest absolute difference by level; 0 where every value is the same.
    """

    report: LoadReport
    differences: dict[str, float]

    @property
    def is_exact(self) -> bool:
        """Whether every value of all three maps is the same."""
        return not any(self.differences.values())


def verify(checkpoint: Path, size: str, input_hw: tuple[int, int]) -> Verification:
    """Encode one image with `sam2`'s own model and with ours, both from an official checkpoint.

    The maps are those of `forward_image`, which are what the mask decoder gets: the fine and the
    intermediate one after `conv_s0` and `conv_s1`.

    Raises:
        InputError: for a file that is not an official checkpoint of this size.
    """
    official = build_official(size, 'sam2.1')  # 2.0 differs in its memory only
    model = MleSam(plain_network(size, ('camera',), 3, input_hw)).eval()
    weights = read_official(checkpoint)
    report = start_from(model, weights, str(checkpoint))
    # What is run here is in the file, or there would be no report; the memory is not run.
    official.load_state_dict(weights, strict=False)
    generator = torch.Generator().manual_seed(0)
    raster = torch.randint(0, 256, (1, *input_hw, 3), generator=generator)
    image = (raster - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.inference_mode():
        ours = model.encode(image, 'camera')
        theirs = official.forward_image(image.permute(0, 3, 1, 2))['backbone_fpn']
    pairs = zip(LEVELS, ours, theirs, strict=True)
    return Verification(report, {name: (a - b).abs().max().item() for name, a, b in pairs})


def build_official(size: str, version: str) -> SAM2Base:
    """Build `sam2`'s own model from the configuration packaged with it, ready for evaluation.

    Args:
        size: a key of `LETTERS`.
        version: sam2 or sam2.1.
    """
    return instantiate(OmegaConf.load(official_configuration(size, version)).model).eval()


def official_configuration(size: str, version: str) -> Path:
    """The packaged YAML file of a size.

    Raises:
        InputError: for a size that SAM 2 does not have.
    """
    if size not in LETTERS:
        raise InputError(
            f'--size: expected one that SAM 2 has, {", ".join(LETTERS)}, got {size}; choose one'
        )
    directory = Path(sam2.__path__[0]) / 'configs' / version
    return directory / f'{version}_hiera_{LETTERS[size]}.yaml'
