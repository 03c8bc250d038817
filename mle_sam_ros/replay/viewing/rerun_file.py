"""A drive for the Rerun viewer: images, masks, points and weights on one timeline."""

from collections.abc import Iterable
from datetime import timedelta
import math
from pathlib import Path
from typing import Any
import uuid

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.metrics import NO_CLASS
from mle_sam_ros.core.painted_points import GREY
from mle_sam_ros.core.rig import Mounts
from mle_sam_ros.replay.report.tiles import error_tile, MODALITY_COLOURS, raster_tile
from mle_sam_ros.replay.view import View
from mle_sam_ros.replay.viewing.changes import Change
from mle_sam_ros.replay.viewing.encoded import encoded
from mle_sam_ros.replay.viewing.rerun_blueprint import blueprint
import numpy as np

RERUN_NAME = 'drive.rrd'
TIMELINE = 'stamp'
# Entities. The vehicle's frame is the root of its transforms, or else the camera's.
VEHICLE = 'vehicle'
CAMERA = f'{VEHICLE}/camera'
IMAGE = f'{CAMERA}/image'
_JPEG_TYPE = 'image/jpeg'


def require_rerun() -> Any:
    """The package that writes such files.

    Raises:
        InputError: where it is not installed.
    """
    try:
        import rerun
    except ImportError:
        raise InputError(
            f'{RERUN_NAME}: expected the Python package rerun-sdk to write it, got none; '
            "pip install 'mle_sam_ros[rerun]'"
        ) from None
    return rerun


