import cv2
import messages
from mle_sam_ros.core import image
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image import check_image, decode_image, decode_label_image
import numpy as np
import pytest

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
ALPHA = np.full((4, 6, 1), 9, np.uint8)
GREY16 = np.random.default_rng(1).integers(0, 65536, (4, 6), dtype=np.uint16)
# Round to the nearest of 256 steps; 257 is odd, so there are no ties.
SCALED = np.round(np.arange(65536) / 257).astype(np.uint8)
WIDE = RGB.astype(np.uint16) * 257


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize(
    ('encoding', 'pixels', 'expected'),
    [
        ('rgb8', RGB, RGB),
        ('bgr8', RGB[:, :, ::-1], RGB),
        ('8UC3', RGB[:, :, ::-1], RGB),
        ('rgba8', np.concatenate([RGB, ALPHA], axis=2), RGB),
        ('bgra8', np.concatenate([RGB[:, :, ::-1], ALPHA], axis=2), RGB),
        ('8UC4', np.concatenate([RGB[:, :, ::-1], ALPHA], axis=2), RGB),
        ('mono8', RGB[:, :, 0], RGB[:, :, [0, 0, 0]]),
        ('8UC1', RGB[:, :, 0], RGB[:, :, [0, 0, 0]]),
        ('mono16', GREY16, SCALED[GREY16][:, :, np.newaxis].repeat(3, axis=2)),
        ('16UC1', GREY16, SCALED[GREY16][:, :, np.newaxis].repeat(3, axis=2)),
        ('rgb16', WIDE, RGB),
        ('bgr16', WIDE[:, :, ::-1], RGB),
    ],
)
def test_decodes(encoding, pixels, expected, padding):
    message = messages.image(np.ascontiguousarray(pixels), encoding, padding=padding)
    np.testing.assert_array_equal(decode_image(message, 'camera/image'), expected)
    if pixels.dtype == np.uint16:
        message = messages.image(pixels.astype('>u2'), encoding, padding=padding)
        message.is_bigendian = 1
        np.testing.assert_array_equal(decode_image(message, 'camera/image'), expected)


def test_every_16_bit_value_is_rounded():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    decoded = decode_image(messages.image(values, 'mono16'), 'camera/image')
    np.testing.assert_array_equal(decoded[:, :, 0], SCALED.reshape(256, 256))


def demosaiced(mosaic, pattern):
    """Each channel at each inner pixel: the mean of its samples at the same least distance."""
    height, width = mosaic.shape
    channel_of = np.tile(
        np.array(['rgb'.index(name) for name in pattern]).reshape(2, 2),
        (height // 2, width // 2),
    )
    rgb = np.zeros((height, width, 3))
    for v in range(1, height - 1):
        for u in range(1, width - 1):
            near = mosaic[v - 1 : v + 2, u - 1 : u + 2].astype(float)
            channels = channel_of[v - 1 : v + 2, u - 1 : u + 2]
            distance = np.array([[2, 1, 2], [1, 0, 1], [2, 1, 2]])
            for channel in range(3):
                nearest = distance[channels == channel].min()
                rgb[v, u, channel] = near[(channels == channel) & (distance == nearest)].mean()
    return rgb


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_decodes_a_mosaic(pattern):
    mosaic = np.random.default_rng(2).integers(0, 256, (8, 10), dtype=np.uint8)
    expected = demosaiced(mosaic, pattern)[1:-1, 1:-1]
    decoded = decode_image(messages.image(mosaic, f'bayer_{pattern}8'), 'camera/image')
    assert np.abs(decoded[1:-1, 1:-1] - expected).max() <= 1  # integers halved twice
    wide = messages.image(mosaic.astype(np.uint16) * 257, f'bayer_{pattern}16')
    decoded = decode_image(wide, 'camera/image')
    assert np.abs(decoded[1:-1, 1:-1] - expected).max() <= 1


def rgb_of_yuv(y, u, v):
    """BT.601, studio range."""
    y, u, v = 1.164 * (y - 16.0), u - 128.0, v - 128.0
    return np.clip([y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u], 0, 255)


@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('yuv422', 'uyvz'), ('uyvy', 'uyvz'), ('yuv422_yuy2', 'yuzv'), ('yuyv', 'yuzv')],
)
def test_decodes_yuv_of_pixel_pairs(encoding, order):
    y, z, u, v = np.random.default_rng(3).integers(16, 236, (4, 5, 4))
    samples = np.stack([{'y': y, 'z': z, 'u': u, 'v': v}[name] for name in order], axis=-1)
    message = messages.image(samples.astype(np.uint8).reshape(5, 8, 2), encoding, padding=2)
    decoded = decode_image(message, 'camera/image').astype(float)
    for pixel, luma in ((0, y), (1, z)):
        expected = np.moveaxis(rgb_of_yuv(luma, u, v), 0, -1)
        assert np.abs(decoded[:, pixel::2] - expected).max() < 2


