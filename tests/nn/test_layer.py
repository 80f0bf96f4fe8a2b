"""One recurrent layer of each kind, by its name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rnnkit.nn.layer import make_layer


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
