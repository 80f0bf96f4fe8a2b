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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnkit.data import batch_sampler
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.data.bptt_batching import LanguageModelBatch
from rnnkit.models import language_model, masked_lm
from rnnkit.models.language_model import LanguageModel, LMOutput, LMState
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.nn.device import autocast
from rnnkit.nn.sampled_softmax import Proposal
from rnnkit.training import training_step
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.optimizer import NetworkOptimizer, to_numpy
from rnnkit.training.signals import StopRequest
from rnnkit.training.training_step import BatchLoss, NetworkTask


@dataclass(frozen=True)
class LanguageModelObjective:
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
        optimizer: How weights change.
    """

    def __init__(self, network: LanguageModel, settings: LanguageModelObjective, optimizer: NetworkOptimizer) -> None:
        super().__init__(network, optimizer)
        self._network = network
        self._settings = settings
        self._carried: dict[int, LMState] = {}

    def compute_loss(self, batch: LanguageModelBatch, part: int) -> BatchLoss:
        """The loss of one piece, from where the last one of its part ended."""
        input_BT = torch.from_numpy(batch.input_BT).to(self._device)
        target_BT = torch.from_numpy(batch.target_BT).to(self._device)
        carried = None if batch.resets_state else self._carried.get(part)
        state = self._network.initial_state(len(input_BT)) if carried is None else carried
        with autocast(self._device, self._settings.precision):
            reading = self._network.hidden_states(input_BT, state)
            hidden_NE, target_N = language_model.select_predictions(reading.hidden_BTE, target_BT, batch.padded)
            summed, nll = self._loss(hidden_NE, target_N)
        self._carried[part] = language_model.detach_state(reading.state)
        tokens = len(target_N)
        mean = summed / tokens + activation_penalties(reading, self._settings.activation, self._settings.temporal)
        return BatchLoss(mean, nll, tokens)

    def dry_run(self, batches: Sequence[LanguageModelBatch]) -> None:
        """As other tasks; no text was read either."""
        super().dry_run(batches)
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
        carried = (pair for part in sorted(self._carried) for pair in named_state(self._carried, part))
        own = {name: to_numpy(tensor.float()) for name, tensor in carried}
        return {**super().state_dict(), "carried": self._optimizer.group.gather_arrays(own)}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made. Raises FormatError where the weights are another network's."""
        super().load_state_dict(state)
        layers: dict[int, dict[int, list[Tensor]]] = {}
        own = self._optimizer.group.local_arrays(state["carried"])
        for name in sorted(own, key=_parse_state_name):
            number, layer, _ = _parse_state_name(name)
            part = torch.from_numpy(own[name].copy()).to(self._device)
            layers.setdefault(number, {}).setdefault(layer, []).append(part)
        self._carried = {number: tuple(map(tuple, found.values())) for number, found in layers.items()}


def activation_penalties(reading: LMOutput, activation: float, temporal: float) -> Tensor | float:
    """The two terms of this file's head, for the states of the last layer."""
    total: Tensor | float = 0.0
    if activation:
        total = total + activation * reading.hidden_BTE.pow(2).mean()
    if temporal and reading.raw_BTE.shape[1] > 1:
        total = total + temporal * reading.raw_BTE.diff(dim=1).pow(2).mean()
    return total


def named_state(carried: Mapping[int, LMState], number: int) -> Iterable[tuple[str, Tensor]]:
    """The tensors of a part's state, each with its layer and its place there as a name; the first part has no other."""
    for layer, tensors in enumerate(carried[number]):
        for place, tensor in enumerate(tensors):
            yield f"part-{number}.{layer}.{place}" if number else f"{layer}.{place}", tensor


def _parse_state_name(name: str) -> tuple[int, int, int]:
    *part, layer, place = name.split(".")
    return int(part[0].removeprefix("part-")) if part else 0, int(layer), int(place)


@dataclass(frozen=True)
class MaskedLMObjective:
    """What is optimised.

    Attributes:
        precision: Type of the matrix products.
        output_precision: Type of the output layer's products; as `precision` unless given.
    """

    precision: torch.dtype
    output_precision: torch.dtype | None = None


class MaskedLMTask(NetworkTask[NDArray[np.int64]]):
    """Trains a network on lines.

    Args:
        network: What learns.
        lines: The training part.
        settings: What is optimised.
        optimizer: How weights change.
    """

    def __init__(
        self, network: MaskedLM, lines: SentenceDataset, settings: MaskedLMObjective, optimizer: NetworkOptimizer
    ) -> None:
        super().__init__(network, optimizer)
        self._network = network
        self._lines = lines
        self._settings = settings

    def compute_loss(self, batch: NDArray[np.int64], part: int) -> BatchLoss:
        """The loss of the lines of these numbers. Tokens are those predicted: the end symbols are not."""
        ids_BT, lengths_B = gather_lines(self._lines, batch, self._device)
        tokens = int(lengths_B.sum()) - len(lengths_B)
        with autocast(self._device, self._settings.precision):
            loss = self._network.loss(ids_BT, lengths_B, self._settings.output_precision)
        return BatchLoss(loss / max(1, tokens), loss.detach(), tokens)


def gather_lines(lines: SentenceDataset, batch: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
    """The lines of these numbers: ids (B, T) with EOS, padded on the right, and lengths (B,)."""
    ids_BT, lengths_B = batch_sampler.pad_sequences([lines[int(index)] for index in batch])
    return torch.from_numpy(ids_BT).to(device), torch.from_numpy(lengths_B).to(device)


def mean_masked_nll(network: MaskedLM, lines: SentenceDataset, stop: StopRequest) -> float | None:
    """Negative log-likelihood of a token given both its sides, in nats, over a whole split in float32.

    Returns:
        The mean, or None when a stop was asked for on the way.
    """

    def measure(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        ids_BT, lengths_B = gather_lines(lines, batch, device)
        real_BT = masked_lm.prediction_mask(ids_BT, lengths_B)
        nll_N = network.nll(network.hidden_states(ids_BT, lengths_B)[real_BT], ids_BT[real_BT])
        return nll_N.double().sum().item(), len(nll_N)

    return training_step.mean_nll(network, [lines], measure, stop)
