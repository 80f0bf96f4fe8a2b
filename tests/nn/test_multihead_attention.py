"""Multi-head attention against its equation and torch's module, and the masks of causal attention."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from rnnkit.nn.multihead_attention import (
    MultiHeadAttention,
    causal_mask,
    reference_attention,
    scaled_dot_product_attention,
)

BATCH, SIZE, HEADS = 3, 15, 5


def tokens(steps: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(BATCH, steps, SIZE)


@pytest.mark.parametrize("masked", ["nowhere", "window", "padding"])
def test_fused_attention_and_gradients_equal_the_equation(masked: str) -> None:
    torch.manual_seed(2)
    q_BNTD, k_BNSD, v_BNSD = (torch.randn(3, 5, steps, 7, requires_grad=True) for steps in (4, 9, 9))
    lengths_B = torch.tensor([9, 1, 5])
    padding = (torch.arange(9) < lengths_B[:, None])[:, None, None]
    allowed = {"nowhere": None, "window": causal_mask(4, 9, 3, q_BNTD.device), "padding": padding}[masked]
    found = scaled_dot_product_attention(q_BNTD, k_BNSD, v_BNSD, allowed)
    expected = reference_attention(q_BNTD, k_BNSD, v_BNSD, allowed)
    torch.testing.assert_close(found, expected)
    leaves, upstream = (q_BNTD, k_BNSD, v_BNSD), torch.randn_like(found)
    grads, wanted = (torch.autograd.grad(value, leaves, upstream) for value in (found, expected))
    torch.testing.assert_close(grads, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("masked", [True, False])
def test_forward_with_weights_equals_forward(masked: bool) -> None:
    torch.manual_seed(4)
    heads, x_BTE, memory_BSE = MultiHeadAttention(SIZE, HEADS), tokens(4), tokens(9)
    padding = torch.arange(9) >= torch.tensor([9, 1, 5])[:, None]
    allowed = ~padding[:, None, None] if masked else None
    keys = heads.keys_values(memory_BSE)
    found_BTE, weights_BTS = heads.forward_with_weights(x_BTE, *keys, allowed)
    torch.testing.assert_close(found_BTE, heads(x_BTE, *keys, allowed))
    scores_BNTS = heads.queries(x_BTE) @ keys[0].transpose(-1, -2) / math.sqrt(SIZE // HEADS)
    if masked:
        scores_BNTS = scores_BNTS.masked_fill(padding[:, None, None], -math.inf)
    torch.testing.assert_close(weights_BTS, torch.softmax(scores_BNTS, dim=-1).mean(1))
    again_BTE, first_BTS = heads.forward_with_weights(x_BTE, *keys, allowed, first_head=True)
    torch.testing.assert_close(again_BTE, found_BTE)
    torch.testing.assert_close(first_BTS, torch.softmax(scores_BNTS, dim=-1)[:, 0])


def test_multi_head_attention_agrees_with_torch() -> None:
    """As cross-attention: other lengths, padding, and no dependence on the order of the memory."""
    torch.manual_seed(3)
    module, theirs = MultiHeadAttention(SIZE, HEADS), nn.MultiheadAttention(SIZE, HEADS, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([module.query.weight, module.key_value.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([module.query.bias, module.key_value.bias]).detach()
    theirs.out_proj.load_state_dict(module.output.state_dict())
    x_BTE, memory_BSE = torch.randn(3, 4, SIZE), torch.randn(3, 7, SIZE)
    padding_BS = torch.arange(7) >= torch.tensor([7, 1, 4])[:, None]
    found = module(x_BTE, *module.keys_values(memory_BSE), ~padding_BS[:, None, None])
    expected, _ = theirs(x_BTE, memory_BSE, memory_BSE, key_padding_mask=padding_BS)
    torch.testing.assert_close(found, expected)
    order = torch.tensor([3, 0, 2, 1])  # of the sentence with four tokens
    shuffled = module(x_BTE[2:], *module.keys_values(memory_BSE[2:, order]))
    torch.testing.assert_close(shuffled, found[2:])


@pytest.mark.parametrize(
    ("steps", "keys", "memory", "rows"),
    [(3, 3, None, ["x..", "xx.", "xxx"]), (2, 4, 1, [".xx.", "..xx"]), (2, 3, 9, ["xx.", "xxx"]), (1, 3, 1, [".xx"])],
)
def test_causal_mask_with_a_window(steps: int, keys: int, memory: int | None, rows: list[str]) -> None:
    allowed_TS = causal_mask(steps, keys, memory, torch.device("cpu"))
    assert allowed_TS is not None
    assert ["".join("x" if allowed else "." for allowed in row) for row in allowed_TS.tolist()] == rows


def test_single_query_needs_no_mask() -> None:
    assert causal_mask(1, 5, 4, torch.device("cpu")) is None
    assert causal_mask(1, 5, None, torch.device("cpu")) is None
