"""One recurrent layer of each kind, by its name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rnnkit.nn import kinds
from rnnkit.nn.bidirectional import EncoderLayer, make_layer


@pytest.mark.parametrize(("arch", "parts"), [("rnn", 1), ("gru", 1), ("lstm", 2), ("mingru", 1)])
def test_every_kind_maps_inputs_and_state_alike(arch: Any, parts: int) -> None:
    layer = make_layer(arch, 5, 8)
    assert layer.arch == arch
    x_BTE = torch.randn(3, 6, 5)
    h_BTH, state = layer(x_BTE, layer.zero_state(x_BTE))
    assert h_BTH.shape == (3, 6, 8)
    assert [part.shape for part in state] == [(3, 8)] * parts
    torch.testing.assert_close(state[0], h_BTH[:, -1])
    assert [part.shape for part in layer.step(x_BTE[:, 0], state)] == [(3, 8)] * parts


def test_reset_gate_may_stand_inside() -> None:
    assert make_layer("gru", 3, 4, reset_inside=True).reset_inside is True


def test_transformer_has_no_recurrent_layer() -> None:
    with pytest.raises(ValueError, match="arch 'transformer' has no recurrent layer"):
        make_layer("transformer", 5, 8)


BATCH, STEPS, INPUT, HIDDEN = 3, 7, 5, 4


@pytest.mark.parametrize("arch", [*kinds.ARCHS, "mingru"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_encoder_layer_reads_each_sentence_as_if_it_were_alone(arch: Any, bidirectional: bool) -> None:
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
def test_on_a_cpu_it_reads_in_float32_where_autocast_says_float16(arch: Any, want_last: bool) -> None:
    """For so few rows by torch's layers, for more by our own kernels; what comes in may be float16."""
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
def test_connections_between_states_are_dropped_in_training_and_not_after(arch: Any) -> None:
    torch.manual_seed(1)
    layer = EncoderLayer(arch, INPUT, HIDDEN, bidirectional=True, weight_drop=0.5)
    x_BSE, lengths_B = torch.randn(BATCH, STEPS, INPUT), torch.tensor([7, 1, 3])
    first, second = (layer(x_BSE, lengths_B)[0] for _ in range(2))
    assert not torch.equal(first, second)
    torch.testing.assert_close(first[1, 0], second[1, 0])  # a sentence's first step has no state before it
    layer.eval()
    assert torch.equal(layer(x_BSE, lengths_B)[0], layer(x_BSE, lengths_B)[0])
