"""Backpropagation through time as derived in textbooks, against autograd and against the fused layers.

The network: h_t = tanh(W_h h_{t-1} + W_x x_t + b), z = W_y h_T + b_y, y^ = softmax(z), L = -log y^_label.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from rnnkit.nn.cells import RNNCell
from rnnkit.nn.recurrent_layer import RecurrentLayer

STEPS, INPUT, HIDDEN, CLASSES, LABEL = 5, 3, 4, 7, 2


def one_hot(label: int) -> Tensor:
    return nn.functional.one_hot(torch.tensor(label), CLASSES).double()


def loss_of(scores_Z: Tensor) -> Tensor:
    return -torch.log_softmax(scores_Z, dim=0)[LABEL]


@pytest.fixture
def unrolled() -> tuple[RNNCell, list[Tensor], nn.Linear]:
    """Return a cell, its states h_0 ... h_T with retained gradients, and the output layer, after backpropagation."""
    torch.manual_seed(7)
    cell, output = RNNCell(INPUT, HIDDEN).double(), nn.Linear(HIDDEN, CLASSES).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.7)
    states = [torch.randn(1, HIDDEN, dtype=torch.float64, requires_grad=True)]
    for _ in range(STEPS):
        (h_1H,) = cell(torch.randn(1, INPUT, dtype=torch.float64), (states[-1],))
        h_1H.retain_grad()
        states.append(h_1H)
    loss_of(output(states[-1])[0]).backward()  # type: ignore[no-untyped-call]
    return cell, states, output


def step_back(cell: RNNCell, h_1H: Tensor, grad_1H: Tensor) -> Tensor:
    """dL/dh_{t-1} = W_h^T diag(1 - h_t^2) dL/dh_t."""
    return (cell.weight_hidden.T @ torch.diag(1 - h_1H[0] ** 2) @ grad_1H[0]).unsqueeze(0)


def test_logits_gradient_is_prediction_minus_target() -> None:
    scores_Z = torch.randn(CLASSES, dtype=torch.float64, requires_grad=True)
    (found_Z,) = torch.autograd.grad(loss_of(scores_Z), scores_Z)
    torch.testing.assert_close(found_Z, torch.softmax(scores_Z, dim=0) - one_hot(LABEL))


def test_output_layer_gradient_is_an_outer_product(
    unrolled: tuple[RNNCell, list[Tensor], nn.Linear],
) -> None:
    """dL/dW_y = (y^ - y) h^T, dL/db_y = y^ - y, dL/dh = W_y^T (y^ - y)."""
    _, states, output = unrolled
    h_H = states[-1][0]
    difference_Z = torch.softmax(output(h_H), dim=0) - one_hot(LABEL)
    torch.testing.assert_close(output.weight.grad, torch.outer(difference_Z, h_H))
    torch.testing.assert_close(output.bias.grad, difference_Z)
    torch.testing.assert_close(states[-1].grad, (output.weight.T @ difference_Z).unsqueeze(0))


def test_state_gradient_propagates_one_step_back(unrolled: tuple[RNNCell, list[Tensor], nn.Linear]) -> None:
    cell, states, _ = unrolled
    for before_1H, after_1H in pairwise(states):
        assert after_1H.grad is not None
        torch.testing.assert_close(before_1H.grad, step_back(cell, after_1H, after_1H.grad))


@pytest.mark.parametrize("distance", range(1, STEPS + 1))
def test_gradient_factors_multiply_over_steps(unrolled: tuple[RNNCell, list[Tensor], nn.Linear], distance: int) -> None:
    """dL/dh_{T-k} = (W_h^T diag(1 - h_{T-k+1}^2)) ... (W_h^T diag(1 - h_T^2)) dL/dh_T."""
    cell, states, _ = unrolled
    product_HH = torch.eye(HIDDEN, dtype=torch.float64)
    for h_1H in states[STEPS - distance + 1 :]:
        product_HH = product_HH @ cell.weight_hidden.T @ torch.diag(1 - h_1H[0] ** 2)
    last = states[-1].grad
    assert last is not None
    torch.testing.assert_close(states[STEPS - distance].grad, (product_HH @ last[0]).unsqueeze(0))


def test_hidden_matrix_gradient_sums_over_steps(unrolled: tuple[RNNCell, list[Tensor], nn.Linear]) -> None:
    """dL/dW_h = sum_t diag(1 - h_t^2) dL/dh_t h_{t-1}^T, each step with its own copy of the matrix."""
    cell, states, _ = unrolled
    total_HH = torch.zeros(HIDDEN, HIDDEN, dtype=torch.float64)
    for before_1H, after_1H in pairwise(states):
        assert after_1H.grad is not None
        total_HH += torch.outer((1 - after_1H[0] ** 2) * after_1H.grad[0], before_1H[0])
    torch.testing.assert_close(cell.weight_hidden.grad, total_HH)


def test_layer_has_the_textbook_gradients() -> None:
    """For a batch: the gradient of the initial state is a product, that of the hidden matrix a sum."""
    torch.manual_seed(8)
    layer, rows = RecurrentLayer("rnn", INPUT, HIDDEN), 4
    start_BH = torch.randn(rows, HIDDEN, requires_grad=True)
    h_BTH, _ = layer(torch.randn(rows, STEPS, INPUT), (start_BH,))
    weights_BH = torch.randn(rows, HIDDEN)
    matrix_HH = layer.hidden_weights[0]
    found_BH, found_HH = torch.autograd.grad((h_BTH[:, -1] * weights_BH).sum(), [start_BH, matrix_HH])

    grad_BH, total_HH = weights_BH, torch.zeros(HIDDEN, HIDDEN)
    for step in reversed(range(STEPS)):
        before_BH = h_BTH[:, step - 1] if step else start_BH
        sums_grad_BH = (1 - h_BTH[:, step] ** 2) * grad_BH
        total_HH = total_HH + sums_grad_BH.T @ before_BH
        grad_BH = sums_grad_BH @ matrix_HH
    torch.testing.assert_close(found_BH, grad_BH)
    torch.testing.assert_close(found_HH, total_HH)
