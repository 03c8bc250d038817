"""What a replay writes for viewers: recordings for Foxglove, RViz and Rerun."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mle_sam_ros.replay.session import Session
from mle_sam_ros.replay.view import View
from mle_sam_ros.replay.viewing.annotated import Annotated, ANNOTATED_NAME
from mle_sam_ros.replay.viewing.changes import Changes
from mle_sam_ros.replay.viewing.rerun_file import RERUN_NAME, RerunFile


class Viewers:
    """Writes what the settings of a session ask for; use it in a `with` block."""

    def __init__(self, directory: Path, session: Session) -> None:
        """Open the files.

        Args:
            directory: an existing one, to write to.
            session: says what to write, and what of.

        Raises:
            InputError: where a package that one of them needs is not installed.
        """
        settings, manifest = session.settings, session.bundle.manifest
        self._changes = Changes(manifest.modality_names, session.conditions)
        self._annotated: Annotated | None = None
        self._rerun: RerunFile | None = None
        with ExitStack() as files:
            if settings.annotated != 'none':
                path = directory / ANNOTATED_NAME
                annotated = Annotated(path, manifest, settings.annotated, session.custom_data)
                self._annotated = files.enter_context(annotated)
            if settings.with_rerun:
                # All that makes one run another: its inputs, and how they are taken.
                identity = f'{session.bundle.identity} {settings}'
                rerun = RerunFile(
                    directory / RERUN_NAME, manifest, settings.bag_path.name, identity
                )
                self._rerun = files.enter_context(rerun)
            self._files = files.pop_all()

    def add(self, view: View, miou: float) -> None:
        """Append one frame; log times must not fall.

        Args:
            view: the frame.
            miou: of this frame alone; NaN without ground truth.
        """
        changes = tuple(self._changes.since(view.prediction))
        if self._annotated is not None:
            self._annotated.add(view, miou, changes)
        if self._rerun is not None:
            self._rerun.add(view, miou, changes)

    def note_run(self, metrics: Mapping[str, Any]) -> None:
        """Note what made these recordings, as `metrics.json` has it."""
        if self._annotated is not None:
            self._annotated.note_run(metrics)

    def __enter__(self) -> 'Viewers':
        return self

    def __exit__(self, *exception: Any) -> None:
        self._files.__exit__(*exception)
