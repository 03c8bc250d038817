from dataclasses import replace
from types import SimpleNamespace

from mle_sam.datasets.sample import Sample, SegmentationDataset
from mle_sam.evaluate import evaluate, Rules
from mle_sam.protocol import PROTOCOLS
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import AlignedImageEncoding, ModalitySpec, RgbEncoding
from mle_sam_ros.core.metrics import ConfusionMatrix
from mle_sam_ros.core.noise import add_noise, noise_generator
import numpy as np
import pytest
import torch
from toy import HW, ToyDataset

CPU = torch.device('cpu')
PAPER, VEHICLE = Rules(PROTOCOLS['paper']), Rules(PROTOCOLS['vehicle'])
MEANS = {'camera': 100.0, 'event': 10.0}


class HandModel:
    """Class 1 where the mean of what is encoded is above 0.5, class 0 elsewhere, never class 2."""

    def __init__(self):
        encodings = {'camera': RgbEncoding(), 'event': AlignedImageEncoding('float32', 'nearest')}
        self.config = SimpleNamespace(
            modality_names=('camera', 'event'),
            modalities=tuple(
                ModalitySpec(name, encodings[name], (MEANS[name],) * 3, (1.0,) * 3)
                for name in MEANS
            ),
            classes=tuple(SimpleNamespace(name=name) for name in ('ground', 'wall', 'sky')),
            input_hw=(2, 4),
        )
        self.encoded = []

    def encode(self, raster, name):
        self.encoded.append(name)
        return [raster[..., 0][:, None].float() - MEANS[name]]

    def decode(self, levels, present):
        return (levels[0] * present.t()[:, :, None, None, None]).sum(0) / present.sum()

    def logits(self, mean):
        return torch.cat([0.5 - mean, mean - 0.5, torch.full_like(mean, -1e9)], 1)


class HandDataset(SegmentationDataset):
    """The camera says 1 on the right half, events say 1 everywhere; the right half is class 1."""

    def __init__(self, present=(('camera', 'event'), ('camera', 'event')), labels=(0, 1)):
        self._present, self._labels = present, labels

    def __len__(self):
        return len(self._present)

    def __getitem__(self, index):
        camera = np.full((2, 4, 3), MEANS['camera'], np.float32)
        camera[:, 2:] += 1
        rasters = {'camera': camera, 'event': np.full((2, 4, 3), MEANS['event'] + 1, np.float32)}
        labels = np.full((2, 4), self._labels[0], np.uint8)
        labels[:, 2:] = self._labels[1]
        kept = {name: rasters[name] for name in self._present[index]}
        return Sample(kept, labels, 'day', 'motion_blur' if index else 'none', f'hand {index}')

    def full_labels(self, index):
        return self[index].labels.repeat(2, 0).repeat(2, 1)


def test_hand_case_by_substitute():
    scores = evaluate(HandModel(), HandDataset(), PAPER, CPU)
    # Both: 0.5 left, 1 right: right. Camera dropped: 1 everywhere, half of it wrong.
    # Event zeroed: 0 left, 0.5 right: class 0 everywhere.
    expected = {
        ('drop', 'camera+event'): [1.0, 1.0, None],
        ('zero', 'camera+event'): [1.0, 1.0, None],
        ('drop', 'camera'): [1.0, 1.0, None],
        ('zero', 'camera'): [0.5, 0.0, None],
        ('drop', 'event'): [0.0, 0.5, None],
        ('zero', 'event'): [0.5, 0.0, None],
    }
    for (substitute, key), iou in expected.items():
        score = scores[substitute][key]
        assert list(score.iou.values()) == iou, (substitute, key)
        present = [value for value in iou if value is not None]
        assert score.whole.over_present == sum(present) / 2
        assert score.whole.over_all == pytest.approx(sum(present) / 3)  # nobody has the sky


def test_failures_count_for_their_weather_only_by_the_papers_protocol():
    by_paper = evaluate(HandModel(), HandDataset(), PAPER, CPU)['drop']['camera+event']
    by_vehicle = evaluate(HandModel(), HandDataset(), VEHICLE, CPU)['drop']['camera+event']
    assert by_paper.conditions['day'].samples == 2
    assert by_vehicle.conditions['day'].samples == 1
    assert by_paper.failures['motion_blur'].samples == 1
    assert by_vehicle.failures['motion_blur'].samples == 1
    assert by_paper.whole.samples == by_vehicle.whole.samples == 2


def test_the_vehicles_protocol_enlarges_logits_to_the_labels():
    model, rules = HandModel(), VEHICLE
    scores = evaluate(model, HandDataset(present=(('camera', 'event'),)), rules, CPU)
    assert scores.keys() == {'drop', 'gaussian', 'uniform'}
    # 0.5 | 1.0 enlarged by 2: columns 0.5 0.5 0.5 0.625 0.875 1 1 1, so column 3 becomes class 1.
    assert list(scores['drop']['camera+event'].iou.values()) == [3 / 4, 4 / 5, None]


