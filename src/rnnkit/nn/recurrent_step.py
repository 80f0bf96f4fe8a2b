"""A step of a recurrent layer, its products being there: by a compiled kernel where no gradient is wanted."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnkit.nn.cells import State
from rnnkit.nn.device import kernels_serve
from rnnkit.nn.kinds import Arch


def advance(
    arch: Arch,
    table_VG: Tensor,
    token_N: Tensor | None,
    sums_MG: Tensor,
    state: State,
    parent_N: Tensor | None = None,
) -> State:
    """The next state of every row.

    Args:
        arch: `rnn`, `gru` (its reset gate behind the product) or `lstm`.
        table_VG: W x + b of every input there may be, gates in torch's order.
        token_N: Which of them each row has; None where the table has a line for each row.
        sums_MG: U h + b of every state.
        state: The states, (h_MH,) or (h_MH, c_MH).
        parent_N: Which of them each row goes on from; None where each goes on from its own.
    """
    if kernels_serve(table_VG, sums_MG, *state):
        return _by_kernel(arch, table_VG, token_N, sums_MG, state, parent_N)
    if parent_N is not None:
        sums_MG, state = sums_MG[parent_N], tuple(part[parent_N] for part in state)
    return reference_advance(arch, table_VG if token_N is None else table_VG[token_N], sums_MG, state)


def reference_advance(arch: Arch, product_NG: Tensor, sums_NG: Tensor, state: State) -> State:
    """The same as its equations, those of `cells.py`."""
    if arch == "rnn":
        return (torch.tanh(product_NG + sums_NG),)
    if arch == "lstm":
        i_NH, f_NH, g_NH, o_NH = (product_NG + sums_NG).chunk(4, dim=-1)
        c_NH = torch.sigmoid(f_NH) * state[1] + torch.sigmoid(i_NH) * torch.tanh(g_NH)
        return torch.sigmoid(o_NH) * torch.tanh(c_NH), c_NH
    size = state[0].shape[1]
    reset_NH, update_NH = torch.sigmoid(product_NG[:, : 2 * size] + sums_NG[:, : 2 * size]).chunk(2, dim=-1)
    candidate_NH = torch.tanh(product_NG[:, 2 * size :] + reset_NH * sums_NG[:, 2 * size :])
    return (candidate_NH + update_NH * (state[0] - candidate_NH),)


def _by_kernel(
    arch: Arch, table_VG: Tensor, token_N: Tensor | None, sums_MG: Tensor, state: State, parent_N: Tensor | None
) -> State:
    from rnnkit.kernels import step, team

    size = state[0].shape[1]
    rows = len(state[0]) if parent_N is None else len(parent_N)
    token_N, parent_N = (torch.arange(rows) if index_N is None else index_N for index_N in (token_N, parent_N))
    after_NH = state[0].new_empty(rows, size)
    cells_NH = torch.empty_like(after_NH) if arch == "lstm" else after_NH
    tensors = [part.contiguous() for part in (table_VG, token_N, parent_N, sums_MG, state[-1], after_NH, cells_NH)]
    team.run(step.STEPS[arch], [rows, size, *tensors], min(rows, 4 * torch.get_num_threads()))
    return (after_NH, cells_NH) if arch == "lstm" else (after_NH,)
