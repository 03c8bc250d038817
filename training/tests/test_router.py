from dataclasses import replace
from itertools import product

from hypothesis import given, settings, strategies
from mle_sam.config import plain_network
from mle_sam.router import Router
import pytest
import torch

NETWORK = plain_network('nano', ('camera', 'event', 'lidar', 'depth'), 3, (64, 64))
MASKS = torch.tensor([mask for mask in product((False, True), repeat=4) if any(mask)])


def random_router(**choices) -> Router:
    router = Router(replace(NETWORK, **choices), 6)
    for parameter in router.parameters():
        torch.nn.init.normal_(parameter)
    return router


def masked_features(seed: int) -> torch.Tensor:
    """(M, B, C, h, w), zero where `MASKS` says that a modality is absent."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(4, len(MASKS), 6, 2, 3, generator=generator)
    return features * MASKS.t()[:, :, None, None, None]


@settings(max_examples=40, deadline=None)
@given(
    seed=strategies.integers(0, 10_000),
    k=strategies.integers(1, 6),
    renormalise=strategies.booleans(),
    inputs=strategies.sampled_from(['all', 'own']),
    hidden=strategies.sampled_from([0, 3]),
)
@torch.no_grad()
def test_weights_are_a_choice_of_k_among_what_is_present(seed, k, renormalise, inputs, hidden):
    torch.manual_seed(seed)
    router = random_router(
        router_k=k, router_renormalise=renormalise, router_input=inputs, router_hidden=hidden
    )
    weights = router(masked_features(seed), MASKS)
    assert weights.isfinite().all()
    assert (weights[~MASKS] == 0).all()
    kept = (weights > 0).sum(1)
    assert (kept <= torch.minimum(MASKS.sum(1), torch.tensor(k))).all()
    assert (kept >= 1).all()
    sums = weights.sum(1)
    assert (sums <= 1 + 1e-5).all()
    if renormalise or k >= 4:
        torch.testing.assert_close(sums, torch.ones(len(MASKS)))


def test_it_starts_without_a_strong_preference():
    torch.manual_seed(0)
    weights = Router(replace(NETWORK, router_k=4), 6)(masked_features(0), MASKS)
    shares = MASKS / MASKS.sum(1, keepdim=True)
    torch.testing.assert_close(weights, shares, atol=0.03, rtol=0)


@torch.no_grad()
def test_by_own_features_a_modality_s_place_does_not_matter():
    router = random_router(router_input='own', router_k=4)
    features, everything = torch.randn(4, 1, 6, 2, 2), torch.ones(1, 4, dtype=torch.bool)
    order = [2, 0, 3, 1]
    expected = router(features, everything)[:, order]
    torch.testing.assert_close(router(features[order], everything), expected)


@torch.no_grad()
def test_by_all_features_a_modality_is_judged_beside_the_others():
    """What another sensor shows changes how two others compare; by own features it cannot."""
    everything = torch.ones(1, 4, dtype=torch.bool)
    features = torch.randn(4, 1, 6, 2, 2)
    other = features.clone()
    other[3] += 1.0
    for inputs in ('all', 'own'):
        router = random_router(router_input=inputs, router_k=4)
        before, after = router(features, everything)[0], router(other, everything)[0]
        is_same = torch.allclose(before[0] / before[1], after[0] / after[1], rtol=1e-4)
        assert is_same == (inputs == 'own')


@pytest.mark.parametrize(
    ('choices', 'count'),
    [
        ({}, 4 * 6 * 4 + 4),
        ({'router_input': 'own'}, 6),
        ({'router_hidden': 5}, 4 * 6 * 5 + 5 + 5 * 4 + 4),
        ({'router_input': 'own', 'router_hidden': 5}, 6 * 5 + 5 + 5),
    ],
)
def test_parameters_of_each_choice(choices, count):
    assert sum(p.numel() for p in random_router(**choices).parameters()) == count
