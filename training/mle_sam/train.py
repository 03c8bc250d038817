"""Training: one stage of a recipe, resumable at any step."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
import itertools
import math
from pathlib import Path
import sys

from mle_sam_ros.core.errors import InputError
import torch
from torch import nn

from mle_sam.checkpoint import (
    Checkpoint,
    optimizer_state,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from mle_sam.config import Stage
from mle_sam.datasets.batches import Batch, EndlessItems, load_batches, MicroBatches
from mle_sam.datasets.part import EvenPart
from mle_sam.datasets.sample import SegmentationDataset
from mle_sam.interruption import Interruption
from mle_sam.journal import Journal
from mle_sam.models.build import build_network
from mle_sam.models.network import Network
from mle_sam.objective import Objective
from mle_sam.pretrained import load_pretrained
from mle_sam.recipe import Recipe, StageConfig
from mle_sam.validate import validate
from mle_sam.workers import Workers


class Trainer:
    """One stage of a recipe: network, optimiser, and the step they have reached."""

    def __init__(
        self, recipe: Recipe, stage: Stage, model: Network, num_steps: int, workers: Workers
    ):
        """Start a stage.

        Args:
            recipe: of the run.
            stage: trunk or experts.
            model: as the stage begins.
            num_steps: of the stage.
            workers: that share each batch.

        Raises:
            InputError: if the batch cannot be shared evenly.
        """
        self.recipe, self.stage, self.config = recipe, stage, recipe.stage(stage)
        self.num_steps, self.workers = num_steps, workers
        _check_batch(self.config, workers.count)
        torch.set_flush_denormal(True)  # numbers that mean nothing, and that CPUs are slow with
        self.step = 0
        self.best_miou: float | None = None
        self.model = model.to(workers.device)
        self.model.set_trainable(stage)
        self.objective = workers.joined(Objective(self.model, self.config))
        self.learning = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        rates = [model.rate_of(name) for name, _ in self.learning]
        self.optimizer = _optimizer([p for _, p in self.learning], rates, self.config)
        is_scaled = self.config.precision == 'fp16'
        self.scaler = torch.amp.GradScaler(workers.device.type, enabled=is_scaled)

    def train_step(self, micro_batches: Sequence[Batch]) -> float:
        """Learn from this worker's share of one batch; returns the mean loss of all workers."""
        # Dropout too must not depend on whether the run was interrupted.
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.step) * 101 + self.workers.rank)
        self.model.train()
        for group in self.optimizer.param_groups:
            group['lr'] = group['rate'] * learning_rate(self.step, self.num_steps, self.config)
        self.optimizer.zero_grad()
        *first, last = micro_batches
        with self.workers.apart(self.objective):
            losses = [self._backward(batch, len(micro_batches)) for batch in first]
        losses.append(self._backward(last, len(micro_batches)))
        self.scaler.unscale_(self.optimizer)
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_([p for _, p in self.learning], self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        return self.workers.sum(sum(losses)).item() / self.workers.count

    def _backward(self, batch: Batch, num_parts: int) -> torch.Tensor:
        """Add the gradient of a part of the batch; returns its part of the loss."""
        loss = self.objective(batch.to(self.workers.device), self.step) / num_parts
        self.scaler.scale(loss).backward()
        return loss.detach()

    def checkpoint(self) -> Checkpoint:
        """The present state."""
        return Checkpoint(
            recipe=self.recipe,
            stage=self.stage,
            step=self.step,
            num_steps=self.num_steps,
            model=self.model.state_dict(),
            optimizer=optimizer_state(self.optimizer, self.learning),
            scaler=self.scaler.state_dict(),
            best_miou=self.best_miou,
        )

    def restore(self, checkpoint: Checkpoint, source: str = 'checkpoint') -> None:
        """Go on from a state.

        Data and length may have changed since: a run may be given more of both.

        Args:
            checkpoint: the state.
            source: of it, for errors.

        Raises:
            InputError: if it belongs to another network or stage.
        """
        own, given = self.recipe.network, checkpoint.recipe.network
        names = ['kind', *(item.name for item in fields(own))]
        others = [n for n in names if getattr(own, n) != getattr(given, n, None)]
        if others or checkpoint.stage != self.stage:
            network = f'another network, in {", ".join(others)}' if others else 'it'
            raise InputError(
                f'{source}: expected stage {self.stage} of the network of {self.recipe.name}, '
                f'got stage {checkpoint.stage} of {network}; train into another directory'
            )
        self.model.load_state_dict(checkpoint.model)
        restore_optimizer(self.optimizer, self.learning, checkpoint.optimizer)
        if checkpoint.scaler:
            self.scaler.load_state_dict(checkpoint.scaler)
        self.step, self.best_miou = checkpoint.step, checkpoint.best_miou


def learning_rate(step: int, num_steps: int, config: StageConfig) -> float:
    """Linear warm-up from a tenth of the peak, then polynomial decay of power 0.9 (paper)."""
    warmup = config.warmup_share * num_steps
    if step < warmup:
        return config.learning_rate * (0.1 + 0.9 * step / warmup)
    return config.learning_rate * (1 - step / num_steps) ** 0.9


def train(
    recipe: Recipe,
    stage: Stage,
    training: SegmentationDataset,
    validation: SegmentationDataset | None,
    directory: Path,
    device: str | None = None,
    num_loaders: int = 0,
) -> Path:
    """Run one stage to its end, or until SIGTERM or Ctrl-C, going on where the last run stopped.

    Args:
        recipe: of the run.
        stage: one of the recipe's.
        training: what is learnt from, or the stage's `samples` of it.
        validation: what `validate_every` scores, or the stage's `validate_samples` of it.
        directory: of the run; holds `recipe.yaml`, `<stage>.safetensors`, the best one so far as
            `<stage>.best.safetensors` where there is validation, and the journal.
        device: cpu or cuda; None takes cuda where there is one.
        num_loaders: processes that load samples ahead.

    Returns:
        The checkpoint's path.

    Raises:
        InputError: for a checkpoint or start that does not fit, a batch that cannot be shared
            evenly, or a loss that is no number any more.
    """
    path = directory / f'{stage}.safetensors'
    workers = Workers(device)
    config = recipe.stage(stage)
    if config.samples:
        training = EvenPart(training, config.samples)
    if validation is not None and config.validate_samples:
        validation = EvenPart(validation, config.validate_samples)
    num_steps = config.num_steps(len(training))
    saved = read_checkpoint(path) if path.exists() else None
    model = _new_model(recipe, stage)
    if not saved:
        model.load_backbone()
    if stage == 'experts' and not saved and recipe.network.has_frozen_part:
        report = load_pretrained(model, Path(recipe.pretrained or directory / 'trunk.safetensors'))
        if workers.is_first:
            print(report, file=sys.stderr)
    trainer = Trainer(recipe, stage, model, num_steps, workers)
    if saved:
        trainer.restore(saved, str(path))
    if config.embedding_cache:
        num_images = len(training) * (config.augmentation.num_variants or 0)
        model.keep_embeddings(config.embedding_cache, config.precision, num_images)
    if workers.is_first:
        print(f'training on {training.summary()}', file=sys.stderr)
    items = EndlessItems(training, recipe.network_of(stage), config, recipe.seed)
    positions = MicroBatches(config, range(trainer.step, num_steps), (workers.rank, workers.count))
    batches = _grouped(load_batches(items, positions, num_loaders), config.accumulate)
    with Journal(trainer, directory) as journal, Interruption() as interruption:
        for micro_batches in batches:
            loss = trainer.train_step(micro_batches)
            _check_loss(loss, trainer)
            journal.note_loss(loss)
            if _is_due(config.validate_every, trainer) and validation is not None:
                miou = validate(trainer.model, validation, workers)
                journal.note_miou(miou)
                if trainer.best_miou is None or miou > trainer.best_miou:
                    trainer.best_miou = miou
                    _save(trainer, directory / f'{stage}.best.safetensors')
            is_over = workers.agree(interruption.is_requested)
            if _is_due(config.save_every, trainer) or is_over:
                journal.write()
                _save(trainer, path)
            if is_over:
                raise KeyboardInterrupt
    workers.agree(False)  # nobody reads the last checkpoint before it is written
    return path


def _new_model(recipe: Recipe, stage: Stage) -> Network:
    torch.manual_seed(recipe.seed)
    return build_network(recipe.network_of(stage))


def _check_batch(config: StageConfig, num_workers: int) -> None:
    if config.batch % (num_workers * config.accumulate):
        raise InputError(
            f'stage.batch: expected a multiple of {num_workers} workers times accumulate '
            f'{config.accumulate}, got {config.batch}; correct the recipe'
        )


def _check_loss(loss: float, trainer: Trainer) -> None:
    """Stop before a checkpoint of no use replaces a good one.

    In fp16 such a step is skipped, and the next one is scaled to less.
    """
    if not math.isfinite(loss) and not trainer.scaler.is_enabled():
        raise InputError(
            f'stage {trainer.stage}: expected a finite loss, got {loss} in step {trainer.step}; '
            'lower learning_rate: the run goes on from its last checkpoint'
        )


def _optimizer(
    parameters: list[nn.Parameter], rates: list[float], config: StageConfig
) -> torch.optim.AdamW:
    """AdamW, decay on matrices only, with a factor of the learning rate for each parameter."""
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for parameter, rate in zip(parameters, rates, strict=True):
        groups.setdefault((parameter.ndim > 1, rate), []).append(parameter)
    return torch.optim.AdamW(
        [
            {'params': group, 'weight_decay': config.weight_decay * is_matrix, 'rate': rate}
            for (is_matrix, rate), group in groups.items()
        ],
        lr=config.learning_rate,
        fused=True,
    )


def _grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """The micro-batches of one step after the other."""
    rest = iter(batches)
    while group := list(itertools.islice(rest, size)):
        yield group


def _is_due(every: int, trainer: Trainer) -> bool:
    """Whether something that happens every so many steps, and at the end, happens now."""
    return every > 0 and (trainer.step % every == 0 or trainer.step == trainer.num_steps)


def _save(trainer: Trainer, path: Path) -> None:
    if trainer.workers.is_first:
        save_checkpoint(trainer.checkpoint(), path)
