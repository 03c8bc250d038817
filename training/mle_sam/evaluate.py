"""Scores of a network on unseen samples: what is missing, what is noisy, by circumstance.

A modality is encoded once per sample as it is and once with each noise, and once altogether as
zeros. Subsets are only decoded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import ModalitySpec
from mle_sam_ros.core.metrics import NO_CLASS
from mle_sam_ros.core.noise import add_noise, noise_generator, NOISES
from mle_sam_ros.runtime.golden import subsets
import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from mle_sam.datasets.sample import NO_FAILURE, Sample, SegmentationDataset
from mle_sam.models.network import Network
from mle_sam.protocol import Protocol
from mle_sam.scores import Score
from mle_sam.tally import Tally

Maps = list[torch.Tensor]  # of one modality: (1, C, h, w) by level
Scores = dict[str, dict[str, Score]]


@dataclass(frozen=True)
class Rules:
    """Which samples are scored, and how.

    Attributes:
        protocol: of the evaluation.
        every: score each n-th sample only.
        noise_seed: of the noise.
        brief: score with all modalities only, no other subset and no noise.
    """

    protocol: Protocol
    every: int = 1
    noise_seed: int = 0
    brief: bool = False

    def __post_init__(self) -> None:
        if self.every < 1 or self.noise_seed < 0:
            raise InputError(
                'evaluate: expected every of at least 1 and a seed of at least 0, got '
                f'{self.every} and {self.noise_seed}; give others'
            )


@torch.inference_mode()
def evaluate(
    model: Network,
    dataset: SegmentationDataset,
    rules: Rules,
    device: torch.device,
    name: str = 'network',
) -> Scores:
    """Score a network with every subset of its modalities, and with noise on each of them.

    Args:
        model: in evaluation mode, on the device.
        dataset: labelled samples.
        rules: which of them, and how.
        device: that computes.
        name: of the network, for the progress bar.

    Returns:
        Scores by substitute (`zero`, `drop`) and what is there (`camera+lidar`), and by kind of
        noise (`gaussian`, `uniform`) and the one modality that has it; of a brief evaluation only
        those with all modalities.

    Raises:
        InputError: if a modality of the network is in no sample, or labels are not its classes.
    """
    config = model.config
    indices = range(0, len(dataset), rules.every)
    _check_modalities(dataset, indices, config.modality_names)
    views = _Views(model, rules, device)
    tallies: dict[str, dict[str, Tally]] = {}
    for index in tqdm(indices, desc=f'evaluating {name}', unit='sample'):
        sample = dataset[index]
        full_size = rules.protocol.full_size
        truth = dataset.full_labels(index) if full_size else sample.labels
        groups = _groups(sample, rules.protocol)
        for treatment, key, prediction in views.predictions(sample, index, truth.shape):
            of_treatment = tallies.setdefault(treatment, {})
            tally = of_treatment.setdefault(key, Tally([item.name for item in config.classes]))
            try:
                tally.update(truth, prediction, groups)
            except InputError as error:
                raise InputError(f'{sample.source}: {error}') from None
    return {
        treatment: {key: tally.score() for key, tally in of_treatment.items()}
        for treatment, of_treatment in tallies.items()
    }


class _Views:
    """What a network says of samples when something is missing, or noisy."""

    def __init__(self, model: Network, rules: Rules, device: torch.device):
        self._model, self._rules, self._device = model, rules, device
        self._specs = model.config.modalities
        self._zeros = {spec.name: self._encode_zeros(spec) for spec in self._specs}

    def predictions(
        self, sample: Sample, index: int, size_hw: tuple[int, ...]
    ) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yield treatment, what it applies to, and the (H, W) uint8 label map, 255 = no class."""
        names = [name for name in self._zeros if name in sample.rasters]
        clean = {name: self._encode(sample.rasters[name], name) for name in names}
        substitutes = self._rules.protocol.substitutes
        whole = tuple(self._zeros)
        for substitute in substitutes:
            for subset in [whole] if self._rules.brief else subsets(whole):
                kept = {name: maps for name, maps in clean.items() if name in subset}
                yield substitute, '+'.join(subset), self._decode(kept, substitute, size_hw)
        for kind in () if self._rules.brief else NOISES:
            for spec in self._specs:
                noisy = {**clean, **self._noisy(sample, index, spec, kind)}
                yield kind, spec.name, self._decode(noisy, substitutes[0], size_hw)

    def _noisy(self, sample: Sample, index: int, spec: ModalitySpec, kind: str) -> dict[str, Maps]:
        """The modality's maps with noise; none where the sample lacks it."""
        if spec.name not in sample.rasters:
            return {}
        rng = noise_generator(self._rules.noise_seed, index, spec.name, kind)
        raster = add_noise(sample.rasters[spec.name], spec.encoding, kind, rng)
        return {spec.name: self._encode(raster, spec.name)}

    def _encode(self, raster: np.ndarray, name: str) -> Maps:
        return self._model.encode(torch.tensor(raster, device=self._device)[None], name)

    def _encode_zeros(self, spec: ModalitySpec) -> Maps:
        """Zero after normalisation is the mean before it."""
        mean = np.array(spec.mean, np.float32)
        return self._encode(np.tile(mean, (*self._model.config.input_hw, 1)), spec.name)

    def _decode(
        self, maps: Mapping[str, Maps], substitute: str, size_hw: tuple[int, ...]
    ) -> np.ndarray:
        """The label map of what is there, the rest being zeros or dropped."""
        present = [substitute == 'zero' or name in maps for name in self._zeros]
        if not any(present):
            return np.full(size_hw, NO_CLASS, np.uint8)  # as on the vehicle: no mask
        filled = [maps.get(name, zeros) for name, zeros in self._zeros.items()]
        levels = [torch.stack(level) for level in zip(*filled, strict=True)]
        present_BM = torch.tensor([present], device=self._device)
        logits_BKHW = self._model.logits(self._model.decode(levels, present_BM))
        if logits_BKHW.shape[2:] != size_hw:
            logits_BKHW = F.interpolate(logits_BKHW, size_hw, mode='bilinear')
        return logits_BKHW[0].argmax(0).to(torch.uint8).cpu().numpy()


def _groups(sample: Sample, protocol: Protocol) -> list[tuple[str, str]]:
    """Kind and name of every group that a sample counts in."""
    has_failed = sample.failure != NO_FAILURE
    groups = [('whole', 'all')]
    if not (has_failed and protocol.failures_apart):
        groups.append(('condition', sample.condition))
    if has_failed:
        groups.append(('failure', sample.failure))
    return groups


def _check_modalities(
    dataset: SegmentationDataset, indices: range, names: tuple[str, ...]
) -> None:
    """Look for a sample of every modality; most often the first one has all."""
    unseen = set(names)
    for index in indices:
        unseen -= dataset[index].rasters.keys()
        if not unseen:
            return
    raise InputError(
        f'data: expected samples with the modalities {", ".join(names)}, got none with '
        f'{", ".join(sorted(unseen))} among {len(indices)}; evaluate on data that has them'
    )
