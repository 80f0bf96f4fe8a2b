"""Guided attention loss against its equation."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnnkit.nn.attention import AlignmentLinks, guided_attention_loss, reference_guided_attention_loss

BATCH, TARGET, SOURCE = 3, 5, 7


def to_links(linked_BTS: Tensor) -> AlignmentLinks:
    row_L, target_L, source_L = linked_BTS.nonzero(as_tuple=True)
    links_BT = linked_BTS.sum(-1)
    return AlignmentLinks(row_L, target_L, source_L, 1 / links_BT[row_L, target_L], int((links_BT > 0).sum()))


def drawn(seed: int, share: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores_BTS = 3 * torch.randn(BATCH, TARGET, SOURCE, generator=generator)
    return scores_BTS, torch.rand(BATCH, TARGET, SOURCE, generator=generator) < share


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.1, 0.4, 1.0]))
def test_loss_and_gradient_equal_the_equation(seed: int, share: float) -> None:
    scores_BTS, linked_BTS = drawn(seed, share)
    found = []
    linked = to_links(linked_BTS)
    ways: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda weights_BTS: guided_attention_loss(weights_BTS, linked),
        lambda weights_BTS: reference_guided_attention_loss(weights_BTS, linked_BTS),
    )
    for loss_of in ways:
        leaf_BTS = scores_BTS.clone().requires_grad_()
        loss = loss_of(torch.softmax(leaf_BTS, dim=-1))
        found.append((loss, *torch.autograd.grad(loss, leaf_BTS)))
    torch.testing.assert_close(*found)


def test_loss_is_cross_entropy_with_uniform_links() -> None:
    scores_BTS, linked_BTS = drawn(3, 0.4)
    weights_BTS = torch.softmax(scores_BTS, dim=-1).tolist()
    expected = 0.0
    for weights_TS, linked_TS in zip(weights_BTS, linked_BTS.tolist(), strict=True):
        for weights_S, linked_S in zip(weights_TS, linked_TS, strict=True):
            logs = [math.log(weight) for weight, linked in zip(weights_S, linked_S, strict=True) if linked]
            expected -= sum(logs) / max(1, len(logs))
    assert float(guided_attention_loss(torch.tensor(weights_BTS), to_links(linked_BTS))) == pytest.approx(
        expected, rel=1e-5
    )


def test_score_gradient_is_attention_minus_target() -> None:
    """The gradient is a - G for linked tokens, else 0; the minimum is at a = G, with log n nats."""
    scores_BTS, linked_BTS = drawn(5, 0.15)
    scores_BTS.requires_grad_()
    weights_BTS = torch.softmax(scores_BTS, dim=-1)
    (grad_BTS,) = torch.autograd.grad(guided_attention_loss(weights_BTS, to_links(linked_BTS)), scores_BTS)
    links_BT1 = linked_BTS.sum(-1, keepdim=True)
    share_BTS = linked_BTS / links_BT1.clamp_min(1)
    expected_BTS = torch.where(links_BT1 > 0, weights_BTS - share_BTS, torch.zeros(()))
    torch.testing.assert_close(grad_BTS, expected_BTS)
    assert (links_BT1 == 0).any(), "some tokens have no link"
    least = links_BT1[links_BT1 > 0].log().sum()
    torch.testing.assert_close(guided_attention_loss(share_BTS, to_links(linked_BTS)), least)


def test_zero_attention_has_a_large_but_finite_loss() -> None:
    weights_BTS = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    loss = guided_attention_loss(weights_BTS, to_links(torch.tensor([[[False, True]]])))
    assert 60 < loss.item() < math.inf
    loss.backward()  # type: ignore[no-untyped-call]
    assert weights_BTS.grad is not None
    assert weights_BTS.grad.isfinite().all()


def test_no_links_give_zero_loss() -> None:
    scores_BTS, linked_BTS = drawn(1, 0.0)
    scores_BTS.requires_grad_()
    loss = guided_attention_loss(torch.softmax(scores_BTS, dim=-1), to_links(linked_BTS))
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, scores_BTS)[0].any()
