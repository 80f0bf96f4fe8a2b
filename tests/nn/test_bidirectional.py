"""Recurrent layers by architecture, and encoder layers over padded sentences."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rnnkit.nn import kinds
from rnnkit.nn.bidirectional import EncoderLayer, make_layer


@pytest.mark.parametrize(("arch", "parts"), [("rnn", 1), ("gru", 1), ("lstm", 2), ("mingru", 1)])
def test_all_architectures_share_one_interface(arch: Any, parts: int) -> None:
    layer = make_layer(arch, 5, 8)
    assert layer.arch == arch
    x_BTE = torch.randn(3, 6, 5)
    h_BTH, state = layer(x_BTE, layer.zero_state(x_BTE))
    assert h_BTH.shape == (3, 6, 8)
    assert [part.shape for part in state] == [(3, 8)] * parts
    torch.testing.assert_close(state[0], h_BTH[:, -1])
    assert [part.shape for part in layer.step(x_BTE[:, 0], state)] == [(3, 8)] * parts


def test_gru_accepts_reset_inside() -> None:
    assert make_layer("gru", 3, 4, reset_inside=True).reset_inside is True


def test_transformer_has_no_recurrent_layer() -> None:
    with pytest.raises(ValueError, match="arch 'transformer' has no recurrent layer"):
        make_layer("transformer", 5, 8)


BATCH, STEPS, INPUT, HIDDEN = 3, 7, 5, 4


@pytest.mark.parametrize("arch", [*kinds.ARCHS, "mingru"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_encoder_layer_ignores_padding(arch: Any, bidirectional: bool) -> None:
    torch.manual_seed(1)
    layer = EncoderLayer(arch, INPUT, HIDDEN, bidirectional)
    lengths = [7, 1, 3]
    x_BSE = torch.randn(BATCH, STEPS, INPUT)
    together_BSH, last = layer(x_BSE, torch.tensor(lengths), want_last=True)
    for row, length in enumerate(lengths):
        alone_1SH, alone_last = layer(x_BSE[row : row + 1, :length], torch.tensor([length]), want_last=True)
        torch.testing.assert_close(together_BSH[row, :length], alone_1SH[0])
        for part, alone_part in zip(last, alone_last, strict=True):
            torch.testing.assert_close(part[row], alone_part[0])
    fast_BSH, nothing = layer(x_BSE, torch.tensor(lengths))
    assert nothing == ()
    for row, length in enumerate(lengths):
        torch.testing.assert_close(fast_BSH[row, :length], together_BSH[row, :length])


@pytest.mark.parametrize("arch", [*kinds.ARCHS, "mingru"])
@pytest.mark.parametrize("want_last", [True, False])
def test_encoder_runs_float32_under_fp16_autocast_on_cpu(arch: Any, want_last: bool) -> None:
    """One sentence runs on torch's layers, five on our kernels; the input may be float16."""
    for batch in (1, 5):
        torch.manual_seed(1)
        layer = EncoderLayer(arch, INPUT, HIDDEN, bidirectional=True)
        lengths_B = torch.tensor([7, 1, 3, 5, 2])[:batch]
        x_BSE = torch.randn(batch, STEPS, INPUT).half().requires_grad_()
        expected_BSH, expected_last = layer(x_BSE.float(), lengths_B, want_last)
        with torch.autocast("cpu", dtype=torch.float16):
            found_BSH, last = layer(x_BSE, lengths_B, want_last)
        assert found_BSH.dtype == torch.float32
        assert torch.equal(found_BSH, expected_BSH)
        assert all(torch.equal(*pair) for pair in zip(last, expected_last, strict=True))
        (gradient,) = torch.autograd.grad(found_BSH.sum(), x_BSE)
        assert gradient.dtype == torch.float16
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize("arch", kinds.ARCHS)
def test_weight_drop_acts_in_training_only(arch: Any) -> None:
    torch.manual_seed(1)
    layer = EncoderLayer(arch, INPUT, HIDDEN, bidirectional=True, weight_drop=0.5)
    x_BSE, lengths_B = torch.randn(BATCH, STEPS, INPUT), torch.tensor([7, 1, 3])
    first, second = (layer(x_BSE, lengths_B)[0] for _ in range(2))
    assert not torch.equal(first, second)
    torch.testing.assert_close(first[1, 0], second[1, 0])  # the first step of a sentence has no previous state
    layer.eval()
    assert torch.equal(layer(x_BSE, lengths_B)[0], layer(x_BSE, lengths_B)[0])
