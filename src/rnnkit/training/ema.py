"""Exponential moving average (EMA) of the weights (after Polyak and Juditsky 1992).

average' = d average + (1 - d) theta        d grows to `decay`: d = min(decay, (1 + t) / (10 + t)) at update t
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from rnnkit.training.checkpoint import Arrays

WARMUP = 10.0
"""After t updates at most (1 + t) / (WARMUP + t) of the average is old, so that it forgets the initial weights."""


class WeightEMA:
    """Exponential moving average of parameters.

    Args:
        parameters: The parameters.
        decay: Share of the average that one update keeps, once the warm-up is over.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self._parameters = parameters
        self._decay = decay
        self._averages = [parameter.detach().clone() for parameter in parameters]
        self._updates = 0

    def update(self) -> None:
        """Update the average with the current parameters."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (WARMUP + self._updates))
        torch._foreach_lerp_(self._averages, [parameter.detach() for parameter in self._parameters], 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the parameters by their average within the block."""
        original = [parameter.detach().clone() for parameter in self._parameters]
        self._assign(self._averages)
        try:
            yield
        finally:
            self._assign(original)

    @torch.no_grad()
    def _assign(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> Arrays:
        """Return the averages by the parameters' index, and the number of updates under `steps`."""
        averages = {str(index): tensor.detach().cpu().numpy() for index, tensor in enumerate(self._averages)}
        return {**averages, "steps": torch.tensor([self._updates]).numpy()}

    def load_state_dict(self, state: Arrays) -> None:
        """Restore a state from `state_dict`."""
        for index, tensor in enumerate(self._averages):
            tensor.copy_(torch.from_numpy(state[str(index)].copy()))
        self._updates = int(state["steps"][0])
