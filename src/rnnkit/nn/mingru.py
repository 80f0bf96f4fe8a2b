"""The minimal gated unit, whose gates look at the input alone: a layer is one matrix product and a scan.

    z_t  = sigmoid(W_z x_t + b_z)
    h~_t = W_h x_t + b_h
    h_t  = (1 - z_t) * h_{t-1} + z_t * h~_t

Feng et al. 2024 (arXiv:2410.01201, section 3.1). Since neither z_t nor h~_t needs h_{t-1}, the products of all steps
are one, and what is left is a linear recurrence (`scan.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import layer_kernels_apply
from rnnkit.nn import cells, scan
from rnnkit.nn.cells import State
from rnnkit.nn.device import is_fp16_autocast_on_cpu


class MinGRULayer(nn.Module):
    """One layer; stands where a `RecurrentLayer` stands.

    Args:
        input_size: Size of the inputs.
        hidden_size: Size of the states.

    Attributes:
        weight: W_z above W_h (2 H, E).
        bias: b_z and b_h (2 H).
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.arch = "mingru"
        self.hidden_size = hidden_size
        self.weight = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.zeros(2 * hidden_size))
        for block in torch.split(self.weight.data, hidden_size):
            nn.init.xavier_uniform_(block)

    def forward(self, x_BTE: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over whole sequences; on a CPU in float32 where autocast asks for float16.

        Args:
            x_BTE: Inputs.
            state: Where it starts, (h_BH,); zeros unless given.

        Returns:
            The states h of all steps (B, T, H), and the last state, at least in float32.
        """
        if is_fp16_autocast_on_cpu(x_BTE):
            with torch.autocast("cpu", enabled=False):
                start = None if state is None else tuple(part.float() for part in state)
                found: tuple[Tensor, State] = self(x_BTE.float(), start)
            return found
        (start_BH,) = self.zero_state(x_BTE) if state is None else state
        if layer_kernels_apply(x_BTE, self.weight):
            from rnnkit.nn import recurrent_autograd  # brings the compiler along

            h_TBH, last_BH = recurrent_autograd.run_mingru(x_BTE.transpose(0, 1), start_BH, self.weight, self.bias)
            return h_TBH.transpose(0, 1), (last_BH,)
        products_BTG = nn.functional.linear(x_BTE, self.weight, self.bias)
        h_BTH = gated_scan(products_BTG, start_BH)
        return h_BTH.to(products_BTG.dtype), (h_BTH[:, -1],)

    def step(self, x_BE: Tensor, state: State, parent_B: Tensor | None = None) -> State:
        """One step, for decoding; see `RecurrentLayer.step`."""
        before = state if parent_B is None else (state[0][parent_B],)
        return self.step_from_product(nn.functional.linear(x_BE, self.weight, self.bias), before)

    def step_from_product(self, product_BG: Tensor, state: State) -> State:
        """One step from the input's product with its weights (B, 2 H), which may have been looked up."""
        (h_BH,) = state
        gate_BH, candidate_BH = product_BG.to(h_BH.dtype).chunk(2, dim=-1)
        return (torch.lerp(h_BH, candidate_BH, torch.sigmoid(gate_BH)),)

    def zero_state(self, like: Tensor) -> State:
        """A state of zeros for a batch as large as `like`'s first dimension."""
        return (like.new_zeros(like.shape[0], self.hidden_size),)

    def as_cell(self) -> cells.MinGRUCell:
        """The same weights as a cell of `cells.py`: the equations this layer must agree with."""
        cell = cells.MinGRUCell(self.weight.shape[1], self.hidden_size)
        cell.weight, cell.bias = self.weight, self.bias
        return cell


def gated_scan(gates_BTG: Tensor, start_BH: Tensor) -> Tensor:
    """h_t = (1 - z_t) h_{t-1} + z_t h~_t from the products of all steps.

    Args:
        gates_BTG: W_z x + b_z and, behind it, W_h x + b_h.
        start_BH: The state before the first step.

    Returns:
        The states h of all steps (B, T, H), at least in float32.
    """
    kind = torch.promote_types(gates_BTG.dtype, torch.float32)
    gate_BTH, candidate_BTH = gates_BTG.to(kind).chunk(2, dim=-1)
    update_BTH = torch.sigmoid(gate_BTH)
    return scan.linear_scan(1 - update_BTH, update_BTH * candidate_BTH, start_BH.to(kind))


INITIAL_GATE_BIAS = -1.0
"""Where the update gate z starts: before anything is learnt, a state keeps some three quarters of itself."""


class SSRULayer(nn.Module):
    """One layer.

    Args:
        size: Size of what comes in and goes out.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.unit = MinGRULayer(size, size)
        nn.init.constant_(self.unit.bias.data[:size], INITIAL_GATE_BIAS)

    def forward(self, x_BTE: Tensor, state: State) -> tuple[Tensor, State]:
        """Read on from a state. Returns y of all steps (B, T, E), and the state c after the last."""
        c_BTE, last = self.unit(x_BTE, state)
        return torch.relu(c_BTE), last

    def zero_state(self, like: Tensor) -> State:
        """The state before anything was read, for a batch as large as `like`'s first dimension."""
        return self.unit.zero_state(like)
