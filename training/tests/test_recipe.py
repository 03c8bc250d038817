from pathlib import Path

from mle_sam.recipe import read_recipe, Recipe
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping
import pytest
import yaml

NANO_RECIPE = Path(__file__).parents[1] / 'recipes' / 'nano_simulated.yaml'


def test_shipped_recipe():
    recipe = read_recipe(NANO_RECIPE)
    assert recipe.network.modality_names == ('camera', 'event', 'lidar')
    assert recipe.network.num_classes == 11
    assert from_mapping(Recipe, to_mapping(recipe), 'again') == recipe


def test_trunk_stage_is_the_first_modality_without_experts():
    network = read_recipe(NANO_RECIPE).network_of('trunk')
    assert network.modality_names == ('camera',)
    assert (network.lora_rank, network.input_adapters) == (0, False)


@pytest.mark.parametrize(
    ('path', 'value', 'match'),
    [
        (('network', 'size'), 'huge', r'network\.size.*nano, tiny.*got huge'),
        (('network', 'input_hw'), [200, 448], r'input_hw.*multiples of 32'),
        (('network', 'lora_width'), 'both', 'input or output'),
        (('network', 'router_k'), 0, 'at least 1'),
        (('network', 'rank'), 32, 'rank'),
        (('data', 'validation_seeds'), [1000, 1001], 'never trained on'),
        (('data', 'train_seeds'), [1100, 1000], 'first, last'),
        (('trunk', 'steps'), 'many', 'steps'),
        (('experts', 'speed'), 3, 'speed'),
    ],
)
def test_bad_content(tmp_path, path, value, match):
    mapping = yaml.safe_load(NANO_RECIPE.read_text())
    mapping[path[0]][path[1]] = value
    bad = tmp_path / 'bad.yaml'
    bad.write_text(yaml.safe_dump(mapping))
    with pytest.raises(InputError, match=match) as error:
        read_recipe(bad)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', [None, 'a: [', '', '- 1', b'\xff\xfe\x00'])
def test_no_recipe(tmp_path, content):
    bad = tmp_path / 'bad.yaml'
    if isinstance(content, bytes):
        bad.write_bytes(content)
    elif content is not None:
        bad.write_text(content)
    with pytest.raises(InputError, match=r'bad\.yaml'):
        read_recipe(bad)
