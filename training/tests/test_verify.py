from mle_sam.cli import main
from mle_sam.verify import build_official, verify
from mle_sam_ros.core.errors import InputError
import pytest
import torch


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Random weights in the form of the published file; every constant is something."""
    torch.manual_seed(2)
    state = build_official('tiny', 'sam2').state_dict()
    state = {name: value + 0.02 * torch.randn_like(value) for name, value in state.items()}
    path = tmp_path_factory.mktemp('sam2') / 'sam2_hiera_tiny.pt'
    torch.save({'model': state}, path)
    return path


# One side that needs window padding in both late stages, one that needs none, and a wide one.
@pytest.mark.parametrize('input_hw', [(64, 64), (224, 224), (96, 160)])
def test_every_level_is_the_same_to_the_last_bit(checkpoint, input_hw):
    verification = verify(checkpoint, 'tiny', input_hw)
    assert verification.differences == {'fine': 0.0, 'intermediate': 0.0, 'semantic': 0.0}
    assert verification.is_exact


def test_a_difference_is_seen(checkpoint, monkeypatch, capsys):
    """One weight that is off by a little in what we load, and nowhere else."""
    from mle_sam import verify as module

    def spoilt(model, weights, source):
        name = 'image_encoder.neck.convs.1.conv.bias'
        return start_from(model, {**weights, name: weights[name] + 1e-4}, source)

    start_from = module.start_from
    monkeypatch.setattr(module, 'start_from', spoilt)
    command = ['verify-sam2', '--checkpoint', str(checkpoint), '--size', 'tiny']
    assert main([*command, '--input', '64', '64']) == 1
    assert 'semantic     largest absolute difference from SAM 2: 0.0001' in capsys.readouterr().out
    differences = verify(checkpoint, 'tiny', (64, 64)).differences
    assert differences['fine'] == 0.0
    assert differences['semantic'] == pytest.approx(1e-4, rel=0.1)


def test_command_line(checkpoint, capsys):
    command = ['verify-sam2', '--checkpoint', str(checkpoint), '--size', 'tiny']
    assert main([*command, '--input', '64', '64']) == 0
    output = capsys.readouterr().out
    assert output.startswith(f'{checkpoint}: SAM 2 tiny\n')
    assert output.count('largest absolute difference from SAM 2: 0.0\n') == 3


@pytest.mark.parametrize(
    ('size', 'message'),
    [
        ('nano', 'expected one that SAM 2 has, tiny, small, base_plus, large, got nano'),
        ('small', 'got SAM 2 tiny'),
    ],
)
def test_a_wrong_size(checkpoint, size, message):
    with pytest.raises(InputError, match=message):
        verify(checkpoint, size, (64, 64))
