"""The bundle on disk: whole, or refused in one line."""

import json
from pathlib import Path

from bundles import manifest_mapping, write_tiny_bundle
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import Bundle, sha256_of, write_bundle
import pytest


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    return write_tiny_bundle(tmp_path / 'tiny')


def edit_manifest(bundle: Bundle, **changes: object) -> None:
    path = bundle.directory / 'manifest.json'
    mapping = json.loads(path.read_text())
    mapping.update(changes)
    path.write_text(json.dumps({k: v for k, v in mapping.items() if v is not None}))


def test_written_bundle_opens_and_verifies(bundle):
    again = Bundle.open(bundle.directory)
    again.verify_hashes()
    assert again.manifest == bundle.manifest
    assert again.identity == bundle.identity
    assert set(bundle.manifest.files) | {'manifest.json'} == {
        path.name for path in bundle.directory.iterdir()
    }


def test_identity_follows_every_file(bundle, tmp_path):
    same = write_tiny_bundle(tmp_path / 'same')
    other = write_tiny_bundle(tmp_path / 'other', (64, 64))
    assert bundle.identity == same.identity
    assert bundle.identity != other.identity


def test_missing_directory_and_file_instead(tmp_path):
    with pytest.raises(InputError, match=r'no: expected a bundle directory, got nothing; export'):
        Bundle.open(tmp_path / 'no')
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match=r'expected a bundle directory, got a file'):
        Bundle.open(tmp_path / 'file')
    with pytest.raises(InputError, match=r'manifest\.json: expected the manifest .* no file'):
        Bundle.open(tmp_path)


@pytest.mark.parametrize('content', [b'{', b'\xff\xfe', b''])
def test_manifest_that_is_no_json(bundle, content):
    (bundle.directory / 'manifest.json').write_bytes(content)
    with pytest.raises(InputError, match=r'manifest\.json: expected valid JSON, got') as error:
        Bundle.open(bundle.directory)
    assert '\n' not in str(error.value)


def test_unknown_key_lists_the_valid_ones(bundle):
    edit_manifest(bundle, colour='red')
    with pytest.raises(InputError, match=r'expected only the keys .*router.* got colour; remove'):
        Bundle.open(bundle.directory)


def test_missing_file(bundle):
    (bundle.directory / 'encoder_event.onnx').unlink()
    with pytest.raises(InputError, match=r'expected the file encoder_event\.onnx of the manifest'):
        Bundle.open(bundle.directory)


def test_file_that_the_manifest_forgot(bundle):
    files = dict(bundle.manifest.files)
    del files['golden.npz']
    edit_manifest(bundle, files=files)
    with pytest.raises(InputError, match=r'expected golden\.npz among the files, got encoder_'):
        Bundle.open(bundle.directory)


@pytest.mark.parametrize('name', ['../outside.bin', '/etc/passwd', 'a/b.bin', '..'])
def test_no_path_leaves_the_bundle(bundle, name):
    edit_manifest(bundle, files={**bundle.manifest.files, name: '0' * 64})
    with pytest.raises(InputError, match=r'expected plain file names in files'):
        Bundle.open(bundle.directory)
    with pytest.raises(InputError, match=r'expected the file'):
        bundle.path(name)


def test_a_changed_byte_is_named(bundle):
    path = bundle.directory / 'fuse_decode.onnx'
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'fuse_decode\.onnx: expected sha256 [0-9a-f]{12}…, got'):
        Bundle.open(bundle.directory).verify_hashes()


def test_writing_replaces_a_bundle_and_leaves_nothing_else(bundle):
    shorter = write_tiny_bundle(bundle.directory, (32, 64))
    assert shorter.manifest.input_hw == (32, 64)
    shorter.verify_hashes()
    assert [path.name for path in bundle.directory.parent.iterdir()] == ['tiny']


def test_failed_writing_keeps_the_older_bundle(bundle, tmp_path):
    identity = bundle.identity
    with pytest.raises(InputError, match=r'expected encoder_camera\.onnx among the files'):
        write_bundle(bundle.directory, {'golden.npz': b''}, manifest_mapping())
    with pytest.raises(FileNotFoundError):
        write_bundle(bundle.directory, {'golden.npz': tmp_path / 'no'}, manifest_mapping())
    assert Bundle.open(bundle.directory).identity == identity
    assert [path.name for path in tmp_path.iterdir()] == ['tiny']


def test_writing_never_replaces_another_directory(tmp_path):
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home' / 'letter.txt').write_text('dear')
    with pytest.raises(InputError, match=r'home: expected a bundle or nothing to replace'):
        write_bundle(tmp_path / 'home', {}, manifest_mapping())
    assert (tmp_path / 'home' / 'letter.txt').read_text() == 'dear'


def test_sha256_of_a_known_text(tmp_path: Path):
    (tmp_path / 'abc').write_bytes(b'abc')
    assert sha256_of(tmp_path / 'abc').startswith('ba7816bf8f01cfea414140de5dae2223')
