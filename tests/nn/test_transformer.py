"""Transformer layers, feed-forward networks and residual connections, and segmented texts against whole ones."""

from __future__ import annotations

import math

import pytest
import torch
from tests.raising import raises
from torch import Tensor, nn

from rnnkit.errors import ConfigError
from rnnkit.nn import multihead_attention
from rnnkit.nn.dropout import Dropout
from rnnkit.nn.kinds import Norm
from rnnkit.nn.multihead_attention import (
    KVCache,
    MultiHeadAttention,
    reference_attention,
)
from rnnkit.nn.transformer import FeedForward, ResidualConnection, TransformerLayer, TransformerSettings, final_norm

BATCH, STEPS, SIZE, HEADS = 3, 11, 15, 5


def layer(memory: int = 4, norm: Norm = "pre", **options: float) -> TransformerLayer:
    torch.manual_seed(0)
    settings = TransformerSettings(SIZE, HEADS, memory, inner=7, norm=norm, **options)
    made = TransformerLayer(settings, last=True)
    for parameter in made.parameters():  # nonzero biases, and norms that are not the identity
        nn.init.normal_(parameter, std=0.5)
    return made


def tokens(steps: int = STEPS) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(BATCH, steps, SIZE)


def in_segments(module: TransformerLayer, x_BTE: Tensor, size: int) -> tuple[Tensor, KVCache]:
    cache, outputs = module.zero_state(x_BTE), []
    for piece_BTE in torch.split(x_BTE, size, dim=1):
        y_BTE, cache = module(piece_BTE, cache)
        outputs.append(y_BTE)
    return torch.cat(outputs, dim=1), cache


def test_attention_is_a_softmax_weighted_mean() -> None:
    """Weights are softmax(q . k / sqrt(d)); a masked key has weight 0."""
    q, keys, values = [1.0, 2.0], [[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]], [[1.0], [10.0], [1000.0]]
    weights = [math.exp((q[0] * k[0] + q[1] * k[1]) / math.sqrt(2)) for k in keys[:2]]
    expected = sum(w * v[0] for w, v in zip(weights, values, strict=False)) / sum(weights)
    q_BNTD, k_BNSD, v_BNSD = (torch.tensor(part)[None, None] for part in ([q], keys, values))
    found = reference_attention(q_BNTD, k_BNSD, v_BNSD, torch.tensor([True, True, False]))
    assert found.item() == pytest.approx(expected)


def test_layer_on_reference_attention_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x_BTE = layer(), tokens()
    fused_BTE, _ = in_segments(module, x_BTE, 7)
    fused = torch.autograd.grad(fused_BTE.square().sum(), list(module.parameters()))
    monkeypatch.setattr(
        multihead_attention,
        "scaled_dot_product_attention",
        lambda q, k, v, mask, dropout: reference_attention(q, k, v, mask),
    )
    plain_BTE, _ = in_segments(module, x_BTE, 7)
    torch.testing.assert_close(fused_BTE, plain_BTE, rtol=1e-4, atol=1e-5)
    plain = torch.autograd.grad(plain_BTE.square().sum(), list(module.parameters()))
    torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("memory", [0, 1, 4, STEPS, 100])
