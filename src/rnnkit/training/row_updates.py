"""Adam for embedding tables of which a batch uses few rows: only those rows are updated.

    v_r <- beta2^k v_r + (1 - beta2) g_r^2                            k steps after the last update of row r
    theta_r <- theta_r - rate g_r / (sqrt(v_r / (1 - beta2^t)) + epsilon)
    average_r <- theta_r + d_(s+1) ... d_t (average_r - theta_r)      EMA, over the steps s + 1 ... t without an update

This is Adam (Kingma and Ba 2015, arXiv:1412.6980) with beta1 = 0, computed for rows with a gradient alone: in a step
without one, a row stays as it is, its second moment decays, and its average approaches it. Momentum would move all rows
in all steps, so that a step would read and write the whole table, its moments and its average; with tables of a million
weights, that is a third of the time of training a tagger.

Which parameters are tables is decided by their gradients: those of `nn.Embedding(sparse=True)` are sparse.

Shapes: V rows of a table, R rows that have a gradient, D dimension.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rnnkit.training.checkpoint import Array, Arrays

BETA2 = 0.999
EPSILON = 1e-8

NORM_EPSILON = 1e-6
"""Added to the norm before the division, as torch does in clipping."""


def sparse_tables(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trained embedding tables with sparse gradients, by name."""
    tables = {
        module.weight
        for module in network.modules()
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse and module.weight.requires_grad
    }
    return {name: parameter for name, parameter in network.named_parameters() if parameter in tables}


@dataclass(frozen=True)
class RowGradient:
    """Gradient of a table in the rows that have one.

    Attributes:
        row_R: The rows, in ascending order.
        values_RD: Their gradients.
    """

    row_R: Tensor
    values_RD: Tensor

    @classmethod
    def of(cls, gradient: Tensor) -> RowGradient:
        """Convert a gradient: a sparse one, or a dense one (V, D), whose rows of zeros are left out."""
        if gradient.is_sparse:
            coalesced = gradient.coalesce()
            return cls(coalesced.indices()[0], coalesced.values())
        row_R = gradient.any(dim=1).nonzero()[:, 0]
        return cls(row_R, gradient[row_R])


@dataclass
class TableState:
    """State of a table.

    Attributes:
        square_VD: Decaying mean of the squared gradient, as of the last update of the row.
        step_V: Step of the last update of each row.
        average_VD: Moving average of the table, as of the last update of the row; None without EMA.
        log_decay_V: Sum of the logarithms of the decays of the average up to then.
    """

    square_VD: Tensor
    step_V: Tensor
    average_VD: Tensor | None
    log_decay_V: Tensor


class RowAdam:
    """Updates the used rows of tables, and their moving averages.

    Args:
        tables: The tables by name.
        averaged: Whether to keep a moving average.
    """

    def __init__(self, tables: Mapping[str, nn.Parameter], averaged: bool) -> None:
        self.tables = dict(tables)
        self._states = {name: _initial_state(table, averaged) for name, table in self.tables.items()}
        self._steps = 0
        self._log_decay = 0.0

    def collect(self) -> dict[str, RowGradient]:
        """Return the gradients of the tables that have one, and remove them from the parameters."""
        found = {name: RowGradient.of(table.grad) for name, table in self.tables.items() if table.grad is not None}
        for table in self.tables.values():
            table.grad = None
        return found

    @torch.no_grad()
    def step(self, gradients: Mapping[str, RowGradient], learning_rate: float, average_decay: float) -> None:
        """Update the rows that have a gradient.

        Args:
            gradients: Gradients by table.
            learning_rate: Learning rate.
            average_decay: Decay of the moving average in this step, from 0 to 1.
        """
        self._steps += 1
        before = self._log_decay
        self._log_decay += math.log(max(average_decay, np.finfo(np.float64).tiny))
        for name, gradient in gradients.items():
            table, state, row_R = self.tables[name], self._states[name], gradient.row_R
            old_RD = table[row_R]
            idle_R1 = (self._steps - state.step_V[row_R]).unsqueeze(1)
            square_RD = state.square_VD[row_R] * torch.pow(BETA2, idle_R1)
            square_RD.addcmul_(gradient.values_RD, gradient.values_RD, value=1 - BETA2)
            state.square_VD[row_R] = square_RD
            divisor_RD = square_RD.div_(1 - BETA2**self._steps).sqrt_().add_(EPSILON)
            new_RD = torch.addcdiv(old_RD, gradient.values_RD, divisor_RD, value=-learning_rate)
            table[row_R] = new_RD
            state.step_V[row_R] = self._steps
            if state.average_VD is not None:
                kept_R1 = (before - state.log_decay_V[row_R]).exp_().to(table.dtype).unsqueeze(1)
                current_RD = torch.lerp(old_RD, state.average_VD[row_R], kept_R1)
                state.average_VD[row_R] = torch.lerp(current_RD, new_RD, 1 - average_decay)
                state.log_decay_V[row_R] = self._log_decay

    @torch.no_grad()
    def averages(self) -> list[Tensor]:
        """Return the moving average of each table as of now."""
        found = []
        for name, table in self.tables.items():
            state = self._states[name]
            assert state.average_VD is not None
            kept_V1 = (self._log_decay - state.log_decay_V).exp_().to(table.dtype).unsqueeze(1)
            found.append(torch.lerp(table.detach(), state.average_VD, kept_V1))
        return found

    def state_dict(self) -> Arrays:
        """Return moments, averages and counters as arrays."""
        found: dict[str, Array] = {
            "steps": np.array([self._steps]), "log_decay": np.array([self._log_decay], np.float64)
        }  # fmt: skip
        for name, state in self._states.items():
            found |= {f"{name}:{key}": value.cpu().numpy() for key, value in vars(state).items() if value is not None}
        return found

    def load_state_dict(self, state: Arrays) -> None:
        """Restore a state from `state_dict`."""
        self._steps, self._log_decay = int(state["steps"][0]), float(state["log_decay"][0])
        for name, own in self._states.items():
            for key, value in vars(own).items():
                if value is not None:
                    value.copy_(torch.from_numpy(state[f"{name}:{key}"].copy()))


def _initial_state(table: nn.Parameter, averaged: bool) -> TableState:
    rows = len(table)
    return TableState(
        square_VD=torch.zeros_like(table, requires_grad=False),
        step_V=torch.zeros(rows, dtype=torch.int64, device=table.device),
        average_VD=table.detach().clone() if averaged else None,
        log_decay_V=torch.zeros(rows, dtype=torch.float64, device=table.device),
    )


def make_dense(tables: Iterable[Tensor]) -> None:
    """Make the gradients of tables dense, so that they can be summed over processes."""
    for table in tables:
        if table.grad is not None and table.grad.is_sparse:
            table.grad = table.grad.to_dense()


def scale_gradients(gradients: Sequence[RowGradient], factor: float | Tensor) -> None:
    """Multiply gradients by a factor, in place."""
    for gradient in gradients:
        gradient.values_RD.mul_(factor)


def clip_norm(gradients: Sequence[RowGradient], limit: float, norm: Tensor) -> None:
    """Scale gradients down in place, given the norm of the whole gradient, as `clip_grads_with_norm_` does."""
    scale_gradients(gradients, torch.clamp(limit / (norm + NORM_EPSILON), max=1.0))


def clip_values(gradients: Sequence[RowGradient], limit: float) -> None:
    """Clip gradients by value, in place."""
    for gradient in gradients:
        gradient.values_RD.clamp_(-limit, limit)
