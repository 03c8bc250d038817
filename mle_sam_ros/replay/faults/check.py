"""Which faults a replay can take: those of streams that it reads."""

from collections.abc import Collection, Sequence

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.faults.fault import Fault, is_lidar
from mle_sam_ros.replay.faults.noise import Noise


def check_faults(
    faults: Sequence[Fault], manifest: Manifest, drop: Collection[str], motion: str
) -> None:
    """Refuse faults that would befall nothing, whatever the recording has.

    Args:
        faults: what is to go wrong.
        manifest: of the bundle.
        drop: sensors that are left out.
        motion: source of the vehicle's motion, or none.

    Raises:
        InputError: names the streams that could be read.
    """
    # The camera sets the pace of models that do not look at it, too; transforms may be moving.
    names = {'camera', *manifest.modality_names} - set(drop) | {'tf', motion} - {'none'}
    for fault in faults:
        further = is_lidar(fault.stream) and not isinstance(fault, Noise)
        _check(fault, 'lidar' if further else fault.stream, names, manifest)


def check_recorded(faults: Sequence[Fault], manifest: Manifest, streams: Collection[str]) -> None:
    """Refuse faults that would befall nothing of a recording.

    Args:
        faults: what is to go wrong.
        manifest: of the bundle.
        streams: that are read of the recording.

    Raises:
        InputError: names the streams that are read.
    """
    names = {name for name in streams if not name.endswith('camera_info')}
    for fault in faults:
        _check(fault, fault.stream, names, manifest)


def _check(fault: Fault, stream: str, names: Collection[str], manifest: Manifest) -> None:
    if isinstance(fault, Noise):
        names = [name for name in names if name in manifest.modality_names]
    if stream not in names:
        raise InputError(
            f'fault {fault}: expected one of the streams {", ".join(sorted(names))}, got '
            f'{fault.stream!r}, which is not read; choose one of these'
        )