class RerunFile:
    """Writes `drive.rrd`, frame by frame; use it in a `with` block.

    The same frames give the same content, though not the same bytes: each chunk of such a file has
    a random name.
    """

    def __init__(self, path: Path, manifest: Manifest, name: str, identity: str) -> None:
        """Open the file.

        Args:
            path: of the file to be.
            manifest: of the bundle.
            name: of the drive, for people.
            identity: what this run was made from. Rerun takes recordings of one identity for
                parts of one recording.

        Raises:
            InputError: where rerun-sdk is not installed.
        """
        self._rr = require_rerun()
        self._manifest = manifest
        self._name = name
        self._mounts: Mounts = {}
        self._latest: View | None = None
        self._shown: set[str] = set()
        self._stream = self._rr.RecordingStream(
            'mle_sam_ros',
            recording_id=str(uuid.uuid5(uuid.NAMESPACE_OID, identity)),
            send_properties=False,  # they name the time of the run
            batcher_config=_by_size(self._rr),
        )
        # The clock of the run is not of the drive.
        self._stream.set_log_time_enabled(False)
        self._stream.set_log_tick_enabled(False)
        self._stream.save(path)
        self._stream.send_recording_name(name)
        self._describe()

    def add(self, view: View, miou: float, changes: Iterable[Change]) -> None:
        """Append one frame.

        Args:
            view: the frame.
            miou: of this frame alone; NaN without ground truth.
            changes: since the frame before.
        """
        if self._latest is None:
            self._stream.send_recording_start_time_nanos(view.prediction.stamp_ns)
        stamp = np.datetime64(view.prediction.stamp_ns, 'ns')
        self._stream.set_time(TIMELINE, timestamp=stamp)
        self._place(view)
        self._show_image(view)
        self._show_sensors(view)
        self._show_points(view)
        self._show_numbers(view, miou)
        for change in changes:
            level = self._rr.TextLogLevel.WARN if change.is_loss else self._rr.TextLogLevel.INFO
            self._log('log', self._rr.TextLog(change.text, level=level))
        self._latest = view

    def __enter__(self) -> 'RerunFile':
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()
        self._stream.disconnect()

    def _describe(self) -> None:
        """What holds for the whole drive: classes, and how sensors are drawn."""
        rr = self._rr
        classes = [
            rr.AnnotationInfo(id=number, label=item.name, color=item.colour)
            for number, item in enumerate(self._manifest.classes)
        ]
        unlabelled = rr.AnnotationInfo(id=NO_CLASS, label='unlabelled', color=(*GREY, 255))
        self._log('/', rr.AnnotationContext([*classes, unlabelled]), static=True)
        names = self._manifest.modality_names
        for name, colour in zip(names, MODALITY_COLOURS, strict=False):
            style = rr.SeriesLines(colors=[colour], names=[name], widths=[2])
            for level in range(self._manifest.router.levels):
                self._log(f'router_weights/level_{level}/{name}', style, static=True)
            self._log(f'ages_ms/{name}', style, static=True)
            states = rr.StateConfiguration(
                values=['present', 'absent'],
                labels=['present', 'absent'],
                colors=[(*colour, 255), (90, 40, 40, 255)],
            )
            self._log(f'sensors/{name}', states, static=True)
        self._log('miou', rr.SeriesLines(colors=[(230, 237, 243)], names=['mIoU']), static=True)

    def _place(self, view: View) -> None:
        """The frames, wherever they changed, and the camera's lens without its distortion."""
        rr, prediction = self._rr, view.prediction
        mounts, camera = prediction.mounts, prediction.camera
        if self._latest is None:
            has_base = prediction.frame_id.removeprefix('/') in mounts
            axes = rr.ViewCoordinates.FLU if has_base else rr.ViewCoordinates.RDF
            self._log(VEHICLE, axes, static=True)
            self._stream.send_blueprint(blueprint(self._manifest, has_base))
        if mounts is not self._mounts:
            self._mounts = mounts
            for frame, (_, matrix) in mounts.items():
                is_camera = frame == prediction.frame_id.removeprefix('/')
                path = CAMERA if is_camera else f'{CAMERA}/{frame}'
                place = rr.Transform3D(translation=matrix[:3, 3], mat3x3=matrix[:3, :3])
                self._log(path, place)
        if camera is not None and (
            self._latest is None or self._latest.prediction.camera is not camera
        ):
            height, width = camera.size_hw
            lens = rr.Pinhole(
                image_from_camera=camera.matrix,
                resolution=(width, height),
                camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=2.0,
            )
            self._log(IMAGE, lens)

    def _show_image(self, view: View) -> None:
        rr, prediction = self._rr, view.prediction
        image = None
        if prediction.image is not None:
            image = self._picture(prediction.image)
        self._show(IMAGE, image)
        self._show(f'{IMAGE}/mask', rr.SegmentationImage(prediction.label_map, opacity=0.5))
        confidence = np.repeat(prediction.confidence[:, :, None], 3, axis=2)
        self._show('confidence', self._picture(confidence))
        truth = error = None
        if view.truth is not None:
            truth = rr.SegmentationImage(view.truth)
            error = self._picture(error_tile(view.frame, view.truth.shape))
        self._show('truth', truth)
        self._show('error', error)

    def _show_sensors(self, view: View) -> None:
        for modality in self._manifest.modalities[1:]:
            picture = None
            if modality.name in view.prediction.present:
                tile = raster_tile(view.frame, modality, self._manifest.input_hw)
                picture = self._picture(tile)
            self._show(f'rasters/{modality.name}', picture)

    def _show_points(self, view: View) -> None:
        """A sweep serves several frames of a faster camera; it is written with its first."""
        rr, points = self._rr, None
        if view.prediction.sweeps:
            if view.shares_sweeps(self._latest):
                return
            points = view.points
        cloud = None
        if points is not None:
            xyz = np.stack([points[axis] for axis in 'xyz'], axis=1)
            cloud = rr.Points3D(xyz, class_ids=points['label'], radii=rr.Radius.ui_points(1.5))
        self._show(f'{CAMERA}/points', cloud)

    def _show_numbers(self, view: View, miou: float) -> None:
        rr, prediction = self._rr, view.prediction
        names = self._manifest.modality_names
        for level, weights in enumerate(prediction.router_weights.tolist()):
            for name, weight in zip(names, weights, strict=True):
                self._log(f'router_weights/level_{level}/{name}', rr.Scalars(weight))
        for name in names:
            is_present = name in prediction.present
            was_present = self._latest and name in self._latest.prediction.present
            if is_present is not was_present:
                state = 'present' if is_present else 'absent'
                self._log(f'sensors/{name}', rr.StateChange(state=state))
            if is_present:
                age_ms = prediction.ages_ns[name] / 1e6
                self._log(f'ages_ms/{name}', rr.Scalars(age_ms))
        if not math.isnan(miou):
            self._log('miou', rr.Scalars(miou))

    def _show(self, path: str, archetype: Any) -> None:
        """From now on show this; with None, what was shown ends."""
        if archetype is not None:
            self._log(path, archetype)
            self._shown.add(path)
        elif path in self._shown:
            self._log(path, self._rr.Clear(recursive=False))
            self._shown.discard(path)

    def _picture(self, picture: np.ndarray) -> Any:
        return self._rr.EncodedImage(contents=encoded(picture, 'jpeg'), media_type=_JPEG_TYPE)

    def _log(self, path: str, archetype: Any, static: bool = False) -> None:
        self._stream.log(path, archetype, static=static)


def _by_size(rr: Any) -> Any:
    """Chunks that end by their size, never by the clock of the run."""
    config = rr.ChunkBatcherConfig.DEFAULT()
    config.flush_tick = timedelta(days=1)
    return config
