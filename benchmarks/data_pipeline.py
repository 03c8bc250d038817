"""Does the data pipeline keep up with training? Both are measured in one run.

    python benchmarks/data_pipeline.py --recipe training/recipes/nano_simulated.yaml

Prints the samples per second of the pipeline alone (reading, augmentation, modality dropout,
batching) for each number of loading processes, and of a training step on batches that are there
already. Shards that are missing are simulated first.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
import json
import os
from pathlib import Path
from time import perf_counter

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # as the command line has it

from mle_sam.datasets.batches import EndlessItems, load_batches, MicroBatches
from mle_sam.datasets.opening import open_dataset
from mle_sam.models.mle_sam import MleSam
from mle_sam.recipe import read_recipe, Recipe
from mle_sam.train import Trainer
from mle_sam.workers import Workers
import torch
from tqdm import tqdm

LOADERS = (0, 1, 2)
WARM_UP = 8  # batches: loading processes have started and files are cached


def pipeline_rate(recipe: Recipe, num_loaders: int, num_batches: int) -> float:
    """Samples per second without a network."""
    stage = recipe.experts
    dataset = open_dataset(recipe.data, recipe.network, 'train')
    items = EndlessItems(dataset, recipe.network, stage, recipe.seed)
    positions = MicroBatches(stage, range(WARM_UP + num_batches), (0, 1))
    batches = iter(load_batches(items, positions, num_loaders))
    return rate(lambda: next(batches), num_batches) * stage.batch


def step_rate(recipe: Recipe, num_steps: int, device: str | None) -> float:
    """Samples per second that a training step consumes, from batches in memory."""
    stage = replace(recipe.experts, accumulate=1)
    dataset = open_dataset(recipe.data, recipe.network, 'train')
    items = EndlessItems(dataset, recipe.network, stage, recipe.seed)
    # Loaded while warming up, kept from then on.
    batches = cycle(load_batches(items, MicroBatches(stage, range(WARM_UP), (0, 1)), 0))
    model = MleSam(recipe.network)
    trainer = Trainer(recipe, 'experts', model, WARM_UP + num_steps, Workers(device))
    return rate(lambda: trainer.train_step([next(batches)]), num_steps) * stage.batch


def rate(call: Callable[[], object], count: int) -> float:
    """Calls per second, after some that do not count."""
    for _ in range(WARM_UP):
        call()
    start = perf_counter()
    for _ in range(count):
        call()
    return count / (perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--recipe', type=Path, required=True)
    parser.add_argument('--data', type=Path, help="the recipe's root unless given")
    parser.add_argument('--seeds', type=int, default=4, help='how many simulated towns')
    parser.add_argument('--batches', type=int, default=100)
    parser.add_argument('--steps', type=int, default=20)
    parser.add_argument('--device', choices=('cpu', 'cuda'))
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, help='write the figures there as JSON')
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe)
    data = replace(recipe.data, root=str(options.data or recipe.data.root))
    if data.kind == 'drives':
        first = data.train_seeds[0]
        data = replace(data, train_seeds=(first, first + options.seeds - 1))
    recipe = replace(recipe, data=data)
    dataset = open_dataset(data, recipe.network, 'train')
    for index in tqdm(range(len(dataset)), desc='reading once'):
        dataset[index]

    consumed = step_rate(recipe, options.steps, options.device)
    rows = {'training step': consumed}
    for num_loaders in LOADERS:
        name = f'pipeline, {num_loaders} loading processes'
        rows[name] = pipeline_rate(recipe, num_loaders, options.batches)
    print(f'{"samples per second":32}{"":>10}  times the step')
    for name, value in rows.items():
        print(f'{name:32}{value:10.1f}{value / consumed:10.1f}')
    if options.out:
        report = {'recipe': recipe.name, 'threads': options.threads, 'samples_per_second': rows}
        options.out.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