def test_a_modality_that_a_sample_lacks_is_missing_by_the_same_rule():
    lacking = HandDataset(present=(('camera', 'event'), ('camera',)))
    scores = evaluate(HandModel(), lacking, PAPER, CPU)
    assert scores['zero']['camera+event'].failures['motion_blur'].over_present == 0.25
    assert scores['drop']['camera+event'].failures['motion_blur'].over_present == 1.0
    # Nothing is there: no class anywhere, which is wrong everywhere.
    assert scores['drop']['event'].failures['motion_blur'].over_all == 0.0
    assert scores['uniform']['event'].whole.samples == 2


def test_each_modality_is_encoded_once_and_once_more_by_noise():
    model = HandModel()
    evaluate(model, HandDataset(), PAPER, CPU)
    for name in MEANS:
        assert model.encoded.count(name) == 1 + 2 * (1 + 2)


def test_zero_and_drop_are_what_the_plain_network_says(model, dataset, network):
    dataset = ToyDataset(2)
    scores = evaluate(model, dataset, PAPER, CPU)
    matrices = {'zero': ConfusionMatrix(3), 'drop': ConfusionMatrix(3)}
    for sample in (dataset[0], dataset[1]):
        inputs = {n: torch.tensor(raster)[None].float() for n, raster in sample.rasters.items()}
        zeroed = {**inputs, 'camera': torch.tensor(network.modalities[0].mean).expand(1, *HW, 3)}
        assert model.image_encoder.normalise(zeroed['camera'], 'camera').abs().max() == 0
        for substitute, rasters, present in (
            ('zero', zeroed, [True, True, True]),
            ('drop', inputs, [False, True, True]),
        ):
            with torch.inference_mode():
                logits = model.logits(model(rasters, torch.tensor([present])))
            matrices[substitute].update(sample.labels, logits[0].argmax(0).to(torch.uint8).numpy())
    for substitute, matrix in matrices.items():
        whole = scores[substitute]['event+lidar'].whole
        assert whole.over_present == pytest.approx(matrix.miou(), abs=1e-3)
    assert np.abs(matrices['zero'].counts - matrices['drop'].counts).sum() > 0


def test_noise_reaches_the_network_before_its_normalisation(model, network):
    dataset = ToyDataset(1)
    scores = evaluate(model, dataset, replace(PAPER, noise_seed=3), CPU)
    sample, spec = dataset[0], network.modalities[0]
    noisy = add_noise(
        sample.rasters['camera'],
        spec.encoding,
        'gaussian',
        noise_generator(3, 0, 'camera', 'gaussian'),
    )
    rasters = {name: torch.tensor(raster)[None] for name, raster in sample.rasters.items()}
    with torch.inference_mode():
        present = torch.ones(1, 3, dtype=torch.bool)
        logits = model.logits(model({**rasters, 'camera': torch.tensor(noisy)[None]}, present))
    matrix = ConfusionMatrix(3)
    matrix.update(sample.labels, logits[0].argmax(0).to(torch.uint8).numpy())
    got = scores['gaussian']['camera'].whole.over_present
    assert got == pytest.approx(matrix.miou(), abs=1e-3)


def test_every_second_sample_and_no_more():
    scores = evaluate(HandModel(), HandDataset(), replace(PAPER, every=2), CPU)
    assert scores['drop']['camera'].whole.samples == 1
    assert not scores['drop']['camera'].failures


def test_a_brief_evaluation_is_with_all_sensors_alone():
    whole = evaluate(HandModel(), HandDataset(), PAPER, CPU)
    model = HandModel()
    brief = evaluate(model, HandDataset(), replace(PAPER, brief=True), CPU)
    expected = {key: {'camera+event': whole[key]['camera+event']} for key in ('zero', 'drop')}
    assert brief == expected
    assert len(model.encoded) == 2 * (1 + 2)  # zeros once, then each sample


@pytest.mark.parametrize('change', [{'every': 0}, {'noise_seed': -1}])
def test_rules_that_make_no_sense(change):
    with pytest.raises(InputError, match='expected every of at least 1'):
        replace(PAPER, **change)


def test_a_modality_that_no_sample_has_is_named():
    with pytest.raises(InputError, match=r'camera, event, got none with event among 2'):
        evaluate(HandModel(), HandDataset(present=(('camera',),) * 2), PAPER, CPU)


def test_labels_beyond_the_classes_name_the_sample():
    with pytest.raises(InputError, match=r'hand 0: truth: expected class ids below 3.*got 7'):
        evaluate(HandModel(), HandDataset(labels=(0, 7)), PAPER, CPU)
