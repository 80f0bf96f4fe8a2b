"""Causal self-attention against its equations, over whole texts and in segments."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from rnnkit.nn import multihead_attention
from rnnkit.nn.multihead_attention import CausalAttention

BATCH, STEPS, SIZE, HEADS = 3, 7, 15, 5


def made(rotary: bool) -> tuple[CausalAttention, Tensor]:
    torch.manual_seed(3)
    module = CausalAttention(SIZE, HEADS, rotary)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module, torch.randn(BATCH, STEPS, SIZE, requires_grad=True)


def equations(module: CausalAttention, x_BTE: Tensor) -> Tensor:
    """Compute the layer token by token and head by head."""
    parts = module.attention
    q_BTE, (k_BTE, v_BTE) = parts.query(x_BTE), parts.key_value(x_BTE).chunk(2, dim=-1)
    heads = []
    for head in torch.arange(SIZE).chunk(HEADS):
        q_BTD, k_BTD, v_BTD = q_BTE[..., head], k_BTE[..., head], v_BTE[..., head]
        if module.rotary:
            q_BTD, k_BTD = (multihead_attention.apply_rotary(part.unsqueeze(1)).squeeze(1) for part in (q_BTD, k_BTD))
        rows = []
        for step in range(STEPS):
            scores_BS = (k_BTD[:, : step + 1] @ q_BTD[:, step].unsqueeze(-1)).squeeze(-1) / math.sqrt(len(head))
            rows.append((torch.softmax(scores_BS, dim=-1).unsqueeze(-1) * v_BTD[:, : step + 1]).sum(1))
        heads.append(torch.stack(rows, dim=1))
    result: Tensor = parts.output(torch.cat(heads, dim=-1))
    return result


@pytest.mark.parametrize("rotary", [True, False])
def test_equals_its_equations_and_gradients(rotary: bool) -> None:
    module, x_BTE = made(rotary)
    found_BTE, cache = module(x_BTE, module.zero_state(x_BTE))
    expected_BTE = equations(module, x_BTE)
    torch.testing.assert_close(found_BTE, expected_BTE, rtol=1e-4, atol=1e-5)
    assert [part.shape for part in cache] == [(BATCH, HEADS, STEPS, SIZE // HEADS)] * 2
    leaves = [x_BTE, *module.parameters()]
    grads, wanted = (torch.autograd.grad(part.square().mean(), leaves) for part in (found_BTE, expected_BTE))
    torch.testing.assert_close(grads, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rotary", [True, False])
@pytest.mark.parametrize("piece", [1, 2, 3, 5])
def test_segments_with_cache_equal_the_whole_text(rotary: bool, piece: int) -> None:
    module, x_BTE = made(rotary)
    whole_BTE, whole_cache = module(x_BTE, module.zero_state(x_BTE))
    cache, pieces = module.zero_state(x_BTE), []
    for part_BTE in torch.split(x_BTE, piece, dim=1):
        found_BTE, cache = module(part_BTE, cache)
        pieces.append(found_BTE)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole_BTE, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(cache, whole_cache)


def test_bfloat16_on_cpu_is_close_and_differentiable() -> None:
    module, x_BTE = made(rotary=True)
    exact_BTE, _ = module(x_BTE, module.zero_state(x_BTE))
    (exact,) = torch.autograd.grad(exact_BTE.sum(), x_BTE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half_BTE, _ = module(x_BTE, module.zero_state(x_BTE))
    assert half_BTE.dtype == torch.bfloat16
    (half,) = torch.autograd.grad(half_BTE.float().sum(), x_BTE)
    torch.testing.assert_close(half_BTE.float(), exact_BTE, rtol=0.05, atol=0.1)
    torch.testing.assert_close(half, exact, rtol=0.1, atol=0.3)
