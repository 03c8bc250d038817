"""The index of DELIVER (arXiv 2303.01480): which frames there are, and where their files lie."""

from pathlib import Path
import re
from typing import NamedTuple

from mle_sam_ros.core.errors import InputError

NO_FAILURE = 'none'
NUM_CLASSES = 25
# Directory, and what the names of its files call their content.
_FILES = {
    'camera': ('img', 'rgb'),
    'depth': ('hha', 'depth'),
    'event': ('event', 'event'),
    'lidar': ('lidar', 'lidar'),
    'labels': ('semantic', 'semantic'),
}
# The word in the name of a sequence, and the failure.
FAILURES = {
    'motionblur': 'motion_blur',
    'overexposure': 'over_exposure',
    'underexposure': 'under_exposure',
    'lidarjitter': 'lidar_jitter',
    'eventlowres': 'event_low_resolution',
}


class Frame(NamedTuple):
    """Where one sample lies: <directory>/condition/split/sequence/<number>_<content>_front.png."""

    condition: str
    split: str
    sequence: str
    number: str

    @property
    def failure(self) -> str:
        """What the sequence is named after, or `none`; however the words are written."""
        letters = re.sub('[^a-z]', '', self.sequence.lower())
        return next((name for word, name in FAILURES.items() if word in letters), NO_FAILURE)

    def path(self, content: str) -> Path:
        """The file of a modality, or of the `labels`, within the data set."""
        directory, kind = _FILES[content]
        parent = Path(directory, self.condition, self.split, self.sequence)
        return parent / f'{self.number}_{kind}_front.png'


def find_frames(root: Path, split: str) -> list[Frame]:
    """Every camera image of a split, in the order of their paths.

    Raises:
        InputError: where there is none, or one has another name.
    """
    paths = sorted((root / 'img').glob(f'*/{split}/*/*.png'))
    if not paths:
        raise InputError(
            f'{root}: expected img/<condition>/{split}/<sequence>/<number>_rgb_front.png, got no '
            'such file; correct the path of the data set'
        )
    frames = []
    for path in paths:
        condition, _, sequence, name = path.relative_to(root / 'img').parts
        number = name.removesuffix('_rgb_front.png')
        if number == name:
            raise InputError(
                f'{path}: expected a name that ends in _rgb_front.png, got {name}; '
                'remove it, or download the data set again'
            )
        frames.append(Frame(condition, split, sequence, number))
    return frames
