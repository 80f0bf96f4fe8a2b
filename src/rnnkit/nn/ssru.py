"""The simpler simple recurrent unit, which stands in a decoder where self-attention would.

    f_t = sigmoid(W_f x_t + b_f)
    c_t = f_t * c_{t-1} + (1 - f_t) * (W x_t + b)
    y_t = max(0, c_t)

Kim et al. 2019, "From Research to Production and Back: Ludicrously Fast Neural Machine Translation" (the bias b is
ours). With z = 1 - f it is the minimal gated unit with a ReLU behind it: one product and one scan for a whole
sentence in training, one state in decoding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnkit.nn.cells import State
from rnnkit.nn.mingru import MinGRULayer

OPEN = -1.0
"""Where the update gate z starts: before anything is learnt, a state keeps some three quarters of itself."""


class SSRULayer(nn.Module):
    """One layer.

    Args:
        size: Size of what comes in and goes out.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.unit = MinGRULayer(size, size)
        nn.init.constant_(self.unit.bias.data[:size], OPEN)

    def forward(self, x_BTE: Tensor, state: State) -> tuple[Tensor, State]:
        """Read on from a state. Returns y of all steps (B, T, E), and the state c after the last."""
        c_BTE, last = self.unit(x_BTE, state)
        return torch.relu(c_BTE), last

    def zero_state(self, like: Tensor) -> State:
        """The state before anything was read, for a batch as large as `like`'s first dimension."""
        return self.unit.zero_state(like)
