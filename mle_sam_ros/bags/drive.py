"""A recorded drive through the pipeline, as a vehicle fast enough for every frame had run it."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice, pairwise
from statistics import median_low
import time
from typing import Any

from mle_sam_ros.bags.ahead import Ahead
from mle_sam_ros.bags.arrived import Arrived, Disturbance
from mle_sam_ros.bags.calibration import hear_rig
from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.inference import Engine
from mle_sam_ros.core.instant import Instant
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.pipeline import Pipeline, Prediction
from mle_sam_ros.core.sensor_set import SensorSet
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.core.stamp import stamp_ns
from tqdm import tqdm

# Instants that may wait for the engine, each with its image and rasters.
_NUM_AHEAD = 4


class Drive:
    """Feeds a recording to a pipeline in the order of its log times.

    Attributes:
        pipeline: the node's own; its account covers the drive when all predictions were taken.
    """

    def __init__(
        self,
        reader: BagReader,
        topics: Topics,
        manifest: Manifest,
        engine: Engine,
        calibration: Calibration,
        drop: Collection[str] = (),
        keep_going: bool = False,
        settings: RigSettings | None = None,
        disturbance: Disturbance | None = None,
    ) -> None:
        """Set up.

        Args:
            reader: the recording.
            topics: of the recording.
            manifest: of the engine's bundle.
            engine: makes the masks.
            calibration: of the rig; what it leaves open comes from the recording: its static
                transforms and first CameraInfo as if they had been there from the start.
            drop: streams to leave out, as if their sensors had never been switched on.
            keep_going: count what cannot be read or placed and go on, as the node does.
            settings: how the rig's messages are to be taken; of LiDARs there are as many as the
                recording has.
            disturbance: what is done to the messages and rasters; nothing by default.

        Raises:
            InputError: for a stream that the model does not have, or if none is left; for a motion
                that the recording does not tell; without `keep_going` also for a recorded sensor
                that has no calibration.
        """
        check_drop(drop, manifest)
        settings = settings or RigSettings()
        alignment = settings.alignment
        if 'camera' in drop:
            period_ns = _period_ns(reader, topics.camera)
            alignment = replace(
                alignment, camera=replace(alignment.camera, default_period_ns=period_ns)
            )
        num_lidars = 1 + len(_more_lidars(topics))
        settings = replace(settings, alignment=alignment, num_lidars=num_lidars)
        retouch = None if disturbance is None else disturbance.rasters
        self.pipeline = Pipeline(
            manifest, engine, calibration, settings, time.perf_counter_ns, retouch
        )
        # Each is counted by one thread: what could not be received or prepared, and inferred.
        self._faults: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._reader = reader
        self._disturbance = disturbance
        self._keep_going = keep_going
        self._streams = {
            topic: stream
            for stream, topic in _topic_of(topics, manifest).items()
            if topic is not None and self.pipeline.projection.modality_of(stream) not in drop
        }
        self._prime(topics)
        if settings.motion != 'none':
            self._streams[motion_topic(reader, topics, settings.motion)] = settings.motion
        if topics.tf is not None and any(self._lacks(manifest)):
            self._streams[topics.tf] = 'tf'  # what is not placed for good may be moving
        if not keep_going and 'tf' not in self._streams.values():
            for lack in self._lacks(manifest):
                raise InputError(
                    f'{self._reader.path}: {lack}; or go on without it (--keep-going)'
                )

    @property
    def streams(self) -> frozenset[str]:
        """Those of the pipeline that the recording has and that are not left out."""
        return frozenset(self._streams.values())

    @property
    def faults(self) -> Counter[str]:
        """One-line errors of messages and sensors, to how often they came, in a fixed order.

        They are whole when all predictions were taken; without `keep_going` there are only those
        of sensors that a frame had to do without.
        """
        return self._faults + self._failures

    def predictions(self) -> Iterator[tuple[int, Prediction]]:
        """The mask of every instant that gets one, and when it was complete (log time).

        Whoever takes them has the engine run on its own thread, while another one reads, decodes
        and projects what comes next.

        Raises:
            InputError: without `keep_going`, for the first message that cannot be used; at the
                end, where not a single camera frame was used.
        """
        failed: list[bool] = []  # whether each had a camera frame
        with Ahead(self._instants(), _NUM_AHEAD) as instants:
            for now_ns, instant in instants:
                try:
                    prediction = self.pipeline.infer(instant)
                except InputError as error:
                    self._count(error, now_ns, self._failures)
                    failed.append(instant.has_frame)
                    continue
                yield now_ns, prediction
        for has_frame in failed:  # now that nobody else counts
            self.pipeline.reject(has_frame)
        self._check_account()

    def _instants(self) -> Iterator[tuple[int, Instant]]:
        for now_ns, sensor_set in self._sensor_sets():
            try:
                instant = self.pipeline.prepare(sensor_set)
            except InputError as error:
                self._count(error, now_ns, self._faults)
                continue
            self._faults.update(instant.faults.values())
            yield now_ns, instant

    def _sensor_sets(self) -> Iterator[tuple[int, SensorSet]]:
        total = self._reader.num_messages
        with tqdm(total=total, desc='replay', unit=' messages', disable=None) as progress:
            for log_time_ns, stream, message in self._arrivals():
                yield from self._due(log_time_ns)
                self._receive(stream, message, log_time_ns)
                yield from self._poll(log_time_ns)
                progress.update()
        while self.pipeline.account.waiting:
            yield from self._poll(self._deadline_ns())

    def _arrivals(self) -> Iterator[Arrived]:
        messages = self._reader.messages(self._streams)
        arrivals = (
            Arrived(log_time_ns, self._streams[topic], message)
            for log_time_ns, topic, _, message in messages
        )
        return arrivals if self._disturbance is None else self._disturbance.arrivals(arrivals)

    def _due(self, until_ns: int) -> Iterator[tuple[int, SensorSet]]:
        """What comes of waiting until then: each set at its own time, so none is superseded."""
        while (deadline_ns := self.pipeline.assembler.next_deadline_ns()) is not None:
            if deadline_ns >= until_ns:
                return
            yield from self._poll(deadline_ns)

    def _poll(self, now_ns: int) -> Iterator[tuple[int, SensorSet]]:
        sensor_set = self.pipeline.poll(now_ns)
        if sensor_set is not None:
            yield now_ns, sensor_set

    def _receive(self, stream: str, message: Any, log_time_ns: int) -> None:
        try:
            self.pipeline.receive(stream, message, log_time_ns)
        except InputError as error:
            self._count(error, log_time_ns, self._faults)

    def _count(self, error: InputError, log_time_ns: int, faults: Counter[str]) -> None:
        if not self._keep_going:
            raise InputError(
                f'{self._reader.path} at {log_time_ns / 1e9:.3f} s: {error}; '
                'or count such faults and go on (--keep-going)'
            ) from None
        faults[str(error)] += 1

    def _check_account(self) -> None:
        account = self.pipeline.account
        if account.num_rejected and account.num_rejected == account.received:
            reasons = ', '.join(f'{reason} {n}' for reason, n in account.rejected.items())
            raise InputError(
                f'{self._reader.path}: expected camera frames that can be used, got '
                f'{account.received} of which all were rejected ({reasons}); for too_old or '
                'in_future, record with stamps and log times on the same clock'
            )

    def _prime(self, topics: Topics) -> None:
        """What a node that was there before the recording had heard."""
        try:
            hear_rig(self._reader, topics, self.pipeline.projection.rig)
            for topic, stream in self._streams.items():
                if stream.endswith('camera_info'):
                    for item in islice(self._reader.messages([topic]), 1):
                        self.pipeline.prime(stream, item.message)
        except InputError as error:
            if not self._keep_going:
                raise InputError(f'{self._reader.path}: {error}') from None
            self._faults[str(error)] += 1

    def _lacks(self, manifest: Manifest) -> Iterator[str]:
        """Of every recorded sensor that cannot be placed, why."""
        for stream in self._streams.values():
            if self.pipeline.projection.modality_of(stream) in manifest.modality_names:
                lack = self.pipeline.projection.missing(stream)
                if lack:
                    yield lack

    def _deadline_ns(self) -> int:
        deadline_ns = self.pipeline.assembler.next_deadline_ns()
        assert deadline_ns is not None, 'a waiting frame has a deadline'
        return deadline_ns


def _topic_of(topics: Topics, manifest: Manifest) -> dict[str, str | None]:
    """Stream of the pipeline to its topic: the camera sets the pace, the others are asked for."""
    topic_of = {'camera': topics.camera, 'camera_info': topics.camera_info}
    if 'event' in manifest.modality_names:
        topic_of |= {'event': topics.event, 'event_camera_info': topics.event_camera_info}
    if 'lidar' in manifest.modality_names:
        topic_of |= {'lidar': topics.lidar, **_more_lidars(topics)}
    names = manifest.modality_names
    return topic_of | {name: topic for name, topic in topics.others.items() if name in names}


def _more_lidars(topics: Topics) -> dict[str, str]:
    return {name: topic for name, topic in topics.others.items() if name.startswith('lidar_')}


def _period_ns(reader: BagReader, camera_topic: str) -> int | None:
    """The camera's period, of its first frames; None with fewer than two."""
    stamps = [stamp_ns(item.message.header) for item in islice(reader.messages([camera_topic]), 9)]
    intervals = [late - early for early, late in pairwise(stamps)]
    return median_low(intervals) if intervals else None


def motion_topic(reader: BagReader, topics: Topics, source: str) -> str:
    """The topic that tells the vehicle's motion: odometry, twist or tf.

    Raises:
        InputError: where the recording has none, or several.
    """
    topic = getattr(topics, source)
    if topic is None:
        listed = ', '.join(f'{name} ({kind})' for name, kind in reader.topics.items())
        raise InputError(
            f'{reader.path}: expected one topic for the motion from {source}, got {listed}; '
            f'choose it with --topic {source}=…, or another --motion'
        )
    return topic


def check_drop(drop: Collection[str], manifest: Manifest) -> None:
    """Check the streams to leave out.

    Raises:
        InputError: for a stream that the model does not have, or if none is left.
    """
    names = manifest.modality_names
    unknown = [name for name in drop if name not in names]
    if unknown:
        raise InputError(
            f'drop: expected some of {", ".join(names)}, got {unknown[0]!r}; name a sensor'
        )
    if set(drop) == set(names):
        raise InputError(
            f'drop: expected to leave at least one sensor, got all of {", ".join(names)}; '
            'drop fewer'
        )
