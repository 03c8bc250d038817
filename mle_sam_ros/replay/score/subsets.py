"""Subsets of the sensors: what a mask would have been with fewer of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mle_sam_ros.core.inference import Engine
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.runtime.golden import subsets
import numpy as np


def subset_key(present: Iterable[str], manifest: Manifest) -> str:
    """`camera+event+lidar`: modalities in the manifest's order."""
    chosen = frozenset(present)
    return '+'.join(name for name in manifest.modality_names if name in chosen)


def subset_keys(modalities: Sequence[str]) -> list[str]:
    """Keys of all subsets of the sensors but the empty one, the largest first."""
    return ['+'.join(subset) for subset in subsets(tuple(modalities))]


def smaller_subsets(
    engine: Engine, rasters: Mapping[str, np.ndarray], manifest: Manifest
) -> Iterator[tuple[frozenset[str], np.ndarray]]:
    """Segment an instant again with each proper subset of the sensors that were there.

    Args:
        engine: runs the bundle.
        rasters: of the modalities that were present.
        manifest: of the bundle.

    Yields:
        The subset, and its (h, w) uint8 label map at the network's size.
    """
    for key in subset_keys(manifest.modality_names):
        subset = frozenset(key.split('+'))
        if subset < rasters.keys():
            chosen = {name: rasters[name] for name in subset}
            yield subset, engine.infer(chosen, subset).label_map
