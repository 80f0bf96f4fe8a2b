"""Cross-attention against its equations, its mask and its kernel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from rnnkit.nn.attention import MAX_KERNEL_QUERIES, CrossAttention

BATCH, TARGET, SOURCE, SIZE = 3, 5, 7, 4
LENGTHS = (7, 2, 5)


def attend(kind: Any) -> tuple[CrossAttention, Any, Any, Any, Any, Any]:
    torch.manual_seed(2)
    attention = CrossAttention(kind, SIZE)
    query_BTH, memory_BSH = torch.randn(BATCH, TARGET, SIZE), torch.randn(BATCH, SOURCE, SIZE)
    padding_BS = torch.arange(SOURCE).unsqueeze(0) >= torch.tensor(LENGTHS).unsqueeze(1)
    context, weights = attention(query_BTH, attention.keys(memory_BSH), memory_BSH, padding_BS)
    return attention, query_BTH, memory_BSH, padding_BS, context, weights


def score(attention: CrossAttention, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Compute one score by its equation."""
    if attention.kind == "dot":
        return query @ key / math.sqrt(SIZE)
    if attention.kind == "general":
        return query @ (attention.key.weight @ key)
    inner = attention.query.weight @ query + attention.query.bias + attention.key.weight @ key
    return attention.score.weight[0] @ torch.tanh(inner)


@pytest.mark.parametrize("kind", ["dot", "general", "additive"])
def test_weights_and_context_equal_the_equations(kind: Any) -> None:
    attention, query_BTH, memory_BSH, _, context_BTH, weights_BTS = attend(kind)
    for row, length in enumerate(LENGTHS):
        for step in range(TARGET):
            scores = torch.stack([score(attention, query_BTH[row, step], memory_BSH[row, s]) for s in range(length)])
            expected = torch.softmax(scores, dim=0)
            torch.testing.assert_close(weights_BTS[row, step, :length], expected)
            torch.testing.assert_close(context_BTH[row, step], expected @ memory_BSH[row, :length])


@pytest.mark.parametrize("kind", ["dot", "general", "additive"])
def test_padding_gets_no_weight_and_no_gradient(kind: Any) -> None:
    _, _, _, padding_BS, _, weights_BTS = attend(kind)
    assert (weights_BTS.masked_select(padding_BS.unsqueeze(1)) == 0).all()
    torch.testing.assert_close(weights_BTS.sum(-1), torch.ones(BATCH, TARGET))
    attention = CrossAttention(kind, SIZE)
    memory_BSH = torch.randn(BATCH, SOURCE, SIZE, requires_grad=True)
    context, _ = attention(torch.randn(BATCH, TARGET, SIZE), attention.keys(memory_BSH), memory_BSH, padding_BS)
    (gradient,) = torch.autograd.grad(context.sum(), memory_BSH)
    assert (gradient[padding_BS] == 0).all()
    assert (gradient[~padding_BS] != 0).any()


@pytest.mark.parametrize("kind", ["dot", "general"])
@pytest.mark.parametrize(("size", "read"), [(4, 4), (16, 5), (64, 70), (67, 128), (130, 3)])
def test_kernel_equals_the_equations(kind: Any, size: int, read: int) -> None:
    torch.manual_seed(size)
    attention, lengths = CrossAttention(kind, size), torch.tensor(LENGTHS)
    query_BTH, keys_BSH = torch.randn(BATCH, TARGET, size), torch.randn(BATCH, SOURCE, size)
    values_BSR, padding_BS = torch.randn(BATCH, SOURCE, read), torch.arange(SOURCE) >= lengths.unsqueeze(1)
    with torch.no_grad():
        found = attention(query_BTH, keys_BSH, values_BSR, padding_BS)
        wanted = attention.reference(query_BTH, keys_BSH, values_BSR, padding_BS)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert (found[1].masked_select(padding_BS.unsqueeze(1)) == 0).all()


def test_falls_back_for_many_queries_dtypes_and_gradients() -> None:
    attention, padding_BS = CrossAttention("dot", SIZE), torch.zeros(1, 3, dtype=torch.bool)
    memory_BSH = torch.randn(1, 3, SIZE)
    for query_BTH in (torch.randn(1, MAX_KERNEL_QUERIES + 1, SIZE), torch.randn(1, 2, SIZE, requires_grad=True)):
        found = attention(query_BTH, memory_BSH, memory_BSH, padding_BS)
        for one, other in zip(found, attention.reference(query_BTH, memory_BSH, memory_BSH, padding_BS), strict=True):
            assert torch.equal(one, other) and one.requires_grad == query_BTH.requires_grad
    double_BTH = torch.randn(1, 2, SIZE).double()
    assert attention(double_BTH, memory_BSH.double(), memory_BSH.double(), padding_BS)[0].dtype == torch.float64
