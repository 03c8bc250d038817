"""From the samples of an instant to the data that each modality's raster is made of."""

from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.modality_image import decode_modality_image
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.core.sensor_set import SensorSet
from mle_sam_ros.core.sweep import Sweep


def unpack(sensor_set: SensorSet, projection: Projection) -> tuple[dict[str, Any], dict[str, str]]:
    """Decode images, and put sweeps together that fall on one raster.

    Args:
        sensor_set: its clouds are sweeps, as `Rig.placed` makes them.
        projection: takes the rasters; it learns the size of the camera's images.

    Returns:
        By modality what `Projection.raster` takes; and, by stream, why something is of no use, or,
        by the motion's source, why sweeps could not be moved.
    """
    data: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for stream, sample in sensor_set.samples.items():
        if isinstance(sample.payload, Sweep):
            _add_sweep(sample.payload, projection, data, faults)
        elif isinstance(sample.payload, Events):
            data[stream] = sample.payload
        else:
            try:
                encoding = projection.encodings.get(stream)
                data[stream] = decode_modality_image(sample.payload, stream, encoding)
            except InputError as error:
                faults[stream] = str(error)
    if 'camera' in data:
        projection.set_image_size(data['camera'].shape[:2])
    return data, faults


def _add_sweep(
    sweep: Sweep, projection: Projection, data: dict[str, Any], faults: dict[str, str]
) -> None:
    """To those of the same modality, if it is known where it falls."""
    lack = projection.missing(sweep.stream)
    if lack or not len(sweep.camera_from_lidar):
        faults[sweep.stream] = lack or sweep.fault
        return
    if sweep.fault:
        faults[projection.rig.motion_source] = sweep.fault
    data.setdefault(projection.modality_of(sweep.stream), []).append(sweep)
