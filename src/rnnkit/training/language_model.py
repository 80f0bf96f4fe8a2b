"""Language modelling as a task of the loop: one piece of every column, one step of the optimiser.

Backpropagation is truncated (Mikolov et al. 2010): the state at the end of a piece is where the next one starts, and
no gradient goes back across the cut. What is optimised is the mean negative log-likelihood of a token, and of Merity
et al. 2017 (arXiv:1708.02182)

    + alpha mean |m * h_t|^2            large activations, as they are after dropout
    + beta  mean |h_t - h_{t-1}|^2      activations that jump from one step to the next
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnnkit.data.stream import Piece
from rnnkit.models import language_model
from rnnkit.models.language_model import LanguageModel, Reading, State
from rnnkit.nn.device import autocast
from rnnkit.nn.sampled_softmax import Proposal
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.loop import StepReport
from rnnkit.training.optimisation import Optimisation, as_array


@dataclass(frozen=True)
class Settings:
    """What is optimised.

    Attributes:
        activation: Strength alpha of the penalty on activations.
        temporal: Strength beta of the penalty on their changes.
        proposal: What a sampled softmax draws from; None for the whole vocabulary.
        precision: Type of the matrix products of the layers.
        output_precision: Type of those of the output layer, which is large where the layers may be small.
    """

    activation: float
    temporal: float
    proposal: Proposal | None
    precision: torch.dtype
    output_precision: torch.dtype


class LanguageModelTask:
    """Trains a network on pieces of a text.

    Args:
        network: What learns.
        settings: What is optimised.
        optimisation: How weights change.
    """

    def __init__(self, network: LanguageModel, settings: Settings, optimisation: Optimisation) -> None:
        self._network = network
        self._settings = settings
        self._optimisation = optimisation
        self._device = optimisation.device
        self._carried: State | None = None
        network.train()

    def step(self, batch: Piece, rate: float) -> StepReport:
        """One step on one piece, from where the last one ended."""
        input_BT = torch.from_numpy(batch.input_BT).to(self._device)
        target_BT = torch.from_numpy(batch.target_BT).to(self._device)
        columns = len(input_BT)
        state = self._network.start(columns) if batch.first or self._carried is None else self._carried
        with autocast(self._device, self._settings.precision):
            reading = self._network.read(input_BT, state)
            hidden_NE, target_N = language_model.predictions(reading.hidden_BTE, target_BT, batch.padded)
            summed, nll = self._loss(hidden_NE, target_N)
        tokens = len(target_N)
        loss = summed / tokens + penalties(reading, self._settings.activation, self._settings.temporal)
        norm = self._optimisation.step(loss, rate)
        self._carried = language_model.detach(reading.state)
        return StepReport(loss.item() * tokens, nll.item(), tokens, norm)

    def _loss(self, hidden_NE: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        """What is optimised and the negative log-likelihood, which are one but for a sampled softmax."""
        kind = self._settings.output_precision
        if self._settings.proposal is not None:
            return self._network.sampled_loss(hidden_NE, target_N, self._settings.proposal, kind)
        loss = self._network.loss(hidden_NE, target_N, kind)
        return loss, loss.detach()

    def state_dict(self) -> Mapping[str, Arrays]:
        """What `Optimisation` keeps, and the carried state."""
        parts = numbered(self._carried or ())
        return {**self._optimisation.state_dict(), "carried": {name: as_array(part) for name, part in parts}}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made. Raises FormatError where the weights are another network's."""
        self._optimisation.load_state_dict(state)
        layers: dict[int, list[Tensor]] = {}
        for name in sorted(state["carried"], key=_order):
            part = torch.from_numpy(state["carried"][name].copy()).to(self._device)
            layers.setdefault(_order(name)[0], []).append(part)
        self._carried = tuple(tuple(layers[number]) for number in sorted(layers)) or None

    def keep(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights as `best`, or as a snapshot of this step where snapshots are kept."""
        self._optimisation.keep(name, facts)


def penalties(reading: Reading, activation: float, temporal: float) -> Tensor | float:
    """The two terms of this file's head, for the states of the last layer."""
    total: Tensor | float = 0.0
    if activation:
        total = total + activation * reading.hidden_BTE.pow(2).mean()
    if temporal and reading.raw_BTE.shape[1] > 1:
        total = total + temporal * reading.raw_BTE.diff(dim=1).pow(2).mean()
    return total


def numbered(state: State) -> Iterable[tuple[str, Tensor]]:
    """The parts of a state, each with its layer and its place there as a name."""
    for layer, parts in enumerate(state):
        for place, part in enumerate(parts):
            yield f"{layer}.{place}", part


def _order(name: str) -> tuple[int, int]:
    layer, place = name.split(".")
    return int(layer), int(place)
