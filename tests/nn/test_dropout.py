"""Dropout: which elements share a mask, expectations and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rnnkit.nn import dropout
from rnnkit.nn.recurrent_layer import RecurrentLayer

RATE = 0.4


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(11)


def test_locked_dropout_shares_masks_over_steps_not_rows() -> None:
    kept_BTD = dropout.locked_dropout(torch.ones(5, 7, 30), RATE)
    assert torch.equal(kept_BTD, kept_BTD[:, :1].expand_as(kept_BTD))
    assert len({tuple(row) for row in kept_BTD[:, 0].tolist()}) == 5


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
def test_elementwise_dropout_drops_at_its_rate(kind: torch.dtype) -> None:
    kept = dropout.elementwise_dropout(torch.ones(101, 7, 143, dtype=kind), RATE)
    assert kept.dtype == kind
    assert abs((kept == 0).double().mean().item() - RATE) < 0.006  # four standard errors
    assert set(kept.flatten().tolist()) == {0.0, torch.tensor(1 / (1 - RATE), dtype=kind).item()}
    assert not torch.equal(kept[:, :1].expand_as(kept), kept)
    neighbors = ((kept[..., 1:] == 0) & (kept[..., :-1] == 0)).double().mean().item()
    assert abs(neighbors - RATE**2) < 0.006, "elements are independent"


def test_elementwise_dropout_accepts_any_memory_order() -> None:
    for x in (torch.randn(7, 3, 5).transpose(0, 1), torch.randn(3, 5)[:, ::2], torch.randn(1, 4).expand(3, 4)):
        x = x.detach().requires_grad_()
        y = dropout.elementwise_dropout(x, RATE)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(y, x * gradient)
    assert dropout.elementwise_dropout(x, RATE, training=False) is x


def test_dropout_module_drops_in_training_only() -> None:
    x_BTD = torch.ones(5, 7, 30)
    locked_BTD = dropout.Dropout(RATE, locked=True)(x_BTD)
    assert torch.equal(locked_BTD, locked_BTD[:, :1].expand_as(locked_BTD))
    plain_BTD = dropout.Dropout(RATE)(x_BTD)
    assert not torch.equal(plain_BTD, plain_BTD[:, :1].expand_as(plain_BTD))
    assert dropout.Dropout(RATE).eval()(x_BTD) is x_BTD


def test_scaling_preserves_expectations() -> None:
    kept_BTD = dropout.locked_dropout(torch.ones(100, 1, 1000), RATE)
    torch.testing.assert_close(kept_BTD.flatten().sort().values[[0, -1]], torch.tensor([0, 1 / (1 - RATE)]))
    assert abs(kept_BTD.mean().item() - 1) < 0.01  # four standard errors of 100,000 draws
    weights = dropout.weight_drop(torch.ones(300, 300), 0.1)
    assert abs((weights == 0).double().mean().item() - 0.1) < 0.004
    assert abs(weights.mean().item() - 1) < 0.005


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
def test_dtype_is_kept_and_does_not_affect_the_rate(kind: torch.dtype) -> None:
    kept = dropout.locked_dropout(torch.ones(100, 1, 1000, dtype=kind), RATE)
    assert kept.dtype == kind
    assert abs((kept == 0).double().mean().item() - RATE) < 0.006


def test_locked_dropout_keeps_the_memory_order() -> None:
    x_BTD = torch.randn(7, 3, 5).transpose(0, 1)
    assert dropout.locked_dropout(x_BTD, RATE).stride() == x_BTD.stride()


def test_embedding_dropout_drops_all_occurrences_of_a_word() -> None:
    ids_BT = torch.tensor([[4, 1, 4, 2, 9], [2, 9, 8, 4, 1]])
    x_BTE = dropout.embedding_dropout(torch.ones(10, 3), ids_BT, 0.5)
    dropped = 0
    for word in set(ids_BT.flatten().tolist()):
        rows = x_BTE[ids_BT == word]
        assert torch.equal(rows, rows[:1, :1].expand_as(rows))
        dropped += int(rows[0, 0] == 0)
    assert 0 < dropped < 5
    assert set(x_BTE.flatten().tolist()) == {0.0, 2.0}


def test_embedding_dropout_equals_lookup_in_a_dropped_matrix() -> None:
    weight_VE = torch.randn(6, 3, requires_grad=True)
    ids_BT = torch.tensor([[0, 3, 3], [5, 1, 0]])
    x_BTE = dropout.embedding_dropout(weight_VE, ids_BT, 0.5)
    scales_V = torch.zeros(6)
    with torch.no_grad():
        scales_V[ids_BT] = (x_BTE / weight_VE[ids_BT]).mean(-1)
    assert 0 < (scales_V[ids_BT] == 0).sum() < ids_BT.numel()
    expected_BTE = (weight_VE * scales_V.unsqueeze(1))[ids_BT]
    weights_BTE = torch.randn_like(x_BTE)
    torch.testing.assert_close(x_BTE, expected_BTE)
    found, expected = (torch.autograd.grad((x * weights_BTE).sum(), weight_VE)[0] for x in (x_BTE, expected_BTE))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("training", "rate"), [(False, RATE), (True, 0.0)])
def test_rate_zero_and_evaluation_are_the_identity(training: bool, rate: float) -> None:
    x_BTD, weight_VE = torch.randn(2, 3, 4), torch.randn(6, 4)
    ids_BT = torch.tensor([[0, 5, 2]])
    assert dropout.locked_dropout(x_BTD, rate, training) is x_BTD
    assert dropout.weight_drop(weight_VE, rate, training) is weight_VE
    found_BTE = dropout.embedding_dropout(weight_VE, ids_BT, rate, training)
    assert torch.equal(found_BTE, nn.functional.embedding(ids_BT, weight_VE))


def test_weight_drop_gradient_reaches_the_raw_weight() -> None:
    weight = torch.randn(20, 30, requires_grad=True)
    dropped = dropout.weight_drop(weight, RATE)
    (grad,) = torch.autograd.grad(dropped.sum(), weight)
    torch.testing.assert_close(grad, (dropped != 0) / (1 - RATE))


@pytest.mark.parametrize("arch", ["rnn", "gru", "lstm"])
def test_weight_drop_leaves_the_state_dict_unchanged(arch: str) -> None:
    layer = RecurrentLayer(arch, 5, 8)  # type: ignore[arg-type]
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer(torch.randn(4, 6, 5), hidden_weight=dropout.weight_drop(layer.hidden_weights[0], RATE))[0].sum().backward()
    after = layer.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    grad: Tensor | None = layer.hidden_weights[0].grad
    assert grad is not None and (grad == 0).any() and (grad != 0).any()