@pytest.mark.parametrize(('encoding', 'u_at'), [('nv12', 0), ('nv21', 1)])
def test_decodes_yuv_of_planes(encoding, u_at):
    random = np.random.default_rng(4)
    luma, u, v = (random.integers(16, 236, shape) for shape in ((4, 6), (2, 3), (2, 3)))
    chroma = np.stack([u, v] if u_at == 0 else [v, u], axis=-1).reshape(2, 6)
    message = messages.image(np.vstack([luma, chroma]).astype(np.uint8), encoding, padding=2)
    message.height = 4
    decoded = decode_image(message, 'camera/image').astype(float)
    spread = [plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (u, v)]
    expected = np.moveaxis(rgb_of_yuv(luma, *spread), 0, -1)
    assert np.abs(decoded - expected).max() < 2


@pytest.mark.parametrize('encoding', ['rgb8', 'bgra8', 'mono16', 'bayer_grbg8', 'yuv422', 'yuyv'])
def test_agrees_with_cv_bridge(encoding):
    bridge = pytest.importorskip('cv_bridge', exc_type=ImportError).CvBridge()
    channels = {'rgb8': 3, 'bgra8': 4, 'yuv422': 2, 'yuyv': 2}.get(encoding, 1)
    dtype = np.uint16 if encoding.endswith('16') else np.uint8
    pixels = np.random.default_rng(5).integers(0, 256, (8, 10, channels)).astype(dtype) * 3
    message = messages.image(pixels, encoding)
    np.testing.assert_array_equal(
        decode_image(message, 'camera/image'), bridge.imgmsg_to_cv2(message, 'rgb8')
    )


def test_decodes_labels():
    message = messages.image(RGB[:, :, 0].copy(), 'mono8')
    np.testing.assert_array_equal(decode_label_image(message, 'labels'), RGB[:, :, 0])
    with pytest.raises(InputError, match=r"labels: expected encoding mono8.*got 'rgb8'"):
        decode_label_image(messages.image(RGB), 'labels')
    with pytest.raises(InputError, match=r"labels: expected encoding mono8.*got 'png'"):
        decode_label_image(messages.compressed_image(RGB, '.png', 'png'), 'labels')


@pytest.mark.parametrize(
    ('encoding', 'changes', 'message'),
    [
        ('yuv999', {}, r"camera/image: expected encoding rgb8, .* got 'yuv999'; conv"),
        ('rgb8', {'data': b'123'}, r'expected 72 bytes of data \(height x step\), got 3'),
        ('rgb8', {'step': 10}, r'step >= 18, got 6 x 4 with step 10'),
        ('rgb16', {}, r'step >= 36, got 6 x 4 with step 18'),
        ('rgb8', {'height': 0}, r'expected a positive size'),
        ('yuv422', {'width': 5}, r'whole blocks of 2 x 1 pixels in yuv422, got 5 x 4'),
        ('nv12', {'height': 3}, r'whole blocks of 2 x 2 pixels in nv12, got 6 x 3'),
        ('nv12', {}, r'expected 108 bytes of data .* got 72'),
    ],
)
def test_refuses(encoding, changes, message):
    broken = messages.image(RGB, encoding)
    vars(broken).update(changes)
    with pytest.raises(InputError, match=message):
        decode_image(broken, 'camera/image')


# A ramp: JPEG keeps it nearly as it is.
RAMP = np.stack(np.meshgrid(np.arange(0, 240, 5), np.arange(0, 160, 5)), -1).astype(np.uint8)
RAMP = np.concatenate([RAMP, 255 - RAMP[:, :, :1]], axis=2)


