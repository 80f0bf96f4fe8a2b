"""SSRU against its equations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rnnkit.nn.mingru import SSRULayer

BATCH, STEPS, SIZE = 3, 7, 5


@pytest.mark.parametrize("steps", [1, STEPS])
def test_equals_its_equations_and_gradients(steps: int) -> None:
    torch.manual_seed(1)
    layer = SSRULayer(SIZE)
    nn.init.normal_(layer.unit.bias)
    x_BTE, start_BE = torch.randn(BATCH, steps, SIZE, requires_grad=True), torch.randn(BATCH, SIZE, requires_grad=True)
    (update, candidate), (update_bias, candidate_bias) = layer.unit.weight.chunk(2), layer.unit.bias.chunk(2)
    c_BE, outputs = start_BE, []
    for x_BE in x_BTE.unbind(1):
        forget_BE = torch.sigmoid(-(x_BE @ update.T + update_bias))
        c_BE = forget_BE * c_BE + (1 - forget_BE) * (x_BE @ candidate.T + candidate_bias)
        outputs.append(torch.relu(c_BE))
    found_BTE, (last_BE,) = layer(x_BTE, (start_BE,))
    torch.testing.assert_close(found_BTE, torch.stack(outputs, dim=1))
    torch.testing.assert_close(last_BE, c_BE)
    leaves = [x_BTE, start_BE, *layer.parameters()]
    losses = (found_BTE.square().sum() + last_BE.sum(), torch.stack(outputs, dim=1).square().sum() + c_BE.sum())
    found, expected = (torch.autograd.grad(loss, leaves) for loss in losses)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_untrained_ssru_mostly_keeps_its_state() -> None:
    layer = SSRULayer(SIZE)
    nn.init.zeros_(layer.unit.weight)
    _, (last_BE,) = layer(torch.randn(BATCH, 1, SIZE), (torch.ones(BATCH, SIZE),))
    torch.testing.assert_close(last_BE, torch.full((BATCH, SIZE), 1 / (1 + torch.tensor(-1.0).exp().item())))
    assert (layer.zero_state(torch.ones(BATCH, 2, SIZE))[0] == 0).all()
