"""Training: one stage of a recipe, resumable at any step."""

from collections.abc import Iterable
import json
from pathlib import Path
import signal
import time

from mle_sam_ros.core.errors import InputError
import torch
from torch import nn
from tqdm import tqdm

from mle_sam.checkpoint import (
    Checkpoint,
    optimizer_state,
    read_checkpoint,
    restore_optimizer,
    save_checkpoint,
    start_experts,
)
from mle_sam.config import Stage
from mle_sam.datasets.batches import Batch, Batches
from mle_sam.datasets.simulated import Shard
from mle_sam.loss import ohem_cross_entropy
from mle_sam.model import MleSam
from mle_sam.recipe import Recipe, StageConfig
from mle_sam.workers import Workers


class Trainer:
    """One stage of a recipe: network, optimiser, and the step they have reached."""

    def __init__(self, recipe: Recipe, stage: Stage, trunk: dict[str, torch.Tensor] | None):
        """Start a stage.

        Args:
            recipe: of the run.
            stage: trunk or experts.
            trunk: the first stage's weights, for the second.
        """
        torch.manual_seed(recipe.seed)
        torch.set_flush_denormal(True)  # numbers that mean nothing, and that CPUs are slow with
        self.recipe, self.stage, self.step = recipe, stage, 0
        self.workers = Workers()
        self.config: StageConfig = getattr(recipe, stage)
        self.model = MleSam(recipe.network_of(stage))
        if trunk is not None:
            start_experts(self.model, trunk)
        self.model.set_trainable(stage)
        self.learning = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        matrices = [p for _, p in self.learning if p.ndim > 1]
        vectors = [p for _, p in self.learning if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [
                {'params': matrices, 'weight_decay': self.config.weight_decay},
                {'params': vectors, 'weight_decay': 0.0},
            ],
            lr=self.config.learning_rate,
            fused=True,
        )

    def train_step(self, batch: Batch) -> float:
        """Learn from one batch; returns its loss."""
        # Dropout too must not depend on whether the run was interrupted.
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.step) * 101 + self.workers.rank)
        self.model.train()
        for group in self.optimizer.param_groups:
            group['lr'] = learning_rate(self.step, self.config)
        loss = self._loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        parameters = [p for _, p in self.learning]
        self.workers.average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def _loss(self, batch: Batch) -> torch.Tensor:
        segmentation = self.model(batch.rasters, batch.present)
        stride = self.config.loss_stride
        phase = (self.step % stride, self.step // stride % stride)
        labels = batch.labels[:, phase[0] :: stride, phase[1] :: stride]
        masks = self.model.enlarge([segmentation.mask_logits_BKHW], stride, phase)
        loss = ohem_cross_entropy(masks, labels)
        if segmentation.auxiliary_logits:
            auxiliary = self.model.enlarge(segmentation.auxiliary_logits, stride, phase)
            loss = loss + self.config.auxiliary_weight * ohem_cross_entropy(auxiliary, labels)
        return loss

    def checkpoint(self) -> Checkpoint:
        """The present state."""
        state = optimizer_state(self.optimizer, self.learning)
        return Checkpoint(self.recipe, self.stage, self.step, self.model.state_dict(), state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a state.

        Data and length may have changed since: a run may be given more of both.

        Raises:
            InputError: if it belongs to another network or stage.
        """
        if (checkpoint.recipe.network, checkpoint.stage) != (self.recipe.network, self.stage):
            raise InputError(
                f'checkpoint: expected stage {self.stage} of the network of {self.recipe.name}, '
                f'got stage {checkpoint.stage} of {checkpoint.recipe.name}; '
                'train into another directory'
            )
        self.model.load_state_dict(checkpoint.model)
        restore_optimizer(self.optimizer, self.learning, checkpoint.optimizer)
        self.step = checkpoint.step


def learning_rate(step: int, config: StageConfig) -> float:
    """Linear warm-up from a tenth of the peak, then polynomial decay of power 0.9 (paper)."""
    warmup = config.warmup_share * config.steps
    if step < warmup:
        return config.learning_rate * (0.1 + 0.9 * step / warmup)
    return config.learning_rate * (1 - step / config.steps) ** 0.9


def train(recipe: Recipe, stage: Stage, shards: list[Shard], directory: Path) -> Path:
    """Run one stage to its end, or until SIGTERM or Ctrl-C, going on where the last run stopped.

    Args:
        recipe: of the run.
        stage: trunk, then experts.
        shards: training moments.
        directory: of the run; holds `<stage>.safetensors` and `<stage>.jsonl`.

    Returns:
        The checkpoint's path.
    """
    path = directory / f'{stage}.safetensors'
    trunk = None
    if stage == 'experts':
        trunk = _finished_trunk(recipe, directory / 'trunk.safetensors')
    trainer = Trainer(recipe, stage, trunk)
    if path.exists():
        trainer.restore(read_checkpoint(path))
    modalities = recipe.network_of(stage).modality_names
    workers = trainer.workers
    share = (workers.rank, workers.count)
    batches = Batches(shards, modalities, trainer.config, recipe.seed, share)
    directory.mkdir(parents=True, exist_ok=True)
    log = _Log(directory / f'{stage}.jsonl')
    with _Interruption() as interruption:
        for step in _progress(trainer, stage):
            log.losses.append(trainer.train_step(batches.at(step)))
            is_over = workers.agree(interruption.requested)
            is_due = trainer.step % trainer.config.save_every == 0
            if workers.is_first and (is_due or is_over or trainer.step == trainer.config.steps):
                save_checkpoint(trainer.checkpoint(), path)
                log.write(trainer.step)
            if is_over:
                raise KeyboardInterrupt
    workers.agree(False)  # nobody reads the last checkpoint before it is written
    return path


def _finished_trunk(recipe: Recipe, path: Path) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(path)
    if checkpoint.stage != 'trunk' or checkpoint.step < checkpoint.recipe.trunk.steps:
        raise InputError(
            f'{path}: expected a finished trunk, got step {checkpoint.step} of '
            f'{checkpoint.recipe.trunk.steps}; train the trunk first'
        )
    return checkpoint.model


def _progress(trainer: Trainer, stage: Stage) -> Iterable[int]:
    steps = range(trainer.step, trainer.config.steps)
    return tqdm(
        steps,
        desc=f'training {stage}',
        initial=trainer.step,
        total=trainer.config.steps,
        disable=not trainer.workers.is_first,
    )


class _Log:
    """A line of JSON per checkpoint: the step, the mean loss since the last, and the seconds."""

    def __init__(self, path: Path):
        self.losses: list[float] = []
        self._path, self._start = path, time.monotonic()

    def write(self, step: int) -> None:
        loss = sum(self.losses) / len(self.losses)
        seconds = round(time.monotonic() - self._start, 1)
        with open(self._path, 'a') as file:
            print(json.dumps({'step': step, 'loss': loss, 's': seconds}), file=file)
        self.losses.clear()


class _Interruption:
    """Turns SIGTERM and Ctrl-C into a wish to stop after the step that is running."""

    def __enter__(self) -> '_Interruption':
        self.requested = False
        signals = (signal.SIGTERM, signal.SIGINT)
        self._previous = {number: signal.signal(number, self._request) for number in signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, *_: object) -> None:
        self.requested = True
