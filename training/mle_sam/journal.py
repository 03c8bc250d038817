"""What a run tells: a progress bar, TensorBoard, a line of JSON per checkpoint, its recipe."""

import json
import os
from pathlib import Path
import time
from typing import TYPE_CHECKING

from mle_sam_ros.core.record import to_mapping
from tqdm import tqdm
import yaml

if TYPE_CHECKING:
    from mle_sam.train import Trainer


class Journal:
    """Of one stage, kept by the first worker; the others' stay silent.

    In the run's directory: `recipe.yaml` as it was resolved, `<stage>.jsonl`, and TensorBoard's
    events under `tensorboard/<stage>`, where a resumed run replaces what it repeats.
    """

    def __init__(self, trainer: 'Trainer', directory: Path):
        self._trainer, self._directory = trainer, directory
        self._lines = directory / f'{trainer.stage}.jsonl'
        self._losses: list[float] = []
        self._miou: float | None = None

    def __enter__(self) -> 'Journal':
        trainer, stage = self._trainer, self._trainer.stage
        self._start = time.monotonic()
        self._board = None
        if trainer.workers.is_first:
            from torch.utils.tensorboard import SummaryWriter

            self._write_recipe()
            self._forget_after(trainer.step)
            board = self._directory / 'tensorboard' / stage
            self._board = SummaryWriter(board, purge_step=trainer.step + 1)
        self._bar = tqdm(
            desc=f'training {stage}',
            initial=trainer.step,
            total=trainer.num_steps,
            disable=not trainer.workers.is_first,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._board:
            self._board.close()

    def note_loss(self, loss: float) -> None:
        """After each step."""
        self._losses.append(loss)
        self._bar.set_postfix(loss=f'{loss:.3f}', refresh=False)
        self._bar.update()
        rate = self._trainer.optimizer.param_groups[0]['lr']
        self._add('loss', loss)
        self._add('learning_rate', rate)

    def note_miou(self, miou: float) -> None:
        """After each validation."""
        self._miou = miou
        self._add('miou', miou)

    def write(self) -> None:
        """Before each checkpoint: the step, the mean loss since the last line, mIoU, seconds.

        Before, so that no run that is killed has a checkpoint but not its line; a line without its
        checkpoint is forgotten when the run goes on.
        """
        if not self._trainer.workers.is_first:
            return
        line = {'step': self._trainer.step, 'loss': sum(self._losses) / len(self._losses)}
        if self._miou is not None:
            line['miou'] = self._miou
        line['s'] = round(time.monotonic() - self._start, 1)
        with open(self._lines, 'a') as file:
            print(json.dumps(line), file=file)
        self._losses.clear()
        self._miou = None
        self._board.flush()

    def _forget_after(self, step: int) -> None:
        """Keep the lines of a step and before; what is cut off was being written at the end."""
        if not self._lines.exists():
            return
        whole = [line for line in self._lines.read_text().splitlines() if line.endswith('}')]
        kept = [line for line in whole if json.loads(line)['step'] <= step]
        _replace_text(self._lines, ''.join(f'{line}\n' for line in kept))

    def _add(self, name: str, value: float) -> None:
        if self._board:
            self._board.add_scalar(name, value, self._trainer.step)

    def _write_recipe(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(to_mapping(self._trainer.recipe), sort_keys=False)
        _replace_text(self._directory / 'recipe.yaml', text)


def _replace_text(path: Path, text: str) -> None:
    partial = path.with_suffix('.partial_text')
    partial.write_text(text)
    os.replace(partial, path)