@pytest.mark.parametrize("piece", [1, 2, 3, 7])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_segmented_text_equals_the_whole_text(memory: int, piece: int, norm: Norm) -> None:
    module, x_BTE = layer(memory, norm), tokens()
    whole_BTE, whole_cache = module(x_BTE)
    pieces_BTE, cache = in_segments(module, x_BTE, piece)
    torch.testing.assert_close(pieces_BTE, whole_BTE, rtol=1e-4, atol=1e-5)
    for part, whole in zip(cache, whole_cache, strict=True):
        assert part.shape == (BATCH, HEADS, min(memory, STEPS), SIZE // HEADS)
        torch.testing.assert_close(part, whole)


def test_gradients_flow_across_segments() -> None:
    module, x_BTE = layer(), tokens()
    parameters = list(module.parameters())
    whole = torch.autograd.grad(module(x_BTE)[0].square().sum(), parameters)
    pieces = torch.autograd.grad(in_segments(module, x_BTE, 3)[0].square().sum(), parameters)
    torch.testing.assert_close(pieces, whole, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("memory", [0, 2, 100])
def test_token_depends_on_its_window_only(memory: int) -> None:
    module, x_BTE = layer(memory), tokens()
    y_BTE, _ = module(x_BTE)
    for place in range(STEPS):
        changed_BTE = x_BTE.clone()
        changed_BTE[:, place] *= -1  # an added constant would not pass the layer norm
        moved_T = (module(changed_BTE)[0] - y_BTE).abs().amax((0, 2))
        assert [step for step in range(STEPS) if moved_T[step] > 1e-4] == [
            step for step in range(STEPS) if place <= step <= place + memory
        ]


def test_positions_are_relative_to_the_window() -> None:
    module, x_BTE = layer(), tokens()
    y_BTE, _ = module(x_BTE)
    swapped_BTE = x_BTE[:, [1, 0, *range(2, STEPS)]]
    assert (module(swapped_BTE)[0] - y_BTE)[:, 2].abs().max() > 1e-3
    later_BTE, _ = module(torch.cat([torch.randn(BATCH, 6, SIZE), x_BTE], dim=1))
    torch.testing.assert_close(later_BTE[:, 6 + 4 :], y_BTE[:, 4:], rtol=1e-4, atol=1e-5)


def test_cache_rows_can_be_selected() -> None:
    module, x_BTE = layer(), tokens()
    _, cache = module(x_BTE)
    index = torch.tensor([2, 0, 2, 1])
    chosen_BTE, _ = module(x_BTE[index, :1], tuple(part[index] for part in cache))
    every_BTE, _ = module(x_BTE[:, :1], cache)
    torch.testing.assert_close(chosen_BTE, every_BTE[index])


def test_pre_and_post_norm_equal_their_equations() -> None:
    """Pre-norm: x + f(norm(x)), with a final norm. Post-norm: norm(x + f(x))."""
    x_BTE = tokens(1)  # a single token attends to itself, so that attention is an affine map
    for norm in ("pre", "post"):
        module = layer(norm=norm)
        heads, forward = module.attention, module.feed_forward

        def attend(x: Tensor, heads: MultiHeadAttention = heads) -> Tensor:
            _, values = heads.keys_values(x)
            return heads.output(values.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

        if norm == "pre":
            y = x_BTE + attend(module.attention_norm(x_BTE))
            y = module.closing(y + forward(module.feed_forward_norm(y)))
        else:
            y = module.attention_norm(x_BTE + attend(x_BTE))
            y = module.feed_forward_norm(y + forward(y))
        torch.testing.assert_close(module(x_BTE)[0], y)


def test_only_the_last_pre_norm_layer_normalizes_its_output() -> None:
    assert isinstance(TransformerLayer(TransformerSettings(6, 2, 3), last=True).closing, nn.LayerNorm)
    assert isinstance(TransformerLayer(TransformerSettings(6, 2, 3)).closing, nn.Identity)
    assert isinstance(TransformerLayer(TransformerSettings(6, 2, 3, norm="post"), last=True).closing, nn.Identity)


def test_feed_forward_equals_its_equation() -> None:
    module, x_BTE = FeedForward(5, 7), torch.randn(3, 4, 5)
    inner = (x_BTE @ module.inner.weight.T + module.inner.bias).clamp(min=0)
    torch.testing.assert_close(module(x_BTE), inner @ module.outer.weight.T + module.outer.bias)


def test_dropout_acts_on_sublayer_outputs_in_training() -> None:
    module, x_BTE = layer(dropout=0.5), tokens()
    torch.manual_seed(0)
    first, second = module(x_BTE)[0], module(x_BTE)[0]
    assert not torch.equal(first, second)
    module.eval()
    torch.testing.assert_close(module(x_BTE)[0], layer()(x_BTE)[0])
    module = layer(attention_dropout=0.5)
    assert not torch.equal(module(x_BTE)[0], module(x_BTE)[0])
    module.eval()
    torch.testing.assert_close(module(x_BTE)[0], layer()(x_BTE)[0])


def test_autocast_accepts_a_cache_of_either_dtype() -> None:
    module, x_BTE = layer(), tokens()
    exact_BTE, cache = module(x_BTE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        close_BTE, half_cache = in_segments(module, x_BTE, 3)
        assert module(x_BTE, cache)[1][0].dtype == torch.bfloat16
    assert half_cache[0].dtype == torch.bfloat16
    assert module(x_BTE, half_cache)[1][0].dtype == torch.float32
    torch.testing.assert_close(close_BTE.float(), exact_BTE, rtol=0.1, atol=0.1)


def test_heads_must_divide_the_size() -> None:
    with raises(ConfigError, 4, 15, "1, 3, 5, 15", option="--heads"):
        TransformerLayer(TransformerSettings(15, 4, 8))


TOKEN_SIZE = 7


def parts() -> tuple[torch.Tensor, nn.Module]:
    torch.manual_seed(1)
    return torch.randn(3, 5, TOKEN_SIZE), nn.Linear(TOKEN_SIZE, TOKEN_SIZE)


def test_pre_norm_keeps_the_residual_path() -> None:
    x_BTE, layer = parts()
    around = ResidualConnection(TOKEN_SIZE, "pre", Dropout(0.5)).eval()
    found_BTE = around.add(x_BTE, layer(around.sublayer_input(x_BTE)))
    torch.testing.assert_close(found_BTE, x_BTE + layer(nn.functional.layer_norm(x_BTE, (TOKEN_SIZE,))))
    assert isinstance(final_norm(TOKEN_SIZE, "pre"), nn.LayerNorm)


def test_post_norm_normalizes_the_sum() -> None:
    x_BTE, layer = parts()
    around = ResidualConnection(TOKEN_SIZE, "post", Dropout(0.5)).eval()
    found_BTE = around.add(x_BTE, layer(around.sublayer_input(x_BTE)))
    torch.testing.assert_close(found_BTE, nn.functional.layer_norm(x_BTE + layer(x_BTE), (TOKEN_SIZE,)))
    assert final_norm(TOKEN_SIZE, "post")(x_BTE) is x_BTE


def test_dropout_acts_on_the_sublayer_output_only() -> None:
    x_BTE, _ = parts()
    around = ResidualConnection(TOKEN_SIZE, "pre", Dropout(0.9)).train()
    kept = around.add(x_BTE, torch.ones_like(x_BTE)) - x_BTE
    assert set(kept.round(decimals=3).flatten().tolist()) == {0.0, 10.0}