@pytest.mark.parametrize(
    ('image_format', 'pixels'),
    [
        ('jpeg', RAMP),
        ('', RAMP),
        ('rgb8; jpeg compressed bgr8', RAMP),
        ('bgr8; jpeg compressed bgr8', RAMP),
        ('bayer_rggb8; jpeg compressed bgr8', RAMP),
        ('rgb8; jpeg compressed ', RAMP[:, :, ::-1]),  # packed as they came
        ('bayer_rggb8; jpeg compressed mono8', RAMP[:, :, [0, 0, 0]]),
    ],
)
def test_unpacks_jpeg(image_format, pixels):
    grey = (pixels[:, :, 0] == pixels[:, :, 1]).all()
    message = messages.compressed_image(pixels[:, :, 0] if grey else pixels, '.jpg', image_format)
    expected = RAMP[:, :, [0, 0, 0]] if grey else RAMP
    decoded = decode_image(message, 'camera/image').astype(int)
    assert np.abs(decoded - expected).max() < 12


@pytest.mark.parametrize(
    ('image_format', 'pixels', 'expected'),
    [
        ('png', RGB, RGB),
        ('rgb8; png compressed bgr8', RGB, RGB),
        ('rgba8; png compressed bgr8', RGB, RGB),
        ('rgb16; png compressed bgr16', WIDE, RGB),
        ('mono8; png compressed ', RGB[:, :, 0], RGB[:, :, [0, 0, 0]]),
        ('mono16; png compressed ', GREY16, SCALED[GREY16][:, :, np.newaxis].repeat(3, axis=2)),
        ('png', np.concatenate([RGB, ALPHA], axis=2), RGB),
    ],
)
def test_unpacks_png(image_format, pixels, expected):
    message = messages.compressed_image(pixels, '.png', image_format)
    np.testing.assert_array_equal(decode_image(message, 'camera/image'), expected)


def test_unpacks_a_mosaic_kept_in_png():
    mosaic = RGB[:, :, 0].copy()
    message = messages.compressed_image(mosaic, '.png', 'bayer_grbg8; png compressed ')
    np.testing.assert_array_equal(
        decode_image(message, 'c'), decode_image(messages.image(mosaic, 'bayer_grbg8'), 'c')
    )


def refused(message):
    with pytest.raises(InputError, match='camera/image: expected') as caught:
        check_image(message, 'camera/image')
    return str(caught.value)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_refuses_what_is_cut_short_without_unpacking(suffix, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', None)
    whole = messages.compressed_image(RAMP, suffix, 'any')
    check_image(whole, 'camera/image')
    for length in range(len(whole.data) - 12):
        cut = messages.compressed_image(RAMP, suffix, 'any')
        cut.data = whole.data[:length]
        assert 'a whole JPEG or PNG' in refused(cut)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_refuses_a_size_that_would_burst_the_memory(suffix):
    bomb = messages.compressed_image(RAMP, suffix, 'any')
    data = bytearray(bomb.data)
    if suffix == '.png':
        data[16:24] = (60000).to_bytes(4, 'big') * 2
    else:
        frame = data.index(b'\xff\xc0')
        data[frame + 5 : frame + 9] = (60000).to_bytes(2, 'big') * 2
    bomb.data = bytes(data)
    assert 'got 60000 x 60000' in refused(bomb)


def test_damage_within_is_an_error_or_a_picture():
    random = np.random.default_rng(6)
    for suffix in ('.jpg', '.png'):
        message = messages.compressed_image(RAMP, suffix, 'any')
        whole = np.frombuffer(message.data, np.uint8)
        for _ in range(200):
            damaged = whole.copy()
            damaged[random.integers(0, len(whole), 3)] = random.integers(0, 256, 3)
            message.data = damaged.tobytes()
            try:
                decoded = decode_image(message, 'camera/image')
            except InputError:
                continue
            assert decoded.dtype == np.uint8
            assert decoded.shape[2] == 3


class FakeBridge:
    """Knows one encoding."""

    def imgmsg_to_cv2(self, message, encoding):
        assert encoding == 'rgb8'
        if message.encoding != '32FC1':
            raise ValueError('no\nsuch conversion')
        return RGB


def test_any_other_encoding_goes_through_cv_bridge(monkeypatch):
    monkeypatch.setattr(image, '_bridge', FakeBridge)
    np.testing.assert_array_equal(decode_image(messages.image(RGB, '32FC1'), 'c'), RGB)
    with pytest.raises(InputError, match=r"c: expected .* got 'hsv' \(no such conversion\)"):
        decode_image(messages.image(RGB, 'hsv'), 'c')
