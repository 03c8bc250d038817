"""Results that a recording has already, from a fleet that ended early or grew."""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

from mle_sam_ros import __version__
from mle_sam_ros.bags.describe import aligned_streams, find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.results import METRICS_NAME, REPORT_NAME, VIDEO_NAME
from mle_sam_ros.replay.run_record import bag_identity, bundle_identity
from mle_sam_ros.replay.score.latency import LATENCY_NAME
from mle_sam_ros.replay.score.tallies import SCHEMA
from mle_sam_ros.replay.session import arguments_of, Settings
from mle_sam_ros.replay.viewing.annotated import ANNOTATED_NAME
from mle_sam_ros.replay.viewing.rerun_file import RERUN_NAME
from mle_sam_ros.runtime.bundle import Bundle


def earlier_metrics(
    directory: Path, settings: Settings, bundle: Bundle
) -> Mapping[str, Any] | None:
    """The metrics of a recording, if running it again would only repeat them.

    Args:
        directory: where its results would stand.
        settings: that it would be run with.
        bundle: likewise.

    Returns:
        Content of `metrics.json`; None where a file is missing, or anything has changed since: the
        recording, the bundle, an argument, or this software.
    """
    try:
        metrics = json.loads((directory / METRICS_NAME).read_text(encoding='utf-8'))
        is_same = (
            metrics['schema'] == SCHEMA
            and metrics['software']['mle_sam_ros'] == __version__
            and metrics['bundle'] == bundle_identity(bundle)
            and metrics['arguments'] == _arguments(settings, bundle)
            and [bag['sha256'] for bag in metrics['bags']]
            == [bag_identity(settings.bag_path)['sha256']]
            and all((directory / name).is_file() for name in _files_of(settings))
        )
    # Whatever is wrong with it, or with the recording, will show when it is run.
    except (OSError, ValueError, LookupError, TypeError, InputError):
        return None
    return metrics if is_same else None


def _files_of(settings: Settings) -> list[str]:
    asked_for = {
        VIDEO_NAME: settings.with_video,
        ANNOTATED_NAME: settings.annotated != 'none',
        RERUN_NAME: settings.with_rerun,
    }
    return [LATENCY_NAME, REPORT_NAME, *(name for name in asked_for if asked_for[name])]


def _arguments(settings: Settings, bundle: Bundle) -> Any:
    """The arguments as `metrics.json` would hold them."""
    with open_bag(settings.bag_path) as reader:
        topics = find_topics(reader, settings.topics, aligned_streams(bundle.manifest))
    return json.loads(json.dumps(arguments_of(settings, bundle.manifest, topics)))
