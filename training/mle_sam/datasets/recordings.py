"""Recordings as shards: what the vehicle's pipeline would have shown the network on that drive."""

from collections.abc import Iterator, Mapping
import hashlib
from itertools import islice
import json
import os
from pathlib import Path
import shutil
import warnings

from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.calibration_file import read_calibration
from mle_sam_ros.bags.describe import find_topics, Topics
from mle_sam_ros.bags.directory import storage_files
from mle_sam_ros.bags.drive import Drive
from mle_sam_ros.bags.reader import BagReader, open_bag
from mle_sam_ros.bags.truth import Truth
from mle_sam_ros.core.calibration import Calibration, calibration_mapping
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.inference import Inference
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.runtime.bundle import sha256_of
import numpy as np

from mle_sam.config import NetworkConfig
from mle_sam.datasets.config import DriveData
from mle_sam.datasets.image_files import resize_labels
from mle_sam.datasets.sample import Sample
from mle_sam.datasets.shards import shard_lock, write_shard

UNKNOWN = 'unknown'
_SAMPLES_PER_SHARD = 32  # bounds the memory that a long drive takes


def recorded_shards(bag: Path, data: DriveData, network: NetworkConfig) -> list[Path]:
    """The shards of a recording; they are made where nobody has done so yet.

    They lie in a directory named after the recording and a hash of all that shapes them: the
    recording's content, topics and calibration, the network's input size and encodings. Whatever
    changes leads to new ones.

    Args:
        bag: `.mcap` or `.db3` file, or rosbag2 directory.
        data: topics, calibration, and the root of the shards.
        network: its input size and encodings shape the rasters.

    Raises:
        InputError: for a recording that cannot be used, or has no labels; it names the recording.
    """
    with open_bag(bag) as reader:
        topics = find_topics(reader, data.topics)
        calibration = _calibration(reader, topics, data)
        custom_data = reader.custom_data
    shaped_by = [
        [sha256_of(file) for file in (storage_files(bag) if bag.is_dir() else [bag])],
        [to_mapping(topics), calibration_mapping(calibration), custom_data],
        [network.input_hw, {spec.name: to_mapping(spec.encoding) for spec in network.modalities}],
    ]
    digest = hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()
    directory = Path(data.root) / f'{bag.stem}_{digest[:12]}'
    if not directory.exists():
        with shard_lock(directory):
            if not directory.exists():
                _write(bag, recorded_samples(bag, data, network), network, directory)
    return sorted(directory.iterdir())


def recorded_samples(bag: Path, data: DriveData, network: NetworkConfig) -> Iterator[Sample]:
    """A sample for every instant of a recording that has a label map.

    The assembler pairs the streams by log time as it does on a vehicle fast enough for every
    frame; a sensor that was silent, or whose message cannot be used, is absent from the sample.
    Weather and failure are those that the recording's custom data name for all of it.

    Raises:
        InputError: as `recorded_shards`.
    """
    with open_bag(bag) as reader:
        topics = find_topics(reader, data.topics)
        calibration = _calibration(reader, topics, data)
        onlooker = _Onlooker(network.input_hw)
        drive = Drive(reader, topics, network, onlooker, calibration, keep_going=True)
        _check(bag, topics, drive, network)
        truth = Truth(reader, topics.labels)
        condition = reader.custom_data.get('condition', UNKNOWN)
        failure = reader.custom_data.get('failure', UNKNOWN)
        for _, prediction in drive.predictions():
            labels = truth.at(prediction.stamp_ns, prediction.image is not None)
            if labels is not None:
                source = f'{bag.name} at {prediction.stamp_ns / 1e9:.3f} s'
                small = resize_labels(labels, network.input_hw)
                yield Sample(dict(prediction.rasters), small, condition, failure, source)
        if drive.faults:
            warnings.warn(
                f'{bag}: messages that could not be used: {drive.faults.total()}, mostly: '
                f'{drive.faults.most_common(1)[0][0]}',
                stacklevel=2,
            )


class _Onlooker:
    """An engine that makes no masks: the pipeline around it is what is wanted."""

    def __init__(self, input_hw: tuple[int, int]):
        self._blank = np.zeros(input_hw, np.uint8)

    def infer(self, rasters: Mapping[str, np.ndarray], present: frozenset[str]) -> Inference:
        return Inference(self._blank, self._blank, np.zeros((0, len(rasters)), np.float32), {})


def _calibration(reader: BagReader, topics: Topics, data: DriveData) -> Calibration:
    if data.calibration is not None:
        return read_calibration(data.calibration)
    return calibration_of(reader, topics)


def _check(bag: Path, topics: Topics, drive: Drive, network: NetworkConfig) -> None:
    """Refuse a recording without labels, or a recorded sensor that cannot be placed."""
    if topics.labels is None:
        raise InputError(
            f'{bag}: expected a topic with label maps (sensor_msgs/msg/Image, mono8), got none '
            'whose name says so; name it as data.topics.labels'
        )
    for name in network.modality_names:
        lack = drive.pipeline.projection.missing(name)
        if lack and getattr(topics, name) is not None:
            raise InputError(f'{bag}: {lack} as data.calibration')


def _write(bag: Path, samples: Iterator[Sample], network: NetworkConfig, directory: Path) -> None:
    """Write shards into a directory that appears whole or not at all."""
    partial = directory.with_name(f'partial_{directory.name}')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    number = 0
    while part := list(islice(samples, _SAMPLES_PER_SHARD)):
        write_shard(partial / f'part_{number:05d}', part, network)
        number += 1
    if number == 0:
        raise InputError(
            f'{bag}: expected label maps with the stamps of camera frames, got none; '
            'record the labels of the frames'
        )
    os.replace(partial, directory)
