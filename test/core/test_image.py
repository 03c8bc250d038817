import messages
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image import decode_image, decode_label_image
import numpy as np
import pytest

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
ALPHA = np.full((4, 6, 1), 9, np.uint8)


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    ('encoding', 'pixels', 'expected'),
    [
        ('rgb8', RGB, RGB),
        ('bgr8', RGB[:, :, ::-1], RGB),
        ('rgba8', np.concatenate([RGB, ALPHA], axis=2), RGB),
        ('bgra8', np.concatenate([RGB[:, :, ::-1], ALPHA], axis=2), RGB),
        ('mono8', RGB[:, :, 0], RGB[:, :, [0, 0, 0]]),
    ],
)
def test_decodes(encoding, pixels, expected, padding):
    message = messages.image(np.ascontiguousarray(pixels), encoding, padding=padding)
    np.testing.assert_array_equal(decode_image(message, 'camera/image'), expected)


def test_decodes_labels():
    message = messages.image(RGB[:, :, 0].copy(), 'mono8')
    np.testing.assert_array_equal(decode_label_image(message, 'labels'), RGB[:, :, 0])
    with pytest.raises(InputError, match=r"labels: expected encoding mono8.*got 'rgb8'"):
        decode_label_image(messages.image(RGB), 'labels')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'encoding': 'yuv999'}, r"camera/image: expected encoding rgb8, .* got 'yuv999'; conv"),
        ({'data': b'123'}, r'expected 72 bytes of data \(height x step\), got 3'),
        ({'step': 10}, r'step >= 18, got 6 x 4 with step 10'),
        ({'height': 0}, r'expected a positive size'),
    ],
)
def test_refuses(changes, message):
    broken = messages.image(RGB)
    vars(broken).update(changes)
    with pytest.raises(InputError, match=message):
        decode_image(broken, 'camera/image')
