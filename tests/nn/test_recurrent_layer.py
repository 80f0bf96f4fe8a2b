"""Fused layers against the equations of the cells: values and gradients, with padding, in awkward sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnkit.kernels import dispatch
from rnnkit.nn import kinds, recurrent_layer
from rnnkit.nn.cells import GRUCell, LSTMCell, RNNCell, State, unroll
from rnnkit.nn.kinds import Arch
from rnnkit.nn.recurrent_layer import (
    RecurrentLayer,
    gather_steps,
    recurrent_step,
    reference_recurrent_step,
    reverse_index,
)

BATCH, STEPS, INPUT, HIDDEN = 3, 7, 5, 4
VARIANTS = [("rnn", False), ("gru", False), ("gru", True), ("lstm", False)]


def layer_and_input(arch: Any, reset_inside: bool) -> tuple[RecurrentLayer, Tensor]:
    torch.manual_seed(3)
    layer = RecurrentLayer(arch, INPUT, HIDDEN, reset_inside)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer, torch.randn(BATCH, STEPS, INPUT, requires_grad=True)


def random_state(layer: RecurrentLayer) -> tuple[Tensor, ...]:
    return tuple(torch.randn(BATCH, HIDDEN, requires_grad=True) for _ in range(2 if layer.arch == "lstm" else 1))


@pytest.mark.parametrize(("arch", "reset_inside"), VARIANTS)
def test_fused_layer_and_gradients_equal_the_cell(arch: Any, reset_inside: bool) -> None:
    layer, x_BTE = layer_and_input(arch, reset_inside)
    state = random_state(layer)
    leaves = [x_BTE, *state, *layer.parameters()]
    weights_BTH = torch.randn(BATCH, STEPS, HIDDEN)

    fused_BTH, fused_last = layer(x_BTE, state)
    loss = (fused_BTH * weights_BTH).sum() + sum(part.square().sum() for part in fused_last)
    fused_grads = torch.autograd.grad(loss, leaves)
    plain_BTH, plain_last = unroll(layer.as_cell(), x_BTE, state)
    loss = (plain_BTH * weights_BTH).sum() + sum(part.square().sum() for part in plain_last)
    plain_grads = torch.autograd.grad(loss, leaves)

    torch.testing.assert_close(fused_BTH, plain_BTH)
    torch.testing.assert_close(fused_last, plain_last)
    torch.testing.assert_close(fused_grads, plain_grads)


@pytest.mark.parametrize(("arch", "reset_inside"), VARIANTS)
def test_single_steps_equal_the_whole_sequence(arch: Any, reset_inside: bool) -> None:
    layer, x_BTE = layer_and_input(arch, reset_inside)
    whole_BTH, last = layer(x_BTE)
    state = layer.zero_state(x_BTE)
    for step in range(STEPS):
        state = layer.step(x_BTE[:, step], state)
        torch.testing.assert_close(state[0], whole_BTH[:, step])
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize(
    ("cell", "fused"),
    [
        (RNNCell(INPUT, HIDDEN), nn.RNNCell(INPUT, HIDDEN)),
        (GRUCell(INPUT, HIDDEN), nn.GRUCell(INPUT, HIDDEN)),
        (LSTMCell(INPUT, HIDDEN), nn.LSTMCell(INPUT, HIDDEN)),
    ],
)
def test_cells_equal_torch(cell: Any, fused: Any) -> None:
    fused.load_state_dict(
        {
            "weight_ih": cell.weight_input,
            "weight_hh": cell.weight_hidden,
            "bias_ih": cell.bias_input,
            "bias_hh": cell.bias_hidden,
        }
    )
    x_BE, h_BH, c_BH = torch.randn(BATCH, INPUT), torch.randn(BATCH, HIDDEN), torch.randn(BATCH, HIDDEN)
    state = (h_BH, c_BH) if isinstance(cell, LSTMCell) else (h_BH,)
    expected = fused(x_BE, state if len(state) == 2 else h_BH)
    torch.testing.assert_close(cell(x_BE, state), expected if isinstance(expected, tuple) else (expected,))


def test_gru_with_reset_inside_equals_the_paper() -> None:
    """h~ = tanh(x W + (r * h) U + b), with the gates of Cho et al."""
    torch.manual_seed(5)
    cell = GRUCell(INPUT, HIDDEN, reset_inside=True)
    x_BE, h_BH = torch.randn(BATCH, INPUT), torch.randn(BATCH, HIDDEN)
    w_reset, w_update, w_candidate = cell.weight_input.chunk(3)
    u_reset, u_update, u_candidate = cell.weight_hidden.chunk(3)
    b_reset, b_update, b_candidate = (cell.bias_input + cell.bias_hidden).chunk(3)
    reset = torch.sigmoid(x_BE @ w_reset.T + h_BH @ u_reset.T + b_reset)
    update = torch.sigmoid(x_BE @ w_update.T + h_BH @ u_update.T + b_update)
    candidate = torch.tanh(x_BE @ w_candidate.T + (reset * h_BH) @ u_candidate.T + b_candidate)
    (found,) = cell(x_BE, (h_BH,))
    torch.testing.assert_close(found, update * h_BH + (1 - update) * candidate)


def test_reverse_index_keeps_padding_in_place() -> None:
    x_BSD = torch.arange(BATCH * 4).view(BATCH, 4, 1)
    index_BS = reverse_index(torch.tensor([4, 1, 3]), 4)
    assert gather_steps(x_BSD, index_BS).squeeze(-1).tolist() == [[3, 2, 1, 0], [4, 5, 6, 7], [10, 9, 8, 11]]


@pytest.mark.parametrize(("arch", "reset_inside"), VARIANTS)
@pytest.mark.parametrize("by_kernels", [True, False])
def test_hidden_weight_argument_replaces_the_own_matrix(
    arch: Any, reset_inside: bool, by_kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrent_layer, "layer_kernels_apply", lambda x, weight: by_kernels)
    layer, x_BTE = layer_and_input(arch, reset_inside)
    state = random_state(layer)
    own = layer.hidden_weights[0]
    other = torch.randn_like(own, requires_grad=True)
    h_BTH, last = layer(x_BTE, state, hidden_weight=other)
    found = torch.autograd.grad(h_BTH.square().sum() + last[-1].sum(), [other, x_BTE, *state])
    with torch.no_grad():
        own.copy_(other)
    plain_BTH, plain_last = unroll(layer.as_cell(), x_BTE, state)
    expected = torch.autograd.grad(plain_BTH.square().sum() + plain_last[-1].sum(), [own, x_BTE, *state])
    torch.testing.assert_close(h_BTH, plain_BTH)
    torch.testing.assert_close(last, plain_last)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", kinds.ARCHS)
def test_float64_runs_on_torch(arch: Any) -> None:
    layer, x_BTE = layer_and_input(arch, False)
    layer.double()
    x_BTE = x_BTE.detach().double().requires_grad_()
    assert not dispatch.layer_kernels_apply(x_BTE, layer.hidden_weights[0])
    h_BTH, plain_BTH = layer(x_BTE)[0], unroll(layer.as_cell(), x_BTE, layer.zero_state(x_BTE))[0]
    torch.testing.assert_close(h_BTH, plain_BTH)
    found, expected = (torch.autograd.grad(part.square().sum(), x_BTE) for part in (h_BTH, plain_BTH))
    torch.testing.assert_close(found, expected)


def test_dispatch_checks_device_dtype_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "cpu_runs_layer_kernels", lambda: True)
    x_BTE, weight = torch.randn(4, 4, INPUT), torch.randn(8, 8)
    assert dispatch.layer_kernels_apply(x_BTE, weight)
    assert not dispatch.layer_kernels_apply(x_BTE[:3, :5], weight)
    assert not dispatch.layer_kernels_apply(x_BTE.double(), weight)
    assert not dispatch.layer_kernels_apply(x_BTE, weight.bfloat16())
    assert not dispatch.layer_kernels_apply(x_BTE.to("meta"), weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert dispatch.layer_kernels_apply(x_BTE, weight)
    with torch.autocast("cpu", dtype=torch.float16):
        assert not dispatch.layer_kernels_apply(x_BTE, weight)
    monkeypatch.setattr(dispatch, "cpu_runs_layer_kernels", lambda: False)
    assert not dispatch.layer_kernels_apply(x_BTE, weight)


def test_flattened_weights_pass_gradients() -> None:
    weights = [torch.randn(4, 3, requires_grad=True), torch.randn(4, 2, requires_grad=True), torch.randn(4)]
    pieces = recurrent_layer._flatten_weights(weights)
    for piece, weight in zip(pieces, weights, strict=True):
        assert torch.equal(piece, weight)
    ends = [piece.data_ptr() + 4 * piece.numel() for piece in pieces]
    assert ends[:-1] == [piece.data_ptr() for piece in pieces[1:]]
    total = torch.cat([piece.flatten() for piece in pieces]).square().sum()
    grads = torch.autograd.grad(total, weights[:2])
    torch.testing.assert_close(grads, tuple(2 * weight for weight in weights[:2]))


def test_lstm_forget_bias_starts_at_one() -> None:
    bias = RecurrentLayer("lstm", INPUT, HIDDEN).input_weights[1]
    assert bias.tolist() == [0.0] * HIDDEN + [1.0] * HIDDEN + [0.0] * 2 * HIDDEN


ARCHS: list[Arch] = ["rnn", "gru", "lstm"]


def assert_same(found: State, wanted: State) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(("rows", "size"), [(1, 1), (3, 7), (5, 16), (7, 37)])
def test_step_equals_the_cell(arch: Arch, rows: int, size: int) -> None:
    torch.manual_seed(rows)
    layer = RecurrentLayer(arch, 5, size)
    for bias in (layer.input_weights[1], layer.hidden_weights[1]):
        torch.nn.init.normal_(bias)
    x_VE, token_N = torch.randn(11, 5), torch.randint(0, 11, (rows,))
    state = tuple(torch.randn(rows, size) for _ in layer.zero_state(torch.zeros(rows, 1)))
    with torch.no_grad():
        table_VG = torch.nn.functional.linear(x_VE, *layer.input_weights)
        sums_NG = torch.nn.functional.linear(state[0], *layer.hidden_weights)
        found = recurrent_step(arch, table_VG, token_N, sums_NG, state)
        assert_same(found, layer.as_cell()(x_VE[token_N], state))
        assert_same(found, reference_recurrent_step(arch, table_VG[token_N], sums_NG, state))


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("double", [False, True])
def test_rows_may_share_a_parent_state(arch: Arch, double: bool) -> None:
    torch.manual_seed(3)
    layer, parent_N, token_N = RecurrentLayer(arch, 5, 19), torch.tensor([2, 0, 2, 2, 1]), torch.tensor([4, 0, 1, 4, 2])
    x_VE, state = torch.randn(6, 5), tuple(torch.randn(3, 19) for _ in range(2 if arch == "lstm" else 1))
    if double:
        layer, x_VE, state = layer.double(), x_VE.double(), tuple(part.double() for part in state)
    own = tuple(part[parent_N] for part in state)
    with torch.no_grad():
        table_VG = torch.nn.functional.linear(x_VE, *layer.input_weights)
        wanted = layer.as_cell()(x_VE[token_N], own)
        assert_same(layer.step_from_table(table_VG, token_N, state, parent_N), wanted)
        assert_same(layer.step(x_VE[token_N], state, parent_N), wanted)


@pytest.mark.parametrize("arch", ARCHS)
def test_other_dtypes_use_the_reference(arch: Arch) -> None:
    torch.manual_seed(1)
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[arch]
    table_VG, sums_NG = torch.randn(4, gates * 3).double(), torch.randn(2, gates * 3).double()
    state = tuple(torch.randn(2, 3).double() for _ in range(2 if arch == "lstm" else 1))
    found = recurrent_step(arch, table_VG, torch.tensor([3, 0]), sums_NG, state)
    assert found[0].dtype == torch.float64
    assert_same(found, reference_recurrent_step(arch, table_VG[[3, 0]], sums_NG, state))
