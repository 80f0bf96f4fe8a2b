"""minGRU and SSRU: kernel and scan against the equations, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rnnkit.kernels import dispatch
from rnnkit.kernels.dispatch import cpu_features
from rnnkit.nn.cells import MinGRUCell, unroll
from rnnkit.nn.mingru import MinGRULayer, SSRULayer, doubling_scan, gated_scan, linear_scan, reference_scan

SIZES = [(3, 7, 5, 4), (16, 1, 3, 17), (20, 5, 33, 40), (1, 33, 6, 100), (5, 4, 7, 32), (2, 9, 16, 8)]
"""Batch, steps, input size, hidden size: all large enough for the kernel."""


def layer_and_inputs(batch: int, steps: int, input_size: int, size: int) -> tuple[MinGRULayer, Tensor, Tensor]:
    torch.manual_seed(steps)
    layer = MinGRULayer(input_size, size)
    nn.init.normal_(layer.bias)
    x_BTE = torch.randn(batch, steps, input_size, requires_grad=True)
    return layer, x_BTE, torch.randn(batch, size, requires_grad=True)


def gradients(
    layer: MinGRULayer, x_BTE: Tensor, start_BH: Tensor, h_BTH: Tensor, last_BH: Tensor
) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    loss = (h_BTH.float() * torch.randn(h_BTH.shape)).sum() + last_BH.square().sum()
    return torch.autograd.grad(loss, [x_BTE, start_BH, *layer.parameters()])


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("by_kernel", [True, False])
def test_layer_and_gradients_equal_the_cell(
    sizes: tuple[int, int, int, int], by_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x_BTE, start_BH = layer_and_inputs(*sizes)
    assert x_BTE.shape[0] * x_BTE.shape[1] >= dispatch.MIN_ROWS_FOR_KERNELS
    monkeypatch.setattr("rnnkit.nn.mingru.layer_kernels_apply", lambda x, weight: by_kernel)
    h_BTH, (last_BH,) = layer(x_BTE, (start_BH,))
    plain_BTH, (plain_last_BH,) = unroll(layer.as_cell(), x_BTE, (start_BH,))
    torch.testing.assert_close(h_BTH, plain_BTH)
    torch.testing.assert_close(last_BH, plain_last_BH)
    found = gradients(layer, x_BTE, start_BH, h_BTH, last_BH)
    expected = gradients(layer, x_BTE, start_BH, plain_BTH, plain_last_BH)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_cell_equals_the_equation_of_the_paper() -> None:
    torch.manual_seed(2)
    cell = MinGRUCell(3, 4)
    nn.init.normal_(cell.bias)
    x_BE, h_BH = torch.randn(2, 3), torch.randn(2, 4)
    (w_z, w_h), (b_z, b_h) = cell.weight.chunk(2), cell.bias.chunk(2)
    z_BH = torch.sigmoid(x_BE @ w_z.T + b_z)
    torch.testing.assert_close(cell(x_BE, (h_BH,))[0], (1 - z_BH) * h_BH + z_BH * (x_BE @ w_h.T + b_h))


def test_gated_scan_gradient_equals_finite_differences() -> None:
    torch.manual_seed(3)
    gates_BTG = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    start_BH = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gated_scan, (gates_BTG, start_BH))


def test_single_steps_equal_the_whole_sequence() -> None:
    layer, x_BTE, _ = layer_and_inputs(3, 7, 5, 4)
    whole_BTH, last = layer(x_BTE)
    state = layer.zero_state(x_BTE)
    for step in range(7):
        state = layer.step(x_BTE[:, step], state)
        torch.testing.assert_close(state[0], whole_BTH[:, step])
    torch.testing.assert_close(state, last)


def test_carried_state_equals_one_long_run() -> None:
    layer, x_BTE, _ = layer_and_inputs(4, 12, 5, 6)
    whole_BTH, _ = layer(x_BTE)
    first_BTH, state = layer(x_BTE[:, :5])
    second_BTH, _ = layer(x_BTE[:, 5:], state)
    torch.testing.assert_close(torch.cat([first_BTH, second_BTH], dim=1), whole_BTH)


@pytest.mark.parametrize("by_kernel", [True, False])
def test_autocast_is_close_and_carries_float32(by_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x_BTE, start_BH = layer_and_inputs(4, 9, 16, 20)
    exact_BTH, exact_last = layer(x_BTE, (start_BH,))
    monkeypatch.setattr("rnnkit.nn.mingru.layer_kernels_apply", lambda x, weight: by_kernel)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h_BTH, (last_BH,) = layer(x_BTE, (start_BH,))
    assert h_BTH.dtype == (torch.bfloat16 if cpu_features().avx512_bf16 or not by_kernel else torch.float32)
    assert last_BH.dtype == torch.float32
    torch.testing.assert_close(h_BTH.float(), exact_BTH, rtol=0, atol=0.05)
    found = gradients(layer, x_BTE, start_BH, h_BTH, last_BH)
    for rough, exact in zip(found, gradients(layer, x_BTE, start_BH, exact_BTH, *exact_last), strict=True):
        assert (rough - exact).norm() < 0.02 * exact.norm()


BATCH, STEPS, SIZE = 3, 7, 5


@pytest.mark.parametrize("steps", [1, STEPS])
def test_ssru_equals_its_equations(steps: int) -> None:
    torch.manual_seed(1)
    layer = SSRULayer(SIZE)
    nn.init.normal_(layer.unit.bias)
    x_BTE, start_BE = torch.randn(BATCH, steps, SIZE, requires_grad=True), torch.randn(BATCH, SIZE, requires_grad=True)
    (update, candidate), (update_bias, candidate_bias) = layer.unit.weight.chunk(2), layer.unit.bias.chunk(2)
    c_BE, outputs = start_BE, []
    for x_BE in x_BTE.unbind(1):
        forget_BE = torch.sigmoid(-(x_BE @ update.T + update_bias))
        c_BE = forget_BE * c_BE + (1 - forget_BE) * (x_BE @ candidate.T + candidate_bias)
        outputs.append(torch.relu(c_BE))
    found_BTE, (last_BE,) = layer(x_BTE, (start_BE,))
    torch.testing.assert_close(found_BTE, torch.stack(outputs, dim=1))
    torch.testing.assert_close(last_BE, c_BE)
    leaves = [x_BTE, start_BE, *layer.parameters()]
    losses = (found_BTE.square().sum() + last_BE.sum(), torch.stack(outputs, dim=1).square().sum() + c_BE.sum())
    found, expected = (torch.autograd.grad(loss, leaves) for loss in losses)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_untrained_ssru_mostly_keeps_its_state() -> None:
    layer = SSRULayer(SIZE)
    nn.init.zeros_(layer.unit.weight)
    _, (last_BE,) = layer(torch.randn(BATCH, 1, SIZE), (torch.ones(BATCH, SIZE),))
    torch.testing.assert_close(last_BE, torch.full((BATCH, SIZE), 1 / (1 + torch.tensor(-1.0).exp().item())))
    assert (layer.zero_state(torch.ones(BATCH, 2, SIZE))[0] == 0).all()


LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 65]


def random_scan(steps: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(steps)
    shapes = (3, steps, 5), (3, steps, 5), (3, 5)
    a_BTH, b_BTH, start_BH = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    return a_BTH, b_BTH, start_BH


@pytest.mark.parametrize("steps", LENGTHS)
def test_values_and_gradients_equal_the_reference(steps: int) -> None:
    leaves = random_scan(steps)
    fast_BTH, plain_BTH = linear_scan(*leaves), reference_scan(*leaves)
    torch.testing.assert_close(fast_BTH, plain_BTH)
    weights_BTH = torch.randn_like(plain_BTH)
    found, expected = (torch.autograd.grad((h_BTH * weights_BTH).sum(), leaves) for h_BTH in (fast_BTH, plain_BTH))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("steps", [1, 5])
def test_gradient_equals_finite_differences(steps: int) -> None:
    assert torch.autograd.gradcheck(linear_scan, random_scan(steps))


def test_reverse_scan_equals_scan_of_reversed_input() -> None:
    a_BTH, b_BTH, _ = random_scan(7)
    backwards_BTH = doubling_scan(a_BTH.flip(1), b_BTH.flip(1)).flip(1)
    torch.testing.assert_close(doubling_scan(a_BTH, b_BTH, reverse=True), backwards_BTH)


def test_factor_zero_forgets_and_factor_one_sums() -> None:
    b_BTH, start_BH = torch.randn(2, 6, 3), torch.randn(2, 3)
    torch.testing.assert_close(linear_scan(torch.zeros_like(b_BTH), b_BTH, start_BH), b_BTH)
    sums_BTH = start_BH.unsqueeze(1) + b_BTH.cumsum(1)
    torch.testing.assert_close(linear_scan(torch.ones_like(b_BTH), b_BTH, start_BH), sums_BTH)
