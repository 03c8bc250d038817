"""`mle-sam replay-fleet`: many recordings in, the results of each and of all of them out."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
import json
from pathlib import Path
import tempfile
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.aggregate import aggregate, aggregate_latency, FleetRow
from mle_sam_ros.replay.fleet.cluster import Cluster, Failure
from mle_sam_ros.replay.fleet.earlier import earlier_metrics
from mle_sam_ros.replay.fleet.progress import FleetProgress
from mle_sam_ros.replay.fleet.recordings import result_names
from mle_sam_ros.replay.fleet.task import replay_recording
from mle_sam_ros.replay.output_directory import output_directory
from mle_sam_ros.replay.replay import RESULT_NAMES
from mle_sam_ros.replay.report.report import write_report
from mle_sam_ros.replay.results import METRICS_NAME, REPORT_NAME, write_json
from mle_sam_ros.replay.score.latency import LATENCY_NAME
from mle_sam_ros.replay.session import Settings
from mle_sam_ros.runtime.bundle import Bundle

_AGGREGATE_NAMES = (METRICS_NAME, LATENCY_NAME, REPORT_NAME)


@dataclass(frozen=True)
class Fleet:
    """What became of a fleet.

    Attributes:
        rows: one per recording, in order of name.
        metrics: of all that did not fail, content of `metrics.json`; None where all failed.
    """

    rows: tuple[FleetRow, ...]
    metrics: Mapping[str, Any] | None

    @property
    def failed(self) -> tuple[FleetRow, ...]:
        """Recordings without results."""
        return tuple(row for row in self.rows if row.failure is not None)


def replay_fleet(
    recordings: Collection[Path],
    settings: Settings,
    out: Path,
    open_cluster: Callable[[], AbstractContextManager[Cluster]],
    *,
    redo: bool = False,
    task: Callable[[Settings], dict[str, bytes]] = replay_recording,
) -> Fleet:
    """Replay recordings, each by itself, and add up their results.

    Whatever ends this early leaves whole results only. Run again, it goes on from there: a
    recording whose results are those of the same content, model and arguments is not run again.

    Args:
        recordings: absolute paths.
        settings: for all of them; their `bag_path` is of no account.
        out: directory with the results of each recording in a directory of its own, and
            `metrics.json`, `latency.json` and `report.html` of all that did not fail.
        open_cluster: gives the workers; called only where there is something to do.
        redo: run every recording again.
        task: what a worker does.

    Raises:
        InputError: for a bundle that cannot be used, a directory that holds something else, or a
            cluster that cannot be reached.
    """
    bundle = Bundle.open(settings.bundle_path)
    bundle.verify_hashes()
    settings.check(bundle.manifest)
    settings = _anywhere(settings)
    settings_of = {
        name: replace(settings, bag_path=path)
        for name, path in result_names(recordings, _AGGREGATE_NAMES).items()
    }
    _check_out(out)
    rows: dict[str, FleetRow] = {}
    with FleetProgress(len(settings_of)) as progress:
        for name, of_recording in {} if redo else settings_of.items():
            metrics = earlier_metrics(out / name, of_recording, bundle)
            if metrics is not None:
                rows[name] = _row(name, metrics)
                progress.kept(rows[name])
        jobs = {
            name: (of_recording,) for name, of_recording in settings_of.items() if name not in rows
        }
        if jobs:
            _remove_aggregate(out)  # it will not be that of these recordings any more
            progress.opening(len(jobs))
            with open_cluster() as cluster:
                progress.begin(cluster.workers)
                for name, result in cluster.run(task, jobs, progress.lost):
                    if isinstance(result, Failure):
                        rows[name] = FleetRow(name, failure=result.reason)
                        progress.failed(rows[name])
                    else:
                        _write(out / name, result)
                        rows[name] = _row(name, json.loads(result[METRICS_NAME]))
                        progress.done(rows[name])
    return _sum_up(out, [rows[name] for name in settings_of], bundle)


def _sum_up(out: Path, rows: list[FleetRow], bundle: Bundle) -> Fleet:
    """Write the aggregate of all that did not fail."""
    metrics_of = {row.name: _read(out, row.name, METRICS_NAME) for row in rows if not row.failure}
    rows = [_counted_once(row, metrics_of) for row in rows]
    names = [row.name for row in rows if not row.failure]
    if not names:
        return Fleet(tuple(rows), None)
    failed = {row.name: row.failure for row in rows if row.failure}
    metrics = aggregate({name: metrics_of[name] for name in names}, failed)
    latency = aggregate_latency({name: _read(out, name, LATENCY_NAME) for name in names})
    with tempfile.TemporaryDirectory(prefix='.aggregate-', dir=out) as room:
        draft = Path(room)
        of_all = f' of {len(rows)}' if failed else ''
        title = f'Replay of {len(names)}{of_all} recordings'
        write_json(draft / METRICS_NAME, metrics)
        write_json(draft / LATENCY_NAME, latency)
        write_report(
            draft / REPORT_NAME, title, metrics, latency, bundle.manifest, recordings=rows
        )
        for name in reversed(_AGGREGATE_NAMES):  # the metrics last: with them it is complete
            (draft / name).replace(out / name)
    return Fleet(tuple(rows), metrics)


def _counted_once(row: FleetRow, metrics_of: Mapping[str, Mapping[str, Any]]) -> FleetRow:
    """The row, but a failure where a recording of the same content stands before it."""
    if row.failure:
        return row
    sha256 = _sha256(metrics_of[row.name])
    twin = next(name for name, metrics in metrics_of.items() if _sha256(metrics) == sha256)
    if twin == row.name:
        return row
    return FleetRow(row.name, failure=f'it is a copy of {twin}, which counts already')


def _sha256(metrics: Mapping[str, Any]) -> str:
    return metrics['bags'][0]['sha256']


def _row(name: str, metrics: Mapping[str, Any]) -> FleetRow:
    return FleetRow.of(name, metrics, f'{name}/{REPORT_NAME}')


def _anywhere(settings: Settings) -> Settings:
    """The settings with paths that mean the same in any working directory."""
    classes = settings.classes
    return replace(
        settings,
        bundle_path=settings.bundle_path.absolute(),
        labels=settings.labels and settings.labels.absolute(),
        classes=str(Path(classes).absolute()) if classes and Path(classes).is_file() else classes,
    )


def _check_out(out: Path) -> None:
    """Refuse a directory that holds anything but an earlier fleet."""
    if out.exists() and not out.is_dir():
        raise InputError(f'{out}: expected a directory, got a file; choose another one')
    for item in out.iterdir() if out.exists() else []:
        is_draft = item.name.startswith('.')  # of a run that was killed
        if not (is_draft or item.name in _AGGREGATE_NAMES or (item / METRICS_NAME).is_file()):
            raise InputError(
                f'{out}: expected nothing, or only results of an earlier fleet, got {item.name}; '
                'choose another output directory or remove this one'
            )


def _remove_aggregate(out: Path) -> None:
    for name in _AGGREGATE_NAMES:
        (out / name).unlink(missing_ok=True)


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    with output_directory(directory, RESULT_NAMES) as draft:
        for name, content in files.items():
            (draft / name).write_bytes(content)


def _read(out: Path, name: str, file_name: str) -> Any:
    return json.loads((out / name / file_name).read_text(encoding='utf-8'))
