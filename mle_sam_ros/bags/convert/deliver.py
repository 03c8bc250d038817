"""DELIVER (arXiv 2303.01480): camera and labels of one simulated sequence."""

from collections.abc import Iterator
from pathlib import Path

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.convert.muses import FRAME_PERIOD_NS
from mle_sam_ros.bags.convert.rig import EPOCH_NS, FRAMES, Item, Rig, write_streams
from mle_sam_ros.bags.data_sets.deliver_index import find_frames, Frame, NUM_CLASSES
from mle_sam_ros.bags.data_sets.image_files import check_files, read_image, read_labels
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.errors import InputError

# Pictures that the data set made of its other sensors; there are no events or points to convert.
_PICTURES = {'event': '/deliver/event', 'lidar': '/deliver/lidar', 'depth': '/deliver/depth_hha'}


def convert_deliver(root: Path, out: Path, part: str) -> None:
    """Write a sequence as a bag, a frame every 200 ms.

    The data set has neither calibration nor times, nor events or points: what its other sensors
    saw is there as pictures only, on topics of their own, which the pipeline passes by.

    Args:
        root: directory with img/, hha/, event/, lidar/ and semantic/.
        out: the `.mcap` file.
        part: `cloud/val/MAP_10_point102`, as in the paths of the data set.

    Raises:
        InputError: for a wrong root or part, or files that are not as published.
    """
    condition, split, sequence = [*part.split('/'), '', ''][:3]
    frames = find_frames(root, split)
    chosen = [item for item in frames if (item.condition, item.sequence) == (condition, sequence)]
    if not chosen:
        known = sorted({f'{item.condition}/{split}/{item.sequence}' for item in frames})
        raise InputError(
            f'{root}: expected a sequence such as {known[0]} (one of {len(known)} of {split}), '
            f'got {part}; give its path below img/'
        )
    check_files(root / frame.path(name) for frame in chosen for name in ('camera', 'labels'))
    custom_data = {'condition': condition, 'failure': chosen[0].failure}
    custom_data |= {'data_set': 'DELIVER', 'source': part}
    streams = [_frames(Rig(Calibration()), root, chosen)]
    write_streams(out, streams, custom_data, (2 + len(_PICTURES)) * len(chosen))


def _frames(rig: Rig, root: Path, frames: list[Frame]) -> Iterator[Item]:
    for index, frame in enumerate(frames):
        stamp_ns = EPOCH_NS + (index + 1) * FRAME_PERIOD_NS
        labels = read_labels(root / frame.path('labels'), NUM_CLASSES, first=1)
        for name, topic in _PICTURES.items():
            path = root / frame.path(name)
            if path.is_file():
                picture = messages.image(read_image(path), 'rgb8', stamp_ns, FRAMES['camera'])
                yield stamp_ns, topic, picture
        yield from rig.frame(read_image(root / frame.path('camera')), stamp_ns, labels)
