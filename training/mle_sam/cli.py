"""`mle-sam-training`: prepare data, train, evaluate, export."""

import argparse
from dataclasses import replace
import json
import os
from pathlib import Path
import sys

from mle_sam_ros.core.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; 2 is the exit code for bad input, 130 for an interruption."""
    options = _parser().parse_args(arguments)
    # Threads that spin while they wait starve each other where the cores are shared: measured
    # six times slower beside one other busy process. Read when torch is loaded.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    try:
        options.run(options)
    except InputError as error:
        print(f'mle-sam-training: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('mle-sam-training: interrupted; the same command goes on', file=sys.stderr)
        return 130
    return 0


def _prepare(options: argparse.Namespace) -> None:
    from mle_sam.datasets.simulated import prepare, seed_range
    from mle_sam.recipe import read_recipe

    recipe = read_recipe(options.recipe)
    for seeds in (recipe.data.validation_seeds, recipe.data.train_seeds):
        prepare(
            recipe.network,
            seed_range(seeds),
            recipe.data.moments_per_seed,
            options.data,
            options.processes,
        )


def _train(options: argparse.Namespace) -> None:
    import torch

    from mle_sam.datasets.opening import open_dataset
    from mle_sam.recipe import read_recipe
    from mle_sam.train import train

    torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe)
    if options.modalities:
        recipe = recipe.with_modalities(options.modalities)
    if options.data:
        recipe = replace(recipe, data=replace(recipe.data, root=str(options.data)))
    if options.pretrained:
        recipe = replace(recipe, trunk=None, pretrained=str(options.pretrained))
    for stage in recipe.stages if options.stage == 'all' else (options.stage,):
        network, config = recipe.network_of(stage), recipe.stage(stage)
        training = open_dataset(recipe.data, network, 'train')
        validation = open_dataset(recipe.data, network, 'val') if config.validate_every else None
        directory, device = options.run_directory, options.device
        train(recipe, stage, training, validation, directory, device, options.workers)


def _evaluate(options: argparse.Namespace) -> None:
    import torch

    from mle_sam.checkpoint import load_model, read_checkpoint
    from mle_sam.datasets.simulated import read_shards, seed_range
    from mle_sam.evaluate import as_table, evaluate

    torch.set_num_threads(options.threads)
    checkpoint = read_checkpoint(options.checkpoint)
    model = load_model(checkpoint)
    seeds = checkpoint.recipe.data.validation_seeds
    shards = read_shards(options.data, seed_range(seeds), model.config.modality_names)
    scores = evaluate(model, shards, options.every)
    print(as_table(scores))
    if options.out:
        data = f'simulated moments of seeds {seeds[0]} to {seeds[1]}, at network size'
        report = {'data': data, 'subsets': scores}
        options.out.write_text(json.dumps(report, indent=2) + '\n')


def _export(options: argparse.Namespace) -> None:
    import numpy as np

    from mle_sam.checkpoint import read_checkpoint
    from mle_sam.datasets.simulated import read_shards, seed_range
    from mle_sam.export.bundle import export_bundle

    checkpoint = read_checkpoint(options.checkpoint)
    if checkpoint.stage != 'experts':
        raise InputError(
            f'{options.checkpoint}: expected a checkpoint of the experts stage, got '
            f'{checkpoint.stage}; train the experts'
        )
    names = checkpoint.recipe.network.modality_names
    first = checkpoint.recipe.data.validation_seeds[0]
    shard = read_shards(options.data, seed_range((first, first)), names)[0]
    rasters = {name: np.array(shard.rasters[name][0]) for name in names}
    rasters = {n: r.astype(np.float32) if r.dtype == np.float16 else r for n, r in rasters.items()}
    accuracy = _read_accuracy(options.accuracy) if options.accuracy else {}
    print(export_bundle(checkpoint, rasters, accuracy, options.out).directory)


def _read_accuracy(path: Path) -> dict[str, object]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f'{path}: expected the JSON that evaluate --out writes, got {error}; evaluate first'
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='mle-sam-training', description=__doc__)
    commands = parser.add_subparsers(required=True)

    def add(name: str, run, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument(
            '--data', type=Path, default=Path('data/simulated'), help='directory of the shards'
        )
        return command

    prepare = add('prepare', _prepare, 'simulate the moments of a recipe')
    prepare.add_argument('--recipe', type=Path, required=True)
    prepare.add_argument('--processes', type=int, default=2)

    train = add('train', _train, 'train a recipe; the same command resumes it')
    train.set_defaults(data=None)  # the recipe's root
    train.add_argument('--recipe', type=Path, required=True)
    train.add_argument('--run-directory', type=Path, required=True)
    train.add_argument('--stage', choices=('trunk', 'experts', 'all'), default='all')
    train.add_argument('--pretrained', type=Path, help='start from it, not from a trunk stage')
    train.add_argument('--modalities', nargs='+', help='only these of the recipe')
    train.add_argument('--device', choices=('cpu', 'cuda'), help='cuda where there is one')
    train.add_argument('--threads', type=int, default=2)
    train.add_argument('--workers', type=int, default=0, help='processes that load samples')

    evaluate = add('evaluate', _evaluate, 'score a checkpoint on the validation seeds')
    evaluate.add_argument('--checkpoint', type=Path, required=True)
    evaluate.add_argument('--every', type=int, default=1, help='score each n-th moment only')
    evaluate.add_argument('--out', type=Path, help='write the scores there as JSON')
    evaluate.add_argument('--threads', type=int, default=2)

    export = add('export', _export, 'write the bundle that vehicles run')
    export.add_argument('--checkpoint', type=Path, required=True)
    export.add_argument('--accuracy', type=Path, help='scores from evaluate, for the manifest')
    export.add_argument('--out', type=Path, required=True)
    return parser


if __name__ == '__main__':
    sys.exit(main())
