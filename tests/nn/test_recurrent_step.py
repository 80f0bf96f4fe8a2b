"""One recurrent step: the kernel, the reference and the cells."""

from __future__ import annotations

import pytest
import torch

from rnnkit.nn.cells import State
from rnnkit.nn.kinds import Arch
from rnnkit.nn.recurrent_layer import RecurrentLayer, recurrent_step, reference_recurrent_step

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
