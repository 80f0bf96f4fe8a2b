"""Multi-head attention against its equation and torch's module, masks of causal attention, and positions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from rnnkit.nn import multihead_attention
from rnnkit.nn.multihead_attention import (
    MultiHeadAttention,
    SinusoidalPositions,
    apply_rotary,
    causal_mask,
    reference_attention,
    scaled_dot_product_attention,
    sinusoidal_encoding,
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


@pytest.mark.parametrize("size", [4, 5])
def test_sinusoids_equal_the_equation_of_the_paper(size: int) -> None:
    table_TE = sinusoidal_encoding(7, size, start=3)
    for place in range(7):
        for column in range(size):
            angle = (place + 3) / 10_000 ** ((column - column % 2) / size)
            expected = math.cos(angle) if column % 2 else math.sin(angle)
            assert table_TE[place, column].item() == pytest.approx(expected, abs=1e-6)


def test_sinusoids_with_a_start_are_a_slice_of_the_whole() -> None:
    torch.testing.assert_close(
        sinusoidal_encoding(5, 6, start=1000), sinusoidal_encoding(1005, 6)[1000:], rtol=0, atol=0
    )


def test_a_start_position_continues_the_encoding() -> None:
    torch.manual_seed(0)
    module = SinusoidalPositions()
    x_BTE = torch.randn(3, 7, 6)
    whole_BTE = module(x_BTE)
    torch.testing.assert_close(torch.cat([module(x_BTE[:, :4]), module(x_BTE[:, 4:], 4)], 1), whole_BTE)
    added_BTE = whole_BTE - x_BTE
    torch.testing.assert_close(added_BTE[0], added_BTE[2])
    assert (added_BTE[0].diff(dim=0).abs().sum(-1) > 0).all(), "two places look alike"


@pytest.mark.parametrize("size", [2, 5, 8])
def test_rotary_scores_depend_on_distance_only(size: int) -> None:
    torch.manual_seed(1)
    q_D, k_D = torch.randn(size), torch.randn(size)
    q_T, k_T = (apply_rotary(vector.expand(1, 1, 9, size)).squeeze() for vector in (q_D, k_D))
    scores_TT = q_T @ k_T.T
    for distance in range(-8, 9):
        along = scores_TT.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along))
    assert scores_TT[0].std() > 0.01, "no distance makes any difference"
    torch.testing.assert_close(apply_rotary(q_D.expand(1, 1, 4, size), start=5).squeeze(), q_T[5:])
    later_T = (
        apply_rotary(q_D.expand(1, 1, 9, size), start=5).squeeze()
        @ apply_rotary(k_D.expand(1, 1, 9, size), 5).squeeze().T
    )
    torch.testing.assert_close(later_T, scores_TT)


def test_rotary_rotates_each_pair() -> None:
    x_D = torch.tensor([1.0, 2.0, 3.0, 4.0])
    turned_D = apply_rotary(x_D.expand(1, 1, 4, 4))[0, 0, 3]
    for pair, angle in enumerate([3.0, 3.0 / 100]):
        number = complex(x_D[pair], x_D[pair + 2]) * complex(math.cos(angle), math.sin(angle))
        assert complex(turned_D[pair], turned_D[pair + 2]) == pytest.approx(number, rel=1e-6)
    torch.testing.assert_close(apply_rotary(torch.ones(1, 1, 3, 5))[..., -1], torch.ones(1, 1, 3))


def test_rotary_keeps_norms_and_accepts_empty_input() -> None:
    x_BNTD = torch.randn(2, 3, 70, 6, dtype=torch.float64)
    torch.testing.assert_close(apply_rotary(x_BNTD, 50).norm(dim=-1), x_BNTD.norm(dim=-1), rtol=1e-6, atol=0)
    assert apply_rotary(x_BNTD[:, :, :0], 5).shape == (2, 3, 0, 6)


def test_table_from_inference_mode_works_in_training() -> None:
    multihead_attention._cached_rotary_table.cache_clear()
    with torch.inference_mode():
        apply_rotary(torch.ones(1, 1, 3, 4))
    x_BNTD = torch.ones(1, 1, 3, 4, requires_grad=True)
    (grad,) = torch.autograd.grad(apply_rotary(x_BNTD).sum(), x_BNTD)
    assert grad.shape == x_BNTD.shape
