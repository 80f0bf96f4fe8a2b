"""Residual connections with pre- and post-norm."""

from __future__ import annotations

import torch
from torch import nn

from rnnkit.nn.dropout import Dropout
from rnnkit.nn.transformer import ResidualConnection, final_norm

SIZE = 7


def parts() -> tuple[torch.Tensor, nn.Module]:
    torch.manual_seed(1)
    return torch.randn(3, 5, SIZE), nn.Linear(SIZE, SIZE)


def test_pre_norm_keeps_the_residual_path() -> None:
    x_BTE, layer = parts()
    around = ResidualConnection(SIZE, "pre", Dropout(0.5)).eval()
    found_BTE = around.add(x_BTE, layer(around.sublayer_input(x_BTE)))
    torch.testing.assert_close(found_BTE, x_BTE + layer(nn.functional.layer_norm(x_BTE, (SIZE,))))
    assert isinstance(final_norm(SIZE, "pre"), nn.LayerNorm)


def test_post_norm_normalizes_the_sum() -> None:
    x_BTE, layer = parts()
    around = ResidualConnection(SIZE, "post", Dropout(0.5)).eval()
    found_BTE = around.add(x_BTE, layer(around.sublayer_input(x_BTE)))
    torch.testing.assert_close(found_BTE, nn.functional.layer_norm(x_BTE + layer(x_BTE), (SIZE,)))
    assert final_norm(SIZE, "post")(x_BTE) is x_BTE


def test_dropout_acts_on_the_sublayer_output_only() -> None:
    x_BTE, _ = parts()
    around = ResidualConnection(SIZE, "pre", Dropout(0.9)).train()
    kept = around.add(x_BTE, torch.ones_like(x_BTE)) - x_BTE
    assert set(kept.round(decimals=3).flatten().tolist()) == {0.0, 10.0}
