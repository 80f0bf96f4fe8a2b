"""Losses of labels against their equations and torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rnnkit.nn.label_losses import (
    IGNORED,
    balanced_weights,
    label_cross_entropy,
    multi_label_cross_entropy,
    soft_label_cross_entropy,
)

ROWS, LABELS = 7, 3


@pytest.fixture
def scores_NC() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(ROWS, LABELS, dtype=torch.float64, requires_grad=True)


LABELS_N = torch.tensor([0, 1, IGNORED, 2, 2, IGNORED, 1])
WEIGHTS_C = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights_C", [None, WEIGHTS_C])
def test_one_label(scores_NC: torch.Tensor, smoothing: float, weights_C: torch.Tensor | None) -> None:
    loss_N, nll_N = label_cross_entropy(scores_NC, LABELS_N, smoothing, weights_C)
    log_p_NC = torch.log_softmax(scores_NC, 1)
    for row, label in enumerate(LABELS_N.tolist()):
        if label == IGNORED:
            assert (loss_N[row].item(), nll_N[row].item()) == (0, 0)
            continue
        weight = 1.0 if weights_C is None else float(weights_C[label])
        expected = -(1 - smoothing) * log_p_NC[row, label] - smoothing * log_p_NC[row].mean()
        torch.testing.assert_close(loss_N[row], weight * expected)
        torch.testing.assert_close(nll_N[row], -log_p_NC[row, label].detach())
    gradient_NC = torch.autograd.grad(loss_N.sum(), scores_NC)[0]
    assert not gradient_NC[LABELS_N == IGNORED].any()


def test_soft_labels_contain_the_others(scores_NC: torch.Tensor) -> None:
    known = LABELS_N != IGNORED
    shares_NC = nn.functional.one_hot(LABELS_N.clamp(min=0), LABELS).double() * known[:, None]
    found, expected = (
        soft_label_cross_entropy(scores_NC, shares_NC, WEIGHTS_C),
        label_cross_entropy(scores_NC, LABELS_N, 0.0, WEIGHTS_C),
    )
    torch.testing.assert_close(found, expected)
    half, _ = soft_label_cross_entropy(scores_NC, torch.full_like(shares_NC, 1 / LABELS))
    torch.testing.assert_close(half, -torch.log_softmax(scores_NC, 1).mean(1))


def test_many_labels(scores_NC: torch.Tensor) -> None:
    target_NC = torch.randint(0, 2, (ROWS, LABELS)).double()
    loss_N, nll_N = multi_label_cross_entropy(scores_NC, target_NC, WEIGHTS_C)
    p_NC = torch.sigmoid(scores_NC)
    nll_NC = -(target_NC * p_NC.log() + (1 - target_NC) * (1 - p_NC).log())
    torch.testing.assert_close(nll_N, nll_NC.sum(1).detach())
    torch.testing.assert_close(loss_N, (nll_NC * WEIGHTS_C).sum(1))


def test_balanced_weights() -> None:
    weights_C = balanced_weights(torch.tensor([1, 3, 0]))
    torch.testing.assert_close(weights_C, torch.tensor([5 / 3, 5 / 9, 5 / 3]))
