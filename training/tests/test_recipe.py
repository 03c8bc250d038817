from dataclasses import replace
from pathlib import Path

from mle_sam.recipe import read_recipe, Recipe
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping
import pytest
import yaml

RECIPES = Path(__file__).parents[1] / 'recipes'
NANO_RECIPE = RECIPES / 'nano_simulated.yaml'
# Those that name a data set but no size of the network are there to be extended.
BASES = {'deliver', 'muses', 'mcubes'}
SHIPPED = sorted(p for p in RECIPES.rglob('*.yaml') if p.stem not in BASES | {'study'})


def written(directory: Path, **files: str) -> Path:
    """Write YAML files; returns the path of the one called `recipe`."""
    for name, content in files.items():
        (directory / f'{name}.yaml').write_text(content)
    return directory / 'recipe.yaml'


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes(path):
    recipe = read_recipe(path)
    assert from_mapping(Recipe, to_mapping(recipe), 'again') == recipe
    assert recipe.network.num_classes > 1


def test_nano():
    recipe = read_recipe(NANO_RECIPE)
    assert recipe.network.modality_names == ('camera', 'event', 'lidar')
    assert recipe.network.num_classes == 11
    assert recipe.stages == ('trunk', 'experts')
    assert (recipe.trunk.keep_all, recipe.experts.keep_all) == (1.0, 0.4)


@pytest.mark.parametrize(
    ('name', 'num_classes', 'modalities', 'rate'),
    [
        ('deliver', 25, ('camera', 'depth', 'event', 'lidar'), 6e-4),
        ('muses', 19, ('camera', 'event', 'lidar'), 3e-4),
        ('mcubes', 20, ('camera', 'aolp', 'dolp', 'nir'), 4e-4),
    ],
)
@pytest.mark.parametrize('size', ['tiny', 'small', 'base_plus', 'large'])
def test_recipes_of_the_paper(name, num_classes, modalities, rate, size):
    recipe = read_recipe(RECIPES / f'{name}_{size}.yaml')
    network, stage = recipe.network, recipe.experts
    assert (network.size, network.input_hw, network.lora_rank) == (size, (1024, 1024), 32)
    assert network.modality_names == modalities
    assert network.num_classes == num_classes
    assert not network.input_adapters
    assert (stage.batch, stage.epochs, stage.learning_rate) == (6, 100, rate)
    assert (stage.weight_decay, stage.warmup_share, stage.keep_all) == (0.01, 0.1, 1.0)
    assert stage.loss_stride == 1
    assert size in recipe.pretrained


def test_trunk_stage_is_the_first_modality_without_experts():
    network = read_recipe(NANO_RECIPE).network_of('trunk')
    assert network.modality_names == ('camera',)
    assert (network.lora_rank, network.input_adapters) == (0, False)


def test_extends_merges_mappings_and_replaces_lists(tmp_path):
    content = yaml.safe_load(NANO_RECIPE.read_text())
    base = yaml.safe_dump(content)
    middle = 'extends: base.yaml\ntrunk: null\npretrained: sam2.pt\n'
    last = 'extends: middle.yaml\nnetwork: {input_hw: [64, 96]}\nexperts: {batch: 6}\n'
    recipe = read_recipe(written(tmp_path, base=base, middle=middle, recipe=last))
    nano = read_recipe(NANO_RECIPE)
    assert recipe == replace(
        nano,
        network=replace(nano.network, input_hw=(64, 96)),
        experts=replace(nano.experts, batch=6),
        trunk=None,
        pretrained='sam2.pt',
    )


def test_a_circle_is_refused(tmp_path):
    path = written(tmp_path, recipe='extends: other.yaml', other='extends: recipe.yaml')
    with pytest.raises(InputError, match=r'circle .*recipe\.yaml -> .*other\.yaml'):
        read_recipe(path)


@pytest.mark.parametrize(
    ('content', 'match'),
    [
        ('extends: nowhere.yaml', r'nowhere\.yaml'),
        ('extends: [a, b]', r'recipe\.yaml: extends'),
    ],
)
def test_nothing_to_extend(tmp_path, content, match):
    with pytest.raises(InputError, match=match):
        read_recipe(written(tmp_path, recipe=content))


@pytest.mark.parametrize('rate', ['1e-4', '1E-4', '1.e-4', '+1.0e-4', '0.0001', '10e-5'])
def test_numbers_may_be_written_as_everyone_writes_them(tmp_path, rate):
    content = f'extends: {NANO_RECIPE}\nname: 1e\nexperts: {{learning_rate: {rate}}}'
    recipe = read_recipe(written(tmp_path, recipe=content))
    assert recipe.experts.learning_rate == pytest.approx(1e-4)
    assert recipe.name == '1e'


def test_part_of_the_modalities():
    recipe = read_recipe(NANO_RECIPE)
    assert recipe.with_modalities(['lidar', 'camera']).network.modality_names == (
        'camera',
        'lidar',
    )
    with pytest.raises(InputError, match=r'among camera, event, lidar, got radar'):
        recipe.with_modalities(['camera', 'radar'])


def test_epochs_become_steps():
    stage = replace(read_recipe(NANO_RECIPE).experts, steps=None, epochs=2.0, batch=6)
    assert stage.num_steps(num_samples=302) == 101  # 604 samples, the last step wraps round
    assert replace(stage, steps=7, epochs=None).num_steps(302) == 7


def test_a_stage_that_is_not_there():
    recipe = replace(read_recipe(NANO_RECIPE), trunk=None, pretrained='sam2.pt')
    assert recipe.stages == ('experts',)
    with pytest.raises(InputError, match=r'stages experts, got trunk'):
        recipe.stage('trunk')


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
        (('data', 'kind'), 'cityscapes', 'drives, deliver, muses, mcubes'),
        (('trunk', 'steps'), 'many', 'steps'),
        (('trunk', 'steps'), None, 'either steps or epochs'),
        (('experts', 'epochs'), 3.0, 'either steps or epochs'),
        (('experts', 'speed'), 3, 'speed'),
        (('experts', 'precision'), 'fp8', r'stage\.precision.*fp32, bf16, fp16'),
        (('experts', 'keep_all'), 1.5, r'stage\.keep_all: expected a probability, got 1\.5'),
        (('experts', 'batch'), 0, r'stage\.batch'),
        (('experts', 'accumulate'), 3, r'accumulate: expected a divisor of batch 4, got 3'),
        (('experts', 'augmentation'), {'scale': [2.0, 1.0]}, r'augmentation\.scale'),
        (('pretrained',), 'sam2.pt', 'got trunk and pretrained'),
        (('trunk',), None, 'got neither'),
    ],
)
def test_bad_content(tmp_path, path, value, match):
    mapping = yaml.safe_load(NANO_RECIPE.read_text())
    *parents, last = path
    place = mapping
    for key in parents:
        place = place[key]
    place[last] = value
    bad = tmp_path / 'bad.yaml'
    bad.write_text(yaml.safe_dump(mapping))
    with pytest.raises(InputError, match=rf'bad\.yaml.*{match}') as error:
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
