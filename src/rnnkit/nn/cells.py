"""Recurrent cells by their equations: reference implementations of `recurrent_layer.py` and `mingru.py`.

A cell computes the next state from the input of a time step and the previous state. Weights are stored in the order of
torch's fused layers, so that a cell and a layer can share them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""(h_BH,) for RNN, GRU and minGRU, (h_BH, c_BH) for the LSTM."""


class _Gates(nn.Module):
    """Weights of a cell: `gates` blocks of H rows each, for the input and for the hidden state."""

    def __init__(self, input_size: int, hidden_size: int, gates: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_input = nn.Parameter(torch.empty(gates * hidden_size, input_size))
        self.weight_hidden = nn.Parameter(torch.empty(gates * hidden_size, hidden_size))
        self.bias_input = nn.Parameter(torch.empty(gates * hidden_size))
        self.bias_hidden = nn.Parameter(torch.empty(gates * hidden_size))
        bound = 1 / math.sqrt(hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def input_products(self, x_BE: Tensor) -> tuple[Tensor, ...]:
        """Compute W x + b for each gate, each (B, H)."""
        return torch.split(nn.functional.linear(x_BE, self.weight_input, self.bias_input), self.hidden_size, dim=-1)

    def hidden_products(self, h_BH: Tensor) -> tuple[Tensor, ...]:
        """Compute U h + b for each gate, each (B, H)."""
        return torch.split(nn.functional.linear(h_BH, self.weight_hidden, self.bias_hidden), self.hidden_size, dim=-1)


class RNNCell(_Gates):
    """Vanilla recurrent unit (Elman 1990): h' = tanh(W x + b + U h + b')."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, gates=1)

    def forward(self, x_BE: Tensor, state: State) -> State:
        """Compute one time step from the input and the previous state (h_BH,); return the next state."""
        (h_BH,) = state
        (input_BH,) = self.input_products(x_BE)
        (hidden_BH,) = self.hidden_products(h_BH)
        return (torch.tanh(input_BH + hidden_BH),)


class GRUCell(_Gates):
    """Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078).

    The reset gate applies after the product, as in cuDNN and torch: candidate = tanh(W x + r * (U h + b')).
    With `reset_inside` it applies before, as in the paper: candidate = tanh(W x + U (r * h) + b').
    """

    def __init__(self, input_size: int, hidden_size: int, reset_inside: bool = False) -> None:
        super().__init__(input_size, hidden_size, gates=3)
        self.reset_inside = reset_inside

    def forward(self, x_BE: Tensor, state: State) -> State:
        """Compute one time step from the input and the previous state (h_BH,); return the next state."""
        (h_BH,) = state
        input_reset_BH, input_update_BH, input_candidate_BH = self.input_products(x_BE)
        hidden_reset_BH, hidden_update_BH, hidden_candidate_BH = self.hidden_products(h_BH)
        reset_BH = torch.sigmoid(input_reset_BH + hidden_reset_BH)
        update_BH = torch.sigmoid(input_update_BH + hidden_update_BH)
        if self.reset_inside:
            _, _, inner_BH = self.hidden_products(reset_BH * h_BH)
            candidate_BH = torch.tanh(input_candidate_BH + inner_BH)
        else:
            candidate_BH = torch.tanh(input_candidate_BH + reset_BH * hidden_candidate_BH)
        return (update_BH * h_BH + (1 - update_BH) * candidate_BH,)


class LSTMCell(_Gates):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, gates=4)

    def forward(self, x_BE: Tensor, state: State) -> State:
        """Compute one time step from the input and the previous state (h_BH, c_BH); return the next state."""
        h_BH, c_BH = state
        input_i_BH, input_f_BH, input_g_BH, input_o_BH = self.input_products(x_BE)
        hidden_i_BH, hidden_f_BH, hidden_g_BH, hidden_o_BH = self.hidden_products(h_BH)
        input_gate_BH = torch.sigmoid(input_i_BH + hidden_i_BH)
        forget_gate_BH = torch.sigmoid(input_f_BH + hidden_f_BH)
        candidate_BH = torch.tanh(input_g_BH + hidden_g_BH)
        output_gate_BH = torch.sigmoid(input_o_BH + hidden_o_BH)
        next_c_BH = forget_gate_BH * c_BH + input_gate_BH * candidate_BH
        return output_gate_BH * torch.tanh(next_c_BH), next_c_BH


class MinGRUCell(nn.Module):
    """Minimal gated recurrent unit (Feng et al. 2024, arXiv:2410.01201): gate and candidate depend on the input alone.

        z = sigmoid(W_z x + b_z)    h~ = W_h x + b_h    h' = (1 - z) * h + z * h~

    Attributes:
        weight: W_z above W_h (2 H, E).
        bias: b_z and b_h (2 H).
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.zeros(2 * hidden_size))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x_BE: Tensor, state: State) -> State:
        """Compute one time step from the input and the previous state (h_BH,); return the next state."""
        (h_BH,) = state
        gate_BH, candidate_BH = nn.functional.linear(x_BE, self.weight, self.bias).chunk(2, dim=-1)
        update_BH = torch.sigmoid(gate_BH)
        return ((1 - update_BH) * h_BH + update_BH * candidate_BH,)


def unroll(cell: nn.Module, x_BTE: Tensor, state: State) -> tuple[Tensor, State]:
    """Run a cell over sequences, step by step.

    Args:
        cell: One of the cells above.
        x_BTE: Input.
        state: Initial state.

    Returns:
        Hidden states h of all steps (B, T, H), and the last state.
    """
    outputs = []
    for x_BE in x_BTE.unbind(1):
        state = cell(x_BE, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1), state
