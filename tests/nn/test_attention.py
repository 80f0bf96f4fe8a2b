"""Attention against its formulas, and its mask."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from rnnkit.nn.attention import Attention

BATCH, TARGET, SOURCE, SIZE = 3, 5, 7, 4
LENGTHS = (7, 2, 5)


def attend(kind: Any) -> tuple[Attention, Any, Any, Any, Any, Any]:
    torch.manual_seed(2)
    attention = Attention(kind, SIZE)
    query_BTH, memory_BSH = torch.randn(BATCH, TARGET, SIZE), torch.randn(BATCH, SOURCE, SIZE)
    padding_BS = torch.arange(SOURCE).unsqueeze(0) >= torch.tensor(LENGTHS).unsqueeze(1)
    context, weights = attention(query_BTH, attention.keys(memory_BSH), memory_BSH, padding_BS)
    return attention, query_BTH, memory_BSH, padding_BS, context, weights


def score(attention: Attention, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """One score as its formula."""
    if attention.kind == "dot":
        return query @ key / math.sqrt(SIZE)
    if attention.kind == "general":
        return query @ (attention.key.weight @ key)
    inner = attention.query.weight @ query + attention.query.bias + attention.key.weight @ key
    return attention.score.weight[0] @ torch.tanh(inner)


@pytest.mark.parametrize("kind", ["dot", "general", "additive"])
def test_weights_and_context_follow_the_formula(kind: Any) -> None:
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
    attention = Attention(kind, SIZE)
    memory_BSH = torch.randn(BATCH, SOURCE, SIZE, requires_grad=True)
    context, _ = attention(torch.randn(BATCH, TARGET, SIZE), attention.keys(memory_BSH), memory_BSH, padding_BS)
    (gradient,) = torch.autograd.grad(context.sum(), memory_BSH)
    assert (gradient[padding_BS] == 0).all()
    assert (gradient[~padding_BS] != 0).any()
