"""The engines that were built on this machine: one directory each, named by its origin.

<root>/<digest of the key>/   compiled files and build.json
<root>/timing/                what compilers learnt of this machine
<root>/.draft-*               a build at work, or the remains of one that was killed
<root>/lock                   held by whoever builds or prunes
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
import fcntl
import hashlib
import json
import os
from pathlib import Path
import shutil
import tempfile
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping
from mle_sam_ros.runtime.bundle import sha256_of
from mle_sam_ros.runtime.latency import Latency
from mle_sam_ros.runtime.proof import Proof

RECORD_NAME = 'build.json'
SCHEMA_VERSION = 1
_TIMING = 'timing'


class UnreadableEngineError(InputError):
    """Compiled files that are as they were built, and that nothing here can load any more."""


@dataclass(frozen=True)
class BuildKey:
    """What a compiled engine depends on: a difference in any of it makes another engine.

    Attributes:
        backend: tensorrt or torch.
        environment: versions of libraries, GPU and driver.
        sources: sha256 by name of the bundle's files that it was compiled from.
        options: how it was compiled.
    """

    backend: str
    environment: dict[str, str]
    sources: dict[str, str]
    options: dict[str, Any]

    @property
    def digest(self) -> str:
        """Hexadecimal, 32 digits."""
        text = json.dumps(to_mapping(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class BuildRecord:
    """What `build.json` beside the compiled files holds.

    Attributes:
        schema_version: of this format; 1.
        key: what the engine was built from.
        bundle: absolute path of the bundle.
        model: its name in the manifest.
        built_at: UTC, ISO 8601.
        seconds: that compiling took.
        graphs: by compiled file, what its compiler says of it: inputs, outputs, layers.
        proof: how near it comes to the golden answers.
        latency: of a call with all modalities.
        files: sha256 by name of the compiled files.
        encoders: the same latency by form of the encoders, `separate` or `stacked`, of those that
            were measured. The engine has the faster one only.
    """

    schema_version: int
    key: BuildKey
    bundle: str
    model: str
    built_at: str
    seconds: float
    graphs: dict[str, Any]
    proof: Proof
    latency: Latency
    files: dict[str, str]
    encoders: dict[str, Latency] = field(default_factory=dict)


@dataclass(frozen=True)
class CachedEngine:
    """A directory of compiled files whose record can be read; the files are not yet trusted."""

    directory: Path
    record: BuildRecord

    @property
    def num_bytes(self) -> int:
        """Size of all files."""
        return sum(path.stat().st_size for path in self.directory.iterdir())

    def verify(self) -> None:
        """Compare every file with the record.

        Raises:
            InputError: for the first file that is missing or was changed.
        """
        for name, expected in self.record.files.items():
            path = self.directory / name
            got = sha256_of(path) if path.is_file() else 'no file'
            if got != expected:
                raise InputError(
                    f'{path}: expected sha256 {expected[:12]}…, got {got[:12]}; the file is '
                    'damaged, build the engine again'
                )


class EngineCache:
    """The cache of this user; the first build makes it.

    Attributes:
        root: $MLE_SAM_ENGINE_CACHE, else $XDG_CACHE_HOME/mle_sam_ros/engines, else the same under
            ~/.cache.
    """

    def __init__(self) -> None:
        self.root = _root()

    def directories(self) -> list[Path]:
        """Every engine, whole or not."""
        if not self.root.is_dir():
            return []
        return sorted(
            path
            for path in self.root.iterdir()
            if path.is_dir() and not path.name.startswith('.') and path.name != _TIMING
        )

    def read(self, directory: Path) -> CachedEngine:
        """An engine of the cache.

        Raises:
            InputError: for a record that is missing, damaged, or belongs to another directory.
        """
        path = directory / RECORD_NAME
        try:
            mapping = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise InputError(
                f'{path}: expected the record of a build, got {str(error)!r}; '
                'build the engine again'
            ) from None
        record = from_mapping(BuildRecord, mapping, str(path))
        if (record.schema_version, record.key.digest) != (SCHEMA_VERSION, directory.name):
            raise InputError(
                f'{path}: expected schema_version {SCHEMA_VERSION} and the key of '
                f'{directory.name}, got {record.schema_version} and {record.key.digest}; '
                'build the engine again'
            )
        return CachedEngine(directory, record)

    def find(self, key: BuildKey) -> CachedEngine | None:
        """The whole, unchanged engine of that key; a damaged one counts as none."""
        try:
            engine = self.read(self.root / key.digest)
            engine.verify()
        except InputError:
            return None
        return engine

    @contextmanager
    def lock(self, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the cache alone; whoever is killed lets it go.

        One lock for all engines: compilers time kernels, and two at once would mislead each other.

        Args:
            on_wait: called once where another process holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / 'lock').open('a') as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(stream, fcntl.LOCK_EX)
            try:
                yield
            finally:
                # Not left to closing: a child of a compiler may have inherited the file.
                fcntl.flock(stream, fcntl.LOCK_UN)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """An empty directory to build in, under the lock; whatever is not installed goes away."""
        self.remove_drafts()
        with tempfile.TemporaryDirectory(prefix='.draft-', dir=self.root) as room:
            draft = Path(room) / 'engine'
            draft.mkdir()
            yield draft

    def install(self, draft: Path, record: BuildRecord) -> CachedEngine:
        """Make a draft an engine of the cache in one step, in the place of a damaged one.

        Args:
            draft: from `draft`, holding the compiled files.
            record: without `files`, which are added here.
        """
        files = {path.name: sha256_of(path) for path in sorted(draft.iterdir())}
        record = replace(record, files=files)
        text = json.dumps(to_mapping(record), indent=2) + '\n'
        (draft / RECORD_NAME).write_text(text, encoding='utf-8')
        directory = self.root / record.key.digest
        if directory.exists():
            directory.rename(draft.parent / 'replaced')
        draft.rename(directory)
        return self.read(directory)

    def remove(self, directory: Path) -> None:
        """Take an engine away, under the lock, in one step for those who read."""
        with self.draft() as draft:
            directory.rename(draft / directory.name)

    def remove_timing(self) -> None:
        """Forget what compilers learnt of this machine, under the lock."""
        shutil.rmtree(self.root / _TIMING, ignore_errors=True)

    def timing_file(self, name: str) -> Path:
        """Where a compiler keeps what it learnt under that name; the file may not exist yet."""
        return self.root / _TIMING / name

    def remove_drafts(self) -> None:
        """Clear what killed builds left, under the lock."""
        for folder in (self.root, self.root / _TIMING):
            for remains in folder.glob('.draft-*'):
                shutil.rmtree(remains)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; its directory is made where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.draft-', dir=path.parent) as room:
        draft = Path(room) / path.name
        draft.write_bytes(content)
        draft.rename(path)


def _root() -> Path:
    if given := os.environ.get('MLE_SAM_ENGINE_CACHE'):
        return Path(given)
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(cache) / 'mle_sam_ros' / 'engines'
