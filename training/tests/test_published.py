from pathlib import Path

from mle_sam.published import MLE_SAM, PUBLISHED
from mle_sam.recipe import read_recipe
import pytest

RECIPES = Path(__file__).parents[1] / 'recipes'


@pytest.mark.parametrize(
    ('kind', 'trained'),
    [('deliver', 'camera+depth+event+lidar'), ('muses', 'camera+event+lidar')],
)
def test_published_cells_make_the_published_means(kind, trained):
    paper = PUBLISHED[kind]
    full = paper.combinations[MLE_SAM][trained]
    cells = [full, *paper.missing[trained].values()]
    assert len(cells) == 2 ** len(trained.split('+')) - 1
    assert sum(cells) / len(cells) == pytest.approx(
        paper.missing_means[trained][MLE_SAM], abs=5e-3
    )


def test_the_same_figure_is_the_same_in_every_table():
    paper = PUBLISHED['deliver']
    for trained, cells in paper.conditions.items():
        if trained in paper.combinations[MLE_SAM]:
            assert cells['all'] == paper.combinations[MLE_SAM][trained]
    assert paper.ablations[-1].miou == paper.combinations[MLE_SAM]['camera+depth+event+lidar']
    gain = PUBLISHED['muses'].missing_means['camera+event+lidar']
    assert gain[MLE_SAM] - gain['CMNeXt MiT-B0'] == pytest.approx(32.15)  # of the abstract


@pytest.mark.parametrize('kind', PUBLISHED)
def test_modalities_are_named_as_in_the_recipes(kind):
    network = read_recipe(RECIPES / f'{kind}_base_plus.yaml').network
    order = {name: index for index, name in enumerate(network.modality_names)}
    paper = PUBLISHED[kind]
    assert paper.num_classes == network.num_classes
    keys = [
        *paper.conditions,
        *paper.missing_means,
        *paper.missing,
        *paper.noise.get('uniform', ()),
    ]
    keys += [
        key for cells in (*paper.combinations.values(), *paper.missing.values()) for key in cells
    ]
    for key in keys:
        indices = [order[name] for name in key.split('+')]
        assert indices == sorted(indices), key
