"""Language modelling as a task of the loop: pieces of columns of text.

Backpropagation is truncated (Mikolov et al. 2010): the state at the end of a piece is where the next one starts, and
no gradient goes back across the cut. What is optimised is the mean negative log-likelihood of a token, and of Merity
et al. 2017 (arXiv:1708.02182)

    + alpha mean |m * h_t|^2            large activations, as they are after dropout
    + beta  mean |h_t - h_{t-1}|^2      activations that jump from one step to the next
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.data.bptt_batching import LanguageModelBatch
from rnnkit.models import language_model
from rnnkit.models.language_model import LanguageModel, Reading, State
from rnnkit.nn.device import autocast
from rnnkit.nn.sampled_softmax import Proposal
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.network_task import Measured, NetworkTask
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


class LanguageModelTask(NetworkTask[LanguageModelBatch]):
    """Trains a network on pieces of a text.

    Args:
        network: What learns.
        settings: What is optimised.
        optimisation: How weights change.
    """

    def __init__(self, network: LanguageModel, settings: Settings, optimisation: Optimisation) -> None:
        super().__init__(network, optimisation)
        self._network = network
        self._settings = settings
        self._carried: dict[int, State] = {}

    def measure(self, batch: LanguageModelBatch, part: int) -> Measured:
        """The loss of one piece, from where the last one of its part ended."""
        input_BT = torch.from_numpy(batch.input_BT).to(self._device)
        target_BT = torch.from_numpy(batch.target_BT).to(self._device)
        carried = None if batch.resets_state else self._carried.get(part)
        state = self._network.start(len(input_BT)) if carried is None else carried
        with autocast(self._device, self._settings.precision):
            reading = self._network.read(input_BT, state)
            hidden_NE, target_N = language_model.predictions(reading.hidden_BTE, target_BT, batch.padded)
            summed, nll = self._loss(hidden_NE, target_N)
        self._carried[part] = language_model.detach(reading.state)
        tokens = len(target_N)
        mean = summed / tokens + penalties(reading, self._settings.activation, self._settings.temporal)
        return Measured(mean, nll, tokens)

    def rehearse(self, batches: Sequence[LanguageModelBatch]) -> None:
        """As other tasks; no text was read either."""
        super().rehearse(batches)
        self._carried.clear()

    def _loss(self, hidden_NE: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        """What is optimised and the negative log-likelihood, which are one but for a sampled softmax."""
        kind = self._settings.output_precision
        if self._settings.proposal is not None:
            return self._network.sampled_loss(hidden_NE, target_N, self._settings.proposal, kind)
        loss = self._network.loss(hidden_NE, target_N, kind)
        return loss, loss.detach()

    def state_dict(self) -> Mapping[str, Arrays]:
        """What `Optimisation` keeps, and the carried states of all processes: in float32, for numpy has no bfloat16."""
        carried = (pair for part in sorted(self._carried) for pair in named(self._carried, part))
        own = {name: as_array(tensor.float()) for name, tensor in carried}
        return {**super().state_dict(), "carried": self._optimisation.group.collect(own)}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made. Raises FormatError where the weights are another network's."""
        super().load_state_dict(state)
        layers: dict[int, dict[int, list[Tensor]]] = {}
        own = self._optimisation.group.own(state["carried"])
        for name in sorted(own, key=_order):
            number, layer, _ = _order(name)
            part = torch.from_numpy(own[name].copy()).to(self._device)
            layers.setdefault(number, {}).setdefault(layer, []).append(part)
        self._carried = {number: tuple(map(tuple, found.values())) for number, found in layers.items()}


def penalties(reading: Reading, activation: float, temporal: float) -> Tensor | float:
    """The two terms of this file's head, for the states of the last layer."""
    total: Tensor | float = 0.0
    if activation:
        total = total + activation * reading.hidden_BTE.pow(2).mean()
    if temporal and reading.raw_BTE.shape[1] > 1:
        total = total + temporal * reading.raw_BTE.diff(dim=1).pow(2).mean()
    return total


def named(carried: Mapping[int, State], number: int) -> Iterable[tuple[str, Tensor]]:
    """The tensors of a part's state, each with its layer and its place there as a name; the first part has no other."""
    for layer, tensors in enumerate(carried[number]):
        for place, tensor in enumerate(tensors):
            yield f"part-{number}.{layer}.{place}" if number else f"{layer}.{place}", tensor


def _order(name: str) -> tuple[int, int, int]:
    *part, layer, place = name.split(".")
    return int(part[0].removeprefix("part-")) if part else 0, int(layer), int(place)
