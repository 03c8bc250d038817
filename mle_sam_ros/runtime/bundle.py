"""The bundle: a directory that holds one exported model, with its manifest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
import shutil
import tempfile
from typing import Any, get_args, Literal

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest, parse_manifest
from mle_sam_ros.runtime.external_data import external_files

MANIFEST_NAME = 'manifest.json'
FUSE_DECODE_NAME = 'fuse_decode.onnx'
GOLDEN_NAME = 'golden.npz'
_MAX_MANIFEST_BYTES = 16 << 20
# Name of the graph behind the encoders.
FUSE_DECODE = 'fuse_decode'
# Name of the graph that a bundle may have beside one per modality: all encoders as one batch.
ALL_ENCODERS = 'encoders_stacked'

# Arithmetic of a graph. It stands in the graph itself, as casts; compilers only follow it.
Precision = Literal['fp32', 'fp16']
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def encoder_graph(modality: str) -> str:
    """Name of the graph of a modality's encoder."""
    return f'encoder_{modality}'


def encoder_name(modality: str, precision: Precision = 'fp32') -> str:
    """File name of a modality's encoder; every bundle has those of fp32."""
    return graph_file(encoder_graph(modality), precision)


def fuse_decode_name(precision: Precision = 'fp32') -> str:
    """File name of the graph behind the encoders, likewise."""
    return graph_file(FUSE_DECODE, precision)


def graph_file(graph: str, precision: Precision) -> str:
    """File name of a graph in a precision."""
    return f'{graph}.onnx' if precision == 'fp32' else f'{graph}.{precision}.onnx'


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest is valid and whose files exist; their content is not yet trusted.

    Attributes:
        directory: where it lies.
        manifest: what its `manifest.json` says.
    """

    directory: Path
    manifest: Manifest

    @classmethod
    def open(cls, directory: Path | str) -> 'Bundle':
        """Read a bundle's manifest and look for its files.

        Raises:
            InputError: for a missing directory, manifest or file, or an invalid manifest.
        """
        directory = Path(directory)
        if not directory.is_dir():
            raise InputError(
                f'{directory}: expected a bundle directory, got '
                f'{"a file" if directory.exists() else "nothing"}; '
                'export one with mle-sam-training export, or give the right path'
            )
        manifest_path = directory / MANIFEST_NAME
        bundle = cls(directory, parse_manifest(_read_json(manifest_path), str(manifest_path)))
        for name in _required_names(bundle.manifest):
            if name not in bundle.manifest.files:
                raise InputError(
                    f'{manifest_path}: expected {name} among the files, got '
                    f'{", ".join(bundle.manifest.files) or "none"}; export the bundle again'
                )
        for name in bundle.manifest.files:
            bundle.path(name)
        return bundle

    @property
    def identity(self) -> str:
        """sha256 of the manifest file, which itself holds the sha256 of every other file."""
        return sha256_of(self.directory / MANIFEST_NAME)

    def graphs(self, name_of: Callable[[str], str]) -> dict[str, str]:
        """The graphs that make an engine, and their files, whether or not there are them all.

        Only the graph of all encoders is left out where there is none.

        Args:
            name_of: file name of a graph.
        """
        encoders = [encoder_graph(modality) for modality in self.manifest.modality_names]
        if name_of(ALL_ENCODERS) in self.manifest.files:
            encoders.append(ALL_ENCODERS)
        return {graph: name_of(graph) for graph in (*encoders, FUSE_DECODE)}

    def path(self, name: str) -> Path:
        """Where a file of the manifest lies.

        Raises:
            InputError: for a name that the manifest does not list, or a missing file.
        """
        path = self.directory / name
        if name not in self.manifest.files or not path.is_file():
            raise InputError(
                f'{self.directory}: expected the file {name} of the manifest, got none; '
                'copy the whole bundle again'
            )
        return path

    def verify_hashes(self) -> None:
        """Compare every file with the manifest, and see that graphs read nothing beside them.

        Raises:
            InputError: for the first file whose content differs, or graph that reads another.
        """
        for name, expected in self.manifest.files.items():
            got = sha256_of(self.path(name))
            if got != expected:
                raise InputError(
                    f'{self.directory / name}: expected sha256 {expected[:12]}…, got {got[:12]}…; '
                    'the file was changed or damaged, copy the bundle again'
                )
            if name.endswith('.onnx'):
                self._check_external_data(name)

    def _check_external_data(self, name: str) -> None:
        """Refuse a graph whose loader would open files that the manifest does not vouch for."""
        foreign = external_files(self.path(name)) - self.manifest.files.keys()
        if foreign:
            raise InputError(
                f'{self.directory / name}: expected its data in files of the manifest, got '
                f'{", ".join(map(repr, sorted(foreign)))[:200]}; do not use this bundle'
            )


def write_bundle(
    directory: Path | str, files: Mapping[str, bytes | Path], manifest: Mapping[str, Any]
) -> Bundle:
    """Write a whole bundle, or nothing.

    The files are collected in a temporary directory beside the target, which is then renamed; an
    older bundle of that name is replaced.

    Args:
        directory: the bundle to write; its parent is made where needed.
        files: content, or a file to copy, by the name it gets in the bundle.
        manifest: the content of `manifest.json` without `files`, which is added here.

    Raises:
        InputError: for an invalid manifest, a missing file, or a target that is not a bundle.
    """
    directory = Path(directory)
    if directory.exists() and any(directory.iterdir()) and not _has_manifest(directory):
        raise InputError(
            f'{directory}: expected a bundle or nothing to replace, got another directory; '
            'choose another path'
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{directory.name}-', dir=directory.parent) as room:
        draft = Path(room) / 'bundle'
        draft.mkdir()
        for name, content in files.items():
            if isinstance(content, Path):
                shutil.copyfile(content, draft / name)
            else:
                (draft / name).write_bytes(content)
        hashes = {name: sha256_of(draft / name) for name in sorted(files)}
        text = json.dumps({**manifest, 'files': hashes}, indent=2) + '\n'
        (draft / MANIFEST_NAME).write_text(text, encoding='utf-8')
        Bundle.open(draft)
        if directory.exists():
            directory.rename(Path(room) / 'replaced')
        draft.rename(directory)
    return Bundle.open(directory)


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _required_names(manifest: Manifest) -> list[str]:
    encoders = [encoder_name(modality) for modality in manifest.modality_names]
    return [*encoders, FUSE_DECODE_NAME, GOLDEN_NAME]


def _has_manifest(directory: Path) -> bool:
    return (directory / MANIFEST_NAME).is_file()


def _read_json(path: Path) -> object:
    # Of what is no file, such as a device behind a link, the end may never come.
    if not path.is_file():
        raise InputError(
            f'{path}: expected the manifest of a bundle, got no file; give a bundle directory'
        )
    num_bytes = path.stat().st_size
    if num_bytes > _MAX_MANIFEST_BYTES:
        raise InputError(
            f'{path}: expected at most {_MAX_MANIFEST_BYTES >> 20} MiB, got {num_bytes >> 20}; '
            'copy the bundle again'
        )
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(
            f'{path}: expected valid JSON, got {str(error)!r}; copy the bundle again'
        ) from None
