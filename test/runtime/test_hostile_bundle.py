"""Bundles from strangers: no file of theirs reaches out of its directory, or claims memory."""

from contextlib import suppress
import io
import json
import os
import struct
import zipfile

from bundles import golden_arrays, manifest_mapping, npz_bytes, TinyModel, write_tiny_bundle
from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.runtime.bundle import Bundle, sha256_of
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.external_data import external_files
from mle_sam_ros.runtime.golden import read_golden
import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
import psutil
import pytest

MANIFEST = parse_manifest({**manifest_mapping(), 'files': {}}, 'manifest.json')


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / 'tiny')


def replace_file(bundle, name, content):
    """Put other content in the place of a file, with the right hash: its author is hostile."""
    path = bundle.directory / name
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    manifest_path = bundle.directory / 'manifest.json'
    manifest = json.loads(manifest_path.read_text())
    manifest['files'][name] = sha256_of(path)
    manifest_path.write_text(json.dumps(manifest))


# Graphs


def with_external(path, location, place='initializer'):
    """The graph at `path` with one more tensor whose data lie elsewhere."""
    model = onnx.load(path)
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), 'elsewhere')
    tensor.ClearField('raw_data')
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (('location', location), ('offset', '0'), ('length', '16')):
        tensor.external_data.add(key=key, value=value)
    if place == 'initializer':
        model.graph.initializer.append(tensor)
    elif place == 'constant':
        model.graph.node.append(helper.make_node('Constant', [], ['unused'], value=tensor))
    elif place == 'subgraph':
        inner = helper.make_graph(
            [], 'inner', [], [helper.make_tensor_value_info('elsewhere', 1, [4])], [tensor]
        )
        node = helper.make_node('If', ['x'], ['y'], then_branch=inner, else_branch=inner)
        model.graph.node.append(node)
    elif place == 'sparse':
        sparse = onnx.SparseTensorProto(values=tensor, dims=[4])
        model.graph.sparse_initializer.append(sparse)
    elif place == 'function':
        node = helper.make_node('Constant', [], ['unused'], value=tensor)
        opsets = [helper.make_opsetid('', 18)]
        model.functions.append(helper.make_function('own', 'F', [], ['unused'], [node], opsets))
    return model.SerializeToString()


@pytest.mark.parametrize('place', ['initializer', 'constant', 'subgraph', 'sparse', 'function'])
def test_external_data_are_found_wherever_they_are_named(bundle, tmp_path, place):
    path = bundle.path('encoder_camera.onnx')
    assert external_files(path) == set()
    other = tmp_path / 'other.onnx'
    other.write_bytes(with_external(path, 'weights.bin', place))
    assert external_files(other) == {'weights.bin'}


@pytest.mark.parametrize(
    'location', ['../secret.bin', '/etc/passwd', 'deep/weights.bin', 'unlisted.bin', '', '..']
)
@pytest.mark.parametrize('backend', ['onnx', 'openvino'])
def test_a_graph_reads_nothing_but_files_of_the_manifest(bundle, tmp_path, location, backend):
    (tmp_path / 'secret.bin').write_bytes(bytes(16))
    (bundle.directory / 'unlisted.bin').write_bytes(bytes(16))
    graph = with_external(bundle.path('encoder_camera.onnx'), location)
    replace_file(bundle, 'encoder_camera.onnx', graph)
    with pytest.raises(InputError, match=r'encoder_camera\.onnx: expected its data in files of'):
        open_engine(bundle.directory, backend)


def test_data_beside_the_graph_are_fine_where_the_manifest_lists_them(bundle):
    replace_file(bundle, 'weights.bin', bytes(16))
    graph = with_external(bundle.path('encoder_camera.onnx'), 'weights.bin')
    replace_file(bundle, 'encoder_camera.onnx', graph)
    Bundle.open(bundle.directory).verify_hashes()


@given(st.binary(max_size=60), st.integers(0, 2000))
def test_the_walk_through_a_graph_ends(tmp_path_factory, junk, cut):
    path = tmp_path_factory.getbasetemp() / f'{os.getpid()}.onnx'
    graph = GRAPH[:cut] + junk + GRAPH[cut + len(junk) :]
    path.write_bytes(graph or b'\x00')
    with suppress(InputError):
        external_files(path)


GRAPH = helper.make_model(
    helper.make_graph(
        [helper.make_node('Relu', ['x'], ['y'])],
        'small',
        [helper.make_tensor_value_info('x', 1, [400])],
        [helper.make_tensor_value_info('y', 1, [400])],
        [numpy_helper.from_array(np.zeros(400, np.float32), 'w')],
    )
).SerializeToString()


