"""Minimal gated recurrent units without hidden-to-gate connections, minGRU and SSRU, and the parallel scan they run on.

    minGRU    z_t = sigmoid(W_z x_t + b_z)                  Feng et al. 2024 (arXiv:2410.01201, section 3.1)
              c_t = W_h x_t + b_h
              h_t = (1 - z_t) * h_{t-1} + z_t * c_t

    SSRU      f_t = sigmoid(W_f x_t + b_f)                  Kim et al. 2019, "From Research to Production and Back:
              h_t = f_t * h_{t-1} + (1 - f_t) * (W x_t + b)     Ludicrously Fast Neural Machine Translation"
              y_t = max(0, h_t)

Gates and candidates depend on the input alone, so that the products of all steps are one matrix product, and what is
left is a linear recurrence. With z = 1 - f, the SSRU is a minGRU followed by a ReLU; it replaces self-attention in a
decoder. Its bias b is not in the paper.

The scan computes linear recurrences, h_t = a_t * h_{t-1} + b_t elementwise. Two consecutive steps (a, b) and (a', b')
compose to one, (a' a, a' b + b'). The doubling scan (Hillis and Steele 1986) composes steps at distance 1, 2, 4, ...:
log2(T) passes over whole tensors, on any device and for any type. The gradient is the same recurrence run backwards:

    g_t = dL/dh_t + a_{t+1} * g_{t+1}      dL/db_t = g_t      dL/da_t = g_t * h_{t-1}      dL/dh_0 = a_1 * g_1
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rnnkit.kernels.dispatch import layer_kernels_apply
from rnnkit.nn import cells
from rnnkit.nn.cells import State
from rnnkit.nn.device import is_fp16_autocast_on_cpu

INITIAL_GATE_BIAS = -1.0
"""Initial bias of the SSRU's update gate z: an untrained state keeps about three quarters of itself at each step."""


def reference_scan(a_BTH: Tensor, b_BTH: Tensor, start_BH: Tensor) -> Tensor:
    """Compute the recurrence step by step; return all h (B, T, H)."""
    h_BH = start_BH
    states = []
    for a_BH, b_BH in zip(a_BTH.unbind(1), b_BTH.unbind(1), strict=True):
        h_BH = a_BH * h_BH + b_BH
        states.append(h_BH)
    return torch.stack(states, dim=1)


def linear_scan(a_BTH: Tensor, b_BTH: Tensor, start_BH: Tensor) -> Tensor:
    """Compute the recurrence in log2(T) passes, and its gradient in as many.

    Args:
        a_BTH: Factors of the state.
        b_BTH: Terms added to it.
        start_BH: Initial state.

    Returns:
        States h of all steps (B, T, H).
    """
    h_BTH: Tensor = _LinearScan.apply(a_BTH, b_BTH, start_BH)  # type: ignore[no-untyped-call]
    return h_BTH


def doubling_scan(a_BTH: Tensor, b_BTH: Tensor, reverse: bool = False) -> Tensor:
    """Compute the recurrence from a state of zeros by doubling, without a gradient.

    Args:
        a_BTH: Factors of the state; that of the first step is not used.
        b_BTH: Terms added to it.
        reverse: Run from the last step to the first: h_t = a_t * h_{t+1} + b_t.
    """
    steps = b_BTH.shape[1]
    distance = 1
    while distance < steps:
        tail, head = slice(distance, None), slice(None, -distance)
        later, earlier = (head, tail) if reverse else (tail, head)
        composed_b_BTH = torch.addcmul(b_BTH[:, later], a_BTH[:, later], b_BTH[:, earlier])
        composed_a_BTH = a_BTH[:, later] * a_BTH[:, earlier]
        done = slice(-distance, None) if reverse else slice(None, distance)
        pairs = [(b_BTH[:, done], composed_b_BTH), (a_BTH[:, done], composed_a_BTH)]
        b_BTH, a_BTH = (torch.cat(pair[::-1] if reverse else pair, dim=1) for pair in pairs)
        distance *= 2
    return b_BTH


