"""Simulated moments as shards, made by the code that makes rasters on the vehicle."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import EventEncoding
from mle_sam_ros.core.projection import Projection
import numpy as np

from mle_sam.config import NetworkConfig
from mle_sam.datasets.image_files import resize_labels
from mle_sam.datasets.sample import Sample
from mle_sam.datasets.shards import missing_modalities, read_record, shard_lock, write_shard

if TYPE_CHECKING:
    from mle_sam_ros.simulation.moments import Moment


def seed_path(root: Path, seed: int) -> Path:
    """Where the shard of a seed lies."""
    return root / f'seed_{seed:05d}'


def simulate(seed: int, num_moments: int, network: NetworkConfig, shard: Path) -> None:
    """Make the shard of a seed, or the modalities that it lacks, where nobody has done so yet.

    Several processes may ask for the same one: the first works, and the others wait for it.

    Args:
        seed: of the town, of the moments in it, and of all noise.
        num_moments: of a new shard; one that is there may have more.
        network: its input size, modalities and encodings shape the rasters.
        shard: of this seed.

    Raises:
        InputError: as `lacking`.
    """
    if not lacking(shard, num_moments, network):
        return
    with shard_lock(shard):
        missing = lacking(shard, num_moments, network)
        if not missing:
            return
        # Only here: it brings Open3D, which those who have all their shards can do without.
        from mle_sam_ros.simulation.moments import moments

        specs = tuple(spec for spec in network.modalities if spec.name in missing)
        count = len(read_record(shard)) if shard.exists() else num_moments
        part = replace(network, modalities=specs)
        samples = [_sample(seed, moment, part) for moment in moments(seed, count)]
        write_shard(shard, samples, part)


def lacking(shard: Path, num_moments: int, network: NetworkConfig) -> tuple[str, ...]:
    """The network's modalities that are still to be simulated: all, where there is no shard.

    Raises:
        InputError: for a shard that was made for another network, or has fewer moments.
    """
    missing = missing_modalities(shard, network)
    if shard.exists() and (got := len(read_record(shard))) < num_moments:
        raise InputError(
            f'{shard}: expected {num_moments} moments, got {got}; '
            'lower data.moments_per_seed, or remove the shard to have it made again'
        )
    return missing


def make_rasters(moment: 'Moment', network: NetworkConfig) -> dict[str, np.ndarray]:
    """The rasters of a moment, made by the one path that the vehicle's pipeline takes too."""
    projection = Projection(network, moment.calibration)
    data = {'camera': moment.image, 'lidar': moment.cloud}
    for spec in network.modalities:
        if isinstance(spec.encoding, EventEncoding):
            after_ns = moment.stamp_ns - spec.encoding.window_ns
            data[spec.name] = moment.events.window(after_ns, moment.stamp_ns)
    return {name: projection.raster(name, data[name]) for name in network.modality_names}


def _sample(seed: int, moment: 'Moment', network: NetworkConfig) -> Sample:
    return Sample(
        make_rasters(moment, network),
        resize_labels(moment.label_map, network.input_hw),
        moment.condition,
        moment.failure,
        f'seed {seed} at {moment.stamp_ns / 1e9:.3f} s',
    )