def test_endless_nesting_is_refused(tmp_path):
    content = b''
    for _ in range(4000):  # attribute in node in graph in attribute
        for tag in (0x32, 0x2A, 0x0A):  # attribute.g, node.attribute, graph.node
            content = bytes([tag]) + varint(len(content)) + content
    path = tmp_path / 'deep.onnx'
    path.write_bytes(b'\x3a' + varint(len(content)) + content)
    with pytest.raises(InputError, match='expected an ONNX graph'):
        external_files(path)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


# Golden tensors


def npz(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy(shape, dtype='|u1', data=b'', order='False'):
    header = f"{{'descr': {dtype!r}, 'fortran_order': {order}, 'shape': {shape}}}"
    header += ' ' * (-(len(header) + 11) % 64) + '\n'
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header.encode() + data


class Trap:
    def __reduce__(self):
        return os.mkdir, ('trapped',)


def pickled():
    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (npy((1 << 50,)), r'expected raster_camera \(64, 128, 3\) .* got \(1125899906842624,\)'),
        (npy((64, 128, 3), data=bytes(7)), 'got 7 of 24576 bytes'),
        (npy((64, 128, 3), '|O', bytes(64)), 'expected raster_camera .* got .* object'),
        (npy((64, 128, 3), order='True', data=bytes(24576)), 'expected raster_camera'),
        (npy((64, 128, 3), "__import__('os').mkdir('trapped')"), 'expected an npz archive'),
        (npy('(' * 3000), 'expected an npz archive'),
        (b'\x93NUMPY\x09\x00' + bytes(80), 'expected an npz archive'),
        (pickled(), 'got .* object'),
        (b'', 'expected an npz archive'),
    ],
    ids=['huge', 'short', 'objects', 'fortran', 'code', 'nested', 'version', 'pickle', 'empty'],
)
def test_hostile_golden_arrays_are_refused_without_running_or_allocating(
    tmp_path, monkeypatch, content, message
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'golden.npz'
    path.write_bytes(npz(**{'raster_camera.npy': content}))
    with pytest.raises(InputError, match=message) as error:
        read_golden(path, MANIFEST)
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'trapped').exists()


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    arrays = golden_arrays(TinyModel())
    with zipfile.ZipFile(io.BytesIO(npz_bytes(arrays))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    bomb = npy((1 << 31,), data=bytes(1 << 28))
    members['features_0/camera.npy'] = npy((1, 4097, 8, 8), '<f4', bytes(1 << 28))
    members['raster_camera.npy'] += bytes(1 << 28)  # behind what the header claims
    path = tmp_path / 'golden.npz'
    path.write_bytes(npz(**members, **{'bomb.npy': bomb}))
    assert path.stat().st_size < 8 << 20
    before = psutil.Process().memory_info().rss
    golden = read_golden(path, MANIFEST)
    assert psutil.Process().memory_info().rss - before < 64 << 20
    assert 'camera' not in golden.features
    np.testing.assert_array_equal(golden.rasters['camera'], arrays['raster_camera'])


# Manifests and files


def test_a_deeply_nested_manifest_is_refused(bundle):
    (bundle.directory / 'manifest.json').write_text('[' * 100_000)
    with pytest.raises(InputError, match='expected valid JSON'):
        Bundle.open(bundle.directory)


def test_a_huge_manifest_is_not_read(bundle):
    path = bundle.directory / 'manifest.json'
    with path.open('ab') as stream:
        stream.truncate(1 << 40)  # sparse: takes no room on the disk
    with pytest.raises(InputError, match=r'manifest\.json: expected at most 16 MiB, got 1048576'):
        Bundle.open(bundle.directory)


def test_a_manifest_cannot_claim_a_huge_raster(bundle):
    path = bundle.directory / 'manifest.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'input_hw': [32 << 20, 32]}))
    with pytest.raises(InputError, match=r'expected input_hw from 32 to 8192'):
        Bundle.open(bundle.directory)


@pytest.mark.parametrize('target', ['/dev/zero', '/dev/stdin', 'directory', 'fifo'])
@pytest.mark.parametrize('name', ['golden.npz', 'manifest.json'])
def test_what_is_no_file_is_not_read(bundle, tmp_path, target, name):
    (tmp_path / 'directory').mkdir()
    os.mkfifo(tmp_path / 'fifo')
    path = bundle.directory / name
    path.unlink()
    path.symlink_to(tmp_path / target)
    with pytest.raises(InputError, match='expected'):
        Bundle.open(bundle.directory)


def test_a_link_leads_only_to_what_the_manifest_knew(bundle, tmp_path):
    # colcon build --symlink-install makes such bundles.
    real = tmp_path / 'real.npz'
    (bundle.directory / 'golden.npz').rename(real)
    (bundle.directory / 'golden.npz').symlink_to(real)
    Bundle.open(bundle.directory).verify_hashes()
    real.write_bytes(b'something else')
    with pytest.raises(InputError, match=r'golden\.npz: expected sha256'):
        Bundle.open(bundle.directory).verify_hashes()
