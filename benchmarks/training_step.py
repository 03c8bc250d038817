"""One training step of a recipe, beside the same step of plain SAM 2 fine-tuning.

    python benchmarks/training_step.py --size base_plus              # the paper's, on a GPU
    python benchmarks/training_step.py --size tiny --input 256 256   # shrunk for a CPU

Prints the median time of a step, samples per second and the peak of memory (of the GPU, or of the
process). Weights and samples are random: neither changes the work. Plain fine-tuning is SAM 2 with
one image and one mask per class, where everything learns: no experts, router or auxiliary head.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
import json
from multiprocessing import get_context
import os
from pathlib import Path
import resource
from statistics import median
from time import perf_counter

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # as the command line has it

from mle_sam.config import Stage
from mle_sam.datasets.batches import Batch
from mle_sam.models.mle_sam import MleSam
from mle_sam.recipe import read_recipe, Recipe
from mle_sam.train import Trainer
from mle_sam.workers import Workers
import torch

RECIPES = Path(__file__).parents[1] / 'training' / 'recipes'


def variants(recipe: Recipe) -> Iterator[tuple[str, Recipe, Stage]]:
    """What is compared: the recipe, the recipe with one modality, and plain fine-tuning."""
    first = recipe.network.modality_names[:1]
    yield f'MLE-SAM, {len(recipe.network.modalities)} modalities', recipe, 'experts'
    if len(recipe.network.modalities) > 1:
        yield 'MLE-SAM, 1 modality', recipe.with_modalities(first), 'experts'
    network = replace(recipe.network, auxiliary_head=False, combination='average')
    plain = replace(recipe, network=network, trunk=recipe.experts, pretrained=None)
    yield 'SAM 2 fine-tuning', plain, 'trunk'


def random_batches(recipe: Recipe, stage: Stage) -> list[Batch]:
    """The micro-batches of one step, all modalities present."""
    network, config = recipe.network_of(stage), recipe.stage(stage)
    size = config.batch // config.accumulate
    return [
        Batch(
            {n: torch.rand(size, *network.input_hw, 3) * 255 for n in network.modality_names},
            torch.randint(0, network.num_classes, (size, *network.input_hw), dtype=torch.uint8),
            torch.ones(size, len(network.modalities), dtype=torch.bool),
        )
        for _ in range(config.accumulate)
    ]


def measure(
    recipe: Recipe, stage: Stage, num_steps: int, device: str | None, num_threads: int
) -> dict[str, float]:
    """Time some steps, after one that does not count. In a process of its own: memory peaks."""
    torch.set_num_threads(num_threads)
    model, workers = MleSam(recipe.network_of(stage)), Workers(device)
    trainer = Trainer(recipe, stage, model, num_steps + 1, workers)
    batches, seconds = random_batches(recipe, stage), []
    for _ in range(num_steps + 1):
        start = perf_counter()
        trainer.train_step(batches)  # returns the loss, so it has waited for the GPU
        seconds.append(perf_counter() - start)
    if workers.device.type == 'cuda':
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    step = median(seconds[1:])
    return {
        'seconds_per_step': step,
        'samples_per_second': recipe.stage(stage).batch / step,
        'peak_memory_gib': peak / 2**30,
        'learning_parameters': sum(p.numel() for _, p in trainer.learning),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument('--recipe', type=Path)
    given.add_argument('--size', help='of the recipe for DELIVER')
    parser.add_argument('--input', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--batch', type=int)
    parser.add_argument('--accumulate', type=int)
    parser.add_argument('--precision', choices=('fp32', 'bf16', 'fp16'))
    parser.add_argument('--steps', type=int, default=5)
    parser.add_argument('--device', choices=('cpu', 'cuda'))
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, help='write the figures there as JSON')
    options = parser.parse_args()
    recipe = read_recipe(options.recipe or RECIPES / f'deliver_{options.size}.yaml')
    if options.input:
        recipe = replace(recipe, network=replace(recipe.network, input_hw=tuple(options.input)))
    names = ('batch', 'accumulate', 'precision')
    changes = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    recipe = replace(recipe, experts=replace(recipe.experts, **changes))

    config, rows = recipe.experts, {}
    print(
        f'{recipe.name}, {recipe.network.input_hw}, batch {config.batch} in '
        f'{config.accumulate} parts, {config.precision}'
    )
    print(f'{"":26}{"s per step":>12}{"samples/s":>12}{"peak GiB":>10}{"learning":>14}')
    for name, variant, stage in variants(recipe):
        with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
            arguments = (variant, stage, options.steps, options.device, options.threads)
            row = pool.submit(measure, *arguments).result()
        rows[name] = row
        print(
            f'{name:26}{row["seconds_per_step"]:12.3f}{row["samples_per_second"]:12.2f}'
            f'{row["peak_memory_gib"]:10.2f}{row["learning_parameters"]:14,}',
            flush=True,
        )
    if options.out:
        report = {'recipe': recipe.name, 'input_hw': recipe.network.input_hw, 'rows': rows}
        options.out.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
