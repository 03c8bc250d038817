"""What the workers of a fleet do in tests: in a file of its own, since they import it."""

import os
from pathlib import Path
import time

from mle_sam_ros.core.errors import InputError


def answer(value):
    return value


def refuse(text):
    raise InputError(text)


def stumble(text):
    raise ZeroDivisionError(f'{text}\nsecond line')


def be_lost(begun: Path, attempts: int, task, *arguments):
    """Run a task, but for the first attempts: they note their process and wait for its end."""
    with begun.open('a') as file:
        file.write(f'{os.getpid()}\n')
    if len(begun.read_text().split()) <= attempts:
        time.sleep(600)
    return task(*arguments)


def be_lost_once(begun: Path, settings):
    from mle_sam_ros.replay.fleet.task import replay_recording

    return be_lost(begun, 1, replay_recording, settings)