class _LinearScan(torch.autograd.Function):
    """The recurrence by doubling, and its gradient by doubling in reverse."""

    @staticmethod
    def forward(context: Any, a_BTH: Tensor, b_BTH: Tensor, start_BH: Tensor) -> Tensor:
        first_B1H = torch.addcmul(b_BTH[:, :1], a_BTH[:, :1], start_BH.unsqueeze(1))
        h_BTH = doubling_scan(a_BTH, torch.cat([first_B1H, b_BTH[:, 1:]], dim=1))
        context.save_for_backward(a_BTH, h_BTH, start_BH)
        return h_BTH

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad_BTH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a_BTH, h_BTH, start_BH = context.saved_tensors
        next_a_BTH = torch.cat([a_BTH[:, 1:], a_BTH[:, :1]], dim=1)
        grad_b_BTH = doubling_scan(next_a_BTH, grad_BTH, reverse=True)
        previous_BTH = torch.cat([start_BH.unsqueeze(1), h_BTH[:, :-1]], dim=1)
        return grad_b_BTH * previous_BTH, grad_b_BTH, a_BTH[:, 0] * grad_b_BTH[:, 0]


class MinGRULayer(nn.Module):
    """One minGRU layer, with the interface of `RecurrentLayer`.

    Args:
        input_size: Size E of the input.
        hidden_size: Size H of the hidden state.

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
        """Run over whole sequences; on a CPU in float32 even under autocast to float16.

        Args:
            x_BTE: Input.
            state: Initial state, (h_BH,); zeros by default.

        Returns:
            Hidden states of all steps (B, T, H), and the last state, at least in float32.
        """
        if is_fp16_autocast_on_cpu(x_BTE):
            with torch.autocast("cpu", enabled=False):
                start = None if state is None else tuple(part.float() for part in state)
                result: tuple[Tensor, State] = self(x_BTE.float(), start)
            return result
        (start_BH,) = self.zero_state(x_BTE) if state is None else state
        if layer_kernels_apply(x_BTE, self.weight):
            from rnnkit.nn import recurrent_autograd  # imports Numba

            h_TBH, last_BH = recurrent_autograd.run_mingru(x_BTE.transpose(0, 1), start_BH, self.weight, self.bias)
            return h_TBH.transpose(0, 1), (last_BH,)
        products_BTG = nn.functional.linear(x_BTE, self.weight, self.bias)
        h_BTH = gated_scan(products_BTG, start_BH)
        return h_BTH.to(products_BTG.dtype), (h_BTH[:, -1],)

    def step(self, x_BE: Tensor, state: State, parent_B: Tensor | None = None) -> State:
        """Compute one time step, for decoding; see `RecurrentLayer.step`."""
        previous = state if parent_B is None else (state[0][parent_B],)
        return self.step_from_product(nn.functional.linear(x_BE, self.weight, self.bias), previous)

    def step_from_product(self, product_BG: Tensor, state: State) -> State:
        """Compute one time step from the input's product with its weights (B, 2 H), such as a row of a table."""
        (h_BH,) = state
        gate_BH, candidate_BH = product_BG.to(h_BH.dtype).chunk(2, dim=-1)
        return (torch.lerp(h_BH, candidate_BH, torch.sigmoid(gate_BH)),)

    def zero_state(self, like: Tensor) -> State:
        """Return a state of zeros for the batch size of `like`, its first dimension."""
        return (like.new_zeros(like.shape[0], self.hidden_size),)

    def as_cell(self) -> cells.MinGRUCell:
        """Return the reference cell of `cells.py` with the same weights."""
        cell = cells.MinGRUCell(self.weight.shape[1], self.hidden_size)
        cell.weight, cell.bias = self.weight, self.bias
        return cell


def gated_scan(gates_BTG: Tensor, start_BH: Tensor) -> Tensor:
    """Compute the minGRU recurrence from the products of all steps.

    Args:
        gates_BTG: W_z x + b_z, followed by W_h x + b_h.
        start_BH: Initial state.

    Returns:
        Hidden states of all steps (B, T, H), at least in float32.
    """
    dtype = torch.promote_types(gates_BTG.dtype, torch.float32)
    gate_BTH, candidate_BTH = gates_BTG.to(dtype).chunk(2, dim=-1)
    update_BTH = torch.sigmoid(gate_BTH)
    return linear_scan(1 - update_BTH, update_BTH * candidate_BTH, start_BH.to(dtype))


class SSRULayer(nn.Module):
    """One SSRU layer (simpler simple recurrent unit).

    Args:
        size: Size E of input, hidden state and output.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.unit = MinGRULayer(size, size)
        nn.init.constant_(self.unit.bias.data[:size], INITIAL_GATE_BIAS)

    def forward(self, x_BTE: Tensor, state: State) -> tuple[Tensor, State]:
        """Run from a state; return the outputs y of all steps (B, T, E) and the last state."""
        h_BTE, last = self.unit(x_BTE, state)
        return torch.relu(h_BTE), last

    def zero_state(self, like: Tensor) -> State:
        """Return a state of zeros for the batch size of `like`, its first dimension."""
        return self.unit.zero_state(like)
