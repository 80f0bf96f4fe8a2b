"""What stands between recurrent layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rnnkit.models.recurrent_encoder import ResidualStack
from rnnkit.models.seq2seq_config import Seq2SeqConfig

SIZE = 5


def skips(layers: int, **changes: bool) -> ResidualStack:
    config = Seq2SeqConfig("gru", 7, 7, hidden=SIZE, dropout=0.5, **changes)  # type: ignore[arg-type]
    return ResidualStack(layers, config).eval()


@pytest.mark.parametrize(
    ("layers", "residual", "depth", "around"),
    [(2, True, 1, False), (3, True, 0, False), (3, True, 1, True), (3, True, 2, True), (8, False, 4, False)],
)
def test_the_way_around_is_there_from_three_layers_up_but_not_around_the_first(
    layers: int, residual: bool, depth: int, around: bool
) -> None:
    x_BTH, states_BTH = torch.randn(3, 2, SIZE), torch.randn(3, 2, SIZE)
    found_BTH = skips(layers, residual=residual).after(depth, x_BTH, states_BTH)
    torch.testing.assert_close(found_BTH, states_BTH + x_BTH if around else states_BTH)


def test_norms_stand_before_every_layer_but_the_first_and_at_the_end() -> None:
    between, x_BTH = skips(3, layer_norm=True), torch.randn(3, 2, SIZE)
    assert between.before(0, x_BTH) is x_BTH
    normal_BTH = nn.functional.layer_norm(x_BTH, (SIZE,))
    for found_BTH in (between.before(1, x_BTH), between.before(2, x_BTH), between.close(x_BTH)):
        torch.testing.assert_close(found_BTH, normal_BTH)
    assert len({id(norm) for norm in between.norms}) == 3, "each has its own"
    plain = skips(3)
    assert plain.before(1, x_BTH) is x_BTH and plain.close(x_BTH) is x_BTH
    assert not list(plain.parameters()), "what is not asked for is not stored"
