"""Residual connections and layer norms normed recurrent layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rnnkit.models.encoder_decoder import Seq2SeqConfig
from rnnkit.models.recurrent_seq2seq import ResidualStack

SIZE = 5


def stack(layers: int, **changes: bool) -> ResidualStack:
    config = Seq2SeqConfig("gru", 7, 7, hidden=SIZE, dropout=0.5, **changes)  # type: ignore[arg-type]
    return ResidualStack(layers, config).eval()


@pytest.mark.parametrize(
    ("layers", "residual", "depth", "has_residual"),
    [(2, True, 1, False), (3, True, 0, False), (3, True, 1, True), (3, True, 2, True), (8, False, 4, False)],
)
def test_residual_connections_from_three_layers_up(layers: int, residual: bool, depth: int, has_residual: bool) -> None:
    """The first layer has none."""
    x_BTH, states_BTH = torch.randn(3, 2, SIZE), torch.randn(3, 2, SIZE)
    output_BTH = stack(layers, residual=residual).layer_output(depth, x_BTH, states_BTH)
    torch.testing.assert_close(output_BTH, states_BTH + x_BTH if has_residual else states_BTH)


def test_norms_precede_all_layers_but_the_first() -> None:
    """The output of the stack is normalized, too."""
    normed, x_BTH = stack(3, layer_norm=True), torch.randn(3, 2, SIZE)
    assert normed.layer_input(0, x_BTH) is x_BTH
    normal_BTH = nn.functional.layer_norm(x_BTH, (SIZE,))
    for output_BTH in (
        normed.layer_input(1, x_BTH),
        normed.layer_input(2, x_BTH),
        normed.stack_output(x_BTH),
    ):
        torch.testing.assert_close(output_BTH, normal_BTH)
    assert len({id(norm) for norm in normed.norms}) == 3, "no norm is normed"
    plain = stack(3)
    assert plain.layer_input(1, x_BTH) is x_BTH and plain.stack_output(x_BTH) is x_BTH
    assert not list(plain.parameters()), "without layer norm there are no parameters"
