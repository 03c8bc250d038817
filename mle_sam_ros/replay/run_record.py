"""What a run was: its inputs by their hashes, its software, and every argument."""

from collections.abc import Iterable, Mapping
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
from mle_sam_ros import __version__
from mle_sam_ros.bags.class_mapping import ClassMapping
from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.core.calibration import Calibration, calibration_mapping
from mle_sam_ros.core.overlap import NO_CLASS
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.runtime.bundle import Bundle, sha256_of
import numpy as np


def bundle_identity(bundle: Bundle) -> dict[str, str]:
    """Name, revision, and a hash that stands for every byte of the bundle."""
    manifest = bundle.manifest
    return {'name': manifest.model, 'revision': manifest.revision, 'sha256': bundle.identity}


def bag_identity(path: Path) -> dict[str, str]:
    """Name and hash of a recording; of a directory, over the names and hashes of its files."""
    if path.is_file():
        return {'name': path.name, 'sha256': sha256_of(path)}
    return folder_identity(path, path.iterdir())


def folder_identity(path: Path, files: Iterable[Path]) -> dict[str, str]:
    """Name of a folder, and a hash over the names and hashes of these files in it."""
    digest = hashlib.sha256()
    for file in sorted(item for item in files if item.is_file()):
        digest.update(f'{file.name} {sha256_of(file)}\n'.encode())
    return {'name': path.absolute().name, 'sha256': digest.hexdigest()}


def labels_identity(path: Path | None) -> dict[str, str] | None:
    """Name and hash of a folder of label maps; None without one."""
    return None if path is None else folder_identity(path, path.glob('*.png'))


def calibration_record(calibration: Calibration | None) -> dict[str, Any] | None:
    """Content and hash of the calibration that was given; None where the recording's was used."""
    if calibration is None:
        return None
    content = calibration_mapping(calibration)
    text = json.dumps(content, sort_keys=True)
    return {'sha256': hashlib.sha256(text.encode()).hexdigest(), 'content': content}


def classes_record(
    mapping: ClassMapping | None, class_names: tuple[str, ...]
) -> dict[str, Any] | None:
    """What the ids of the label maps meant; None where they are the model's own."""
    if mapping is None:
        return None
    meant = {
        str(label): None if class_id == NO_CLASS else class_names[class_id]
        for label, class_id in enumerate(mapping.table.tolist())
        if mapping.known[label] and label != NO_CLASS
    }
    return {'name': Path(mapping.name).name, 'ids': meant}


def topics_record(topics: Topics) -> dict[str, str]:
    """Stream to topic, of those that the recording has."""
    named = {**to_mapping(topics), **topics.others}
    del named['others']
    return {stream: topic for stream, topic in sorted(named.items()) if topic is not None}


def software(engine_description: str) -> Mapping[str, str]:
    """Versions of what had a part in the figures."""
    return {
        'mle_sam_ros': __version__,
        'numpy': np.__version__,
        'opencv': cv2.__version__,
        'engine': engine_description,
    }
