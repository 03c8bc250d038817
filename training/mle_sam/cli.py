"""`mle-sam-training`: prepare data, train, evaluate, export; describe and verify networks."""

import argparse
from collections.abc import Callable
from dataclasses import replace
import json
import os
from pathlib import Path
import sys

from mle_sam_ros.core.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command.

    Exit codes: 0, 1 where a verification fails, 2 for bad input, 130 for an interruption.
    """
    options = _parser().parse_args(arguments)
    # Threads that spin while they wait starve each other where the cores are shared: measured
    # six times slower beside one other busy process. Read when torch is loaded.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    try:
        return options.run(options) or 0
    except InputError as error:
        return _refuse(str(error))
    except OSError as error:
        place = error.filename2 or error.filename or 'files'
        return _refuse(
            f'{place}: expected a file or directory that can be used, got '
            f'{error.strerror or error}; correct the path, its permissions or the space'
        )
    except KeyboardInterrupt:
        print(
            'mle-sam-training: interrupted; run the same command again: training goes on',
            file=sys.stderr,
        )
        return 130


def _refuse(message: str) -> int:
    print(f'mle-sam-training: {message}', file=sys.stderr)
    return 2


def _prepare(options: argparse.Namespace) -> None:
    from mle_sam.datasets.config import DriveData
    from mle_sam.datasets.preparation import prepare
    from mle_sam.recipe import read_recipe

    recipe = read_recipe(options.recipe)
    if not isinstance(recipe.data, DriveData):
        raise InputError(
            f'{options.recipe}: expected data of kind drives, got {recipe.data.kind}, which needs '
            'no preparation; train'
        )
    root = str(options.data or recipe.data.root)
    prepare(replace(recipe.data, root=root), recipe.network, options.processes)


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
    stages = recipe.stages if options.stage == 'all' else (options.stage,)
    datasets = []
    for stage in stages:  # all of them now, not after hours of work
        network, config = recipe.network_of(stage), recipe.stage(stage)
        training = open_dataset(recipe.data, network, 'train')
        validation = open_dataset(recipe.data, network, 'val') if config.validate_every else None
        datasets.append((training, validation))
    for stage, (training, validation) in zip(stages, datasets, strict=True):
        directory, device = options.run_directory, options.device
        train(recipe, stage, training, validation, directory, device, options.workers)


def _evaluate(options: argparse.Namespace) -> None:
    import torch

    from mle_sam.comparison import compare
    from mle_sam.evaluate import Rules
    from mle_sam.protocol import PROTOCOLS
    from mle_sam.report import Report
    from mle_sam.scores import make_directory, write_evaluation, write_text
    from mle_sam.workers import choose_device

    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    if options.out:
        make_directory(options.out)  # now, not after hours of work
    rules = Rules(PROTOCOLS[options.protocol], options.every, options.seed, options.brief)
    evaluation = compare(options.checkpoint, options.data, options.split, rules, device)
    report = Report(evaluation)
    if options.out:
        write_evaluation(evaluation, options.out / 'evaluation.json')
        write_text(report.markdown(), options.out / 'evaluation.md')
    print(report.text())


def _study(options: argparse.Namespace) -> int:
    from mle_sam.datasets.preparation import prepare
    from mle_sam.scores import make_directory, write_text
    from mle_sam.study.conduct import check_unchanged, Conductor, locked, terminated
    from mle_sam.study.costs import measure_costs
    from mle_sam.study.findings import gather, write_findings
    from mle_sam.study.plan import plan, read_study
    from mle_sam.study.report import StudyReport

    study, recipes = read_study(options.study)
    if options.data:
        root = str(options.data)
        recipes = [replace(each, data=replace(each.data, root=root)) for each in recipes]
    make_directory(options.out)  # now, not after hours of work
    runs = plan(study, recipes, options.runs)
    failed = []
    if not options.tables_only:
        with locked(options.runs) as lock, terminated():
            check_unchanged(runs)
            for recipe in recipes:
                prepare(recipe.data, recipe.network, options.jobs)
            failed = Conductor(options.jobs, lock).conduct(runs)
    findings = gather(study, runs, measure_costs(runs))
    report = StudyReport(findings)
    write_findings(findings, options.out / 'evaluation.json')
    write_text(report.markdown(), options.out / 'evaluation.md')
    print(report.text())
    return 1 if failed else 0


def _export(options: argparse.Namespace) -> None:
    from mle_sam.accuracy import read_accuracy
    from mle_sam.checkpoint import read_checkpoint
    from mle_sam.datasets.opening import open_dataset
    from mle_sam.export.bundle import export_bundle
    from mle_sam.export.onnx_graphs import GraphOptions

    checkpoint = read_checkpoint(options.checkpoint)
    if checkpoint.stage != 'experts':
        raise InputError(
            f'{options.checkpoint}: expected a checkpoint of the experts stage, got '
            f'{checkpoint.stage}; train the experts'
        )
    recipe = checkpoint.recipe
    root = str(options.data or recipe.data.root)
    dataset = open_dataset(replace(recipe.data, root=root), recipe.network, 'val')
    samples = (dataset[index] for index in range(len(dataset)))
    whole = (item for item in samples if len(item.rasters) == len(recipe.network.modalities))
    golden = next(whole, None)
    if golden is None:
        raise InputError(
            f'{root}: expected a validation sample with all of '
            f'{", ".join(recipe.network.modality_names)}, got none; give other data'
        )
    accuracy = {}
    if options.accuracy:
        accuracy = read_accuracy(options.accuracy, options.checkpoint)
    graphs = GraphOptions(
        tuple(options.precision), options.attention, options.opset, options.stacked
    )
    bundle = export_bundle(
        checkpoint, golden.rasters, accuracy, options.out, tuple(options.programs), graphs
    )
    print(bundle.directory)


def _describe(options: argparse.Namespace) -> None:
    from mle_sam.describe import describe, OF_ONE_SENSOR, plain_config
    from mle_sam.recipe import read_recipe

    if options.recipe:
        if options.model or options.modalities or options.classes:
            raise InputError(
                f'{options.recipe}: expected model, modalities and classes from the recipe, got '
                '--model, --modalities or --classes too; leave them out'
            )
        network = read_recipe(options.recipe).network
        if options.input:
            network = replace(network, input_hw=tuple(options.input))
    else:
        kind = options.model or 'mle_sam'
        usual = ('camera',) if kind in OF_ONE_SENSOR else ('camera', 'depth', 'event', 'lidar')
        modalities = options.modalities or usual
        classes = 25 if options.classes is None else options.classes
        input_hw = tuple(options.input or (1024, 1024))
        network = plain_config(kind, options.size, modalities, classes, input_hw)
    print(json.dumps(describe(network), indent=2))


def _verify_sam2(options: argparse.Namespace) -> int:
    from mle_sam.verify import verify

    verification = verify(options.checkpoint, options.size, tuple(options.input))
    print(verification.report)
    for level, difference in verification.differences.items():
        print(f'{level:13}largest absolute difference from SAM 2: {difference}')
    return 0 if verification.is_exact else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='mle-sam-training', description=__doc__)
    commands = parser.add_subparsers(required=True)

    def add(name: str, run, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument('--data', type=Path, help="in the place of the recipe's data.root")
        return command

    prepare = add('prepare', _prepare, 'make the drives of a recipe ahead of training')
    prepare.add_argument('--recipe', type=Path, required=True)
    prepare.add_argument('--processes', type=_at_least(1), default=2)

    train = add('train', _train, 'train a recipe; the same command resumes it')
    train.add_argument('--recipe', type=Path, required=True)
    train.add_argument('--run-directory', type=Path, required=True)
    train.add_argument('--stage', choices=('trunk', 'experts', 'all'), default='all')
    train.add_argument('--pretrained', type=Path, help='start from it, not from a trunk stage')
    train.add_argument('--modalities', nargs='+', help='only these of the recipe')
    train.add_argument('--device', choices=('cpu', 'cuda'), help='cuda where there is one')
    train.add_argument('--threads', type=_at_least(1), default=2)
    train.add_argument(
        '--workers', type=_at_least(0), default=0, help='processes that load samples'
    )

    evaluate = add('evaluate', _evaluate, "score checkpoints, in the shapes of the paper's tables")
    evaluate.add_argument('--checkpoint', type=Path, nargs='+', required=True)
    evaluate.add_argument('--split', choices=('val', 'test'), default='val')
    evaluate.add_argument(
        '--protocol',
        choices=('paper', 'vehicle'),
        default='vehicle',
        help="at the network's size by the paper's rules, or at full size by ours",
    )
    evaluate.add_argument('--every', type=int, default=1, help='score each n-th sample only')
    evaluate.add_argument('--seed', type=int, default=0, help='of the noise')
    evaluate.add_argument(
        '--brief', action='store_true', help='with all sensors only: no other subset, no noise'
    )
    evaluate.add_argument('--out', type=Path, help='write evaluation.json and .md there')
    evaluate.add_argument('--device', choices=('cpu', 'cuda'), help='cuda where there is one')
    evaluate.add_argument('--threads', type=_at_least(1), default=2)

    study = add('study', _study, 'train and score several networks under several circumstances')
    study.add_argument('--study', type=Path, required=True, help='YAML, see recipes/comparison')
    study.add_argument('--runs', type=Path, required=True, help='directory of all runs')
    study.add_argument('--out', type=Path, required=True, help='evaluation.json and .md go there')
    study.add_argument('--jobs', type=_at_least(1), default=2, help='runs at a time, a core each')
    study.add_argument(
        '--tables-only', action='store_true', help='train nothing: time, and tell what is there'
    )

    export = add('export', _export, 'write the bundle that vehicles run')
    export.add_argument('--checkpoint', type=Path, required=True)
    export.add_argument('--accuracy', type=Path, help='evaluation.json, for the manifest')
    export.add_argument('--out', type=Path, required=True)
    export.add_argument(
        '--precision',
        nargs='+',
        choices=('fp32', 'fp16'),
        default=('fp32',),
        help='of the graphs; those of fp32 are always there',
    )
    export.add_argument(
        '--attention',
        choices=('fp16', 'bf16'),
        default='fp16',
        help='core of the attention in the graphs of fp16',
    )
    export.add_argument(
        '--opset',
        type=int,
        choices=(18, 20, 23),
        default=20,
        help='of ONNX; 23 has attention as one node, for TensorRT 10.14 and later',
    )
    export.add_argument(
        '--stacked',
        action='store_true',
        help='also all encoders as one batch; build-engine keeps what is faster on its GPU',
    )
    export.add_argument(
        '--programs',
        nargs='+',
        choices=('fp32', 'fp16'),
        default=(),
        help='also what the torch backend compiles, in these precisions',
    )

    text = 'print the parameters and the work of a network as JSON'
    describe = commands.add_parser('describe', help=text, description=text)
    describe.set_defaults(run=_describe)
    network = describe.add_mutually_exclusive_group(required=True)
    network.add_argument(
        '--size',
        help='of MLE-SAM nano, tiny, small, base_plus or large; of networks on SAM nano, base, '
        'large or huge; of CMNeXt nano, b0 or b2',
    )
    network.add_argument('--recipe', type=Path, help='describe its network')
    describe.add_argument(
        '--model',
        choices=('mle_sam', 'sam_lora', 'cwsam', 'ts_sam', 'ad_sam', 'cmnext'),
        help='kind of network, with --size; by default mle_sam',
    )
    describe.add_argument(
        '--modalities',
        nargs='+',
        help='with --size; by default camera depth event lidar, or the camera where a network '
        'takes one',
    )
    describe.add_argument('--classes', type=int, help='with --size; by default 25')
    describe.add_argument(
        '--input', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), help='1024 1024 with --size'
    )

    text = 'compare the encoder with that of SAM 2, which must be the same to the last bit'
    verify = commands.add_parser('verify-sam2', help=text, description=text)
    verify.set_defaults(run=_verify_sam2)
    verify.add_argument('--checkpoint', type=Path, required=True)
    verify.add_argument('--size', required=True, help='tiny, small, base_plus or large')
    verify.add_argument(
        '--input', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), default=(1024, 1024)
    )
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f'expected at least {least}, got {text}')
        return int(text)

    return whole_number


if __name__ == '__main__':
    sys.exit(main())
