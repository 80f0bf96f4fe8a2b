"""Language models and masked language models as training tasks.

Language models use truncated backpropagation through time (BPTT, Mikolov et al. 2010): the state after a segment of
the text is the initial state of the next one, without gradients across the boundary. The loss is the mean negative
log-likelihood per token, with activation regularization (AR and TAR, Merity et al. 2017, arXiv:1708.02182):

    + alpha mean |m * h_t|^2            AR: large activations, after dropout
    + beta  mean |h_t - h_{t-1}|^2      TAR: changes of activations from step to step

Masked language models are trained on batches of lines, in which every token is predicted once.
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
from rnnkit.models.language_model import LanguageModelNetwork, LMOutput, LMState
from rnnkit.models.masked_lm import MaskedLM
from rnnkit.nn.device import autocast
from rnnkit.nn.losses import Proposal
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.optimizer import NetworkOptimizer, to_numpy
from rnnkit.training.signals import StopRequest
from rnnkit.training.training_step import BatchLoss, NetworkTask, mean_nll


@dataclass(frozen=True)
class LanguageModelObjective:
    """Loss of a language model.

    Attributes:
        activation: Strength alpha of activation regularization (AR).
        temporal: Strength beta of temporal activation regularization (TAR).
        proposal: Proposal distribution of a sampled softmax; None for the full softmax.
        precision: Precision of the layers' matrix products.
        output_precision: Precision of the output layer's; with a large vocabulary it may gain even if layers do not.
    """

    activation: float
    temporal: float
    proposal: Proposal | None
    precision: torch.dtype
    output_precision: torch.dtype


class LanguageModelTask(NetworkTask[LanguageModelBatch]):
    """Trains a language model on segments of a text.

    Args:
        network: The network.
        objective: The loss.
        optimizer: The optimizer.
    """

    def __init__(
        self, network: LanguageModelNetwork, objective: LanguageModelObjective, optimizer: NetworkOptimizer
    ) -> None:
        super().__init__(network, optimizer)
        self._network = network
        self._objective = objective
        self._carried: dict[int, LMState] = {}

    def compute_loss(self, batch: LanguageModelBatch, index: int) -> BatchLoss:
        """Compute the loss of a segment, starting from the state after the previous one with the same index."""
        input_BT = torch.from_numpy(batch.input_BT).to(self._device)
        target_BT = torch.from_numpy(batch.target_BT).to(self._device)
        carried = None if batch.resets_state else self._carried.get(index)
        state = self._network.initial_state(len(input_BT)) if carried is None else carried
        with autocast(self._device, self._objective.precision):
            output = self._network.hidden_states(input_BT, state)
            hidden_NE, target_N = language_model.select_predictions(output.hidden_BTE, target_BT, batch.padded)
            loss, nll = self._prediction_loss(hidden_NE, target_N)
        self._carried[index] = language_model.detach_state(output.state)
        tokens = len(target_N)
        mean = loss / tokens + activation_penalties(output, self._objective.activation, self._objective.temporal)
        return BatchLoss(mean, nll, tokens)

    def dry_run(self, batches: Sequence[LanguageModelBatch]) -> None:
        """Compute and discard the gradient of some batches, and the states after them."""
        super().dry_run(batches)
        self._carried.clear()

    def _prediction_loss(self, hidden_NE: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the loss and the negative log-likelihood, which differ only for a sampled softmax."""
        dtype = self._objective.output_precision
        if self._objective.proposal is not None:
            return self._network.sampled_loss(hidden_NE, target_N, self._objective.proposal, dtype)
        loss = self._network.loss(hidden_NE, target_N, dtype)
        return loss, loss.detach()

    def state_dict(self) -> Mapping[str, Arrays]:
        """Return the optimizer's state and the carried states of all ranks, in float32 as numpy has no bfloat16."""
        carried = (pair for index in sorted(self._carried) for pair in named_state(self._carried, index))
        own = {name: to_numpy(tensor.float()) for name, tensor in carried}
        return {**super().state_dict(), "carried": self._optimizer.group.gather_arrays(own)}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Restore a state from `state_dict`. Raises FormatError if the weights do not fit the network."""
        super().load_state_dict(state)
        layers: dict[int, dict[int, list[Tensor]]] = {}
        own = self._optimizer.group.local_arrays(state["carried"])
        for name in sorted(own, key=_parse_state_name):
            index, layer, _ = _parse_state_name(name)
            tensor = torch.from_numpy(own[name].copy()).to(self._device)
            layers.setdefault(index, {}).setdefault(layer, []).append(tensor)
        self._carried = {index: tuple(map(tuple, parts.values())) for index, parts in layers.items()}


def activation_penalties(output: LMOutput, activation: float, temporal: float) -> Tensor | float:
    """Compute the penalties AR and TAR on the hidden states of the last layer."""
    total: Tensor | float = 0.0
    if activation:
        total = total + activation * output.hidden_BTE.pow(2).mean()
    if temporal and output.raw_BTE.shape[1] > 1:
        total = total + temporal * output.raw_BTE.diff(dim=1).pow(2).mean()
    return total


def named_state(carried: Mapping[int, LMState], index: int) -> Iterable[tuple[str, Tensor]]:
    """Yield the tensors of a carried state, named LAYER.TENSOR, with the prefix `part-INDEX.` unless the index is 0."""
    for layer, tensors in enumerate(carried[index]):
        for position, tensor in enumerate(tensors):
            yield f"part-{index}.{layer}.{position}" if index else f"{layer}.{position}", tensor


def _parse_state_name(name: str) -> tuple[int, int, int]:
    *part, layer, position = name.split(".")
    return int(part[0].removeprefix("part-")) if part else 0, int(layer), int(position)


@dataclass(frozen=True)
class MaskedLMObjective:
    """Loss of a masked language model.

    Attributes:
        precision: Precision of the layers' matrix products.
        output_precision: Precision of the output layer's; `precision` unless given.
    """

    precision: torch.dtype
    output_precision: torch.dtype | None = None


class MaskedLMTask(NetworkTask[NDArray[np.int64]]):
    """Trains a masked language model on lines; a batch is the indices of lines.

    Args:
        network: The network.
        lines: The training split.
        objective: The loss.
        optimizer: The optimizer.
    """

    def __init__(
        self, network: MaskedLM, lines: SentenceDataset, objective: MaskedLMObjective, optimizer: NetworkOptimizer
    ) -> None:
        super().__init__(network, optimizer)
        self._network = network
        self._lines = lines
        self._objective = objective

    def compute_loss(self, batch: NDArray[np.int64], index: int) -> BatchLoss:
        """Compute the loss of some lines. EOS is not predicted and not counted."""
        ids_BT, lengths_B = gather_lines(self._lines, batch, self._device)
        tokens = int(lengths_B.sum()) - len(lengths_B)
        with autocast(self._device, self._objective.precision):
            loss = self._network.loss(ids_BT, lengths_B, self._objective.output_precision)
        return BatchLoss(loss / max(1, tokens), loss.detach(), tokens)


def gather_lines(lines: SentenceDataset, batch: NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
    """Gather lines by their indices: ids (B, T) with EOS, padded on the right, and lengths (B,)."""
    ids_BT, lengths_B = batch_sampler.pad_sequences([lines[int(index)] for index in batch])
    return torch.from_numpy(ids_BT).to(device), torch.from_numpy(lengths_B).to(device)


def mean_masked_nll(network: MaskedLM, lines: SentenceDataset, stop: StopRequest) -> float | None:
    """Compute the negative log-likelihood per token, given both its sides, in nats, over a whole split in float32.

    Returns:
        The mean, or None if a stop was requested.
    """

    def batch_nll(batch: NDArray[np.int64], device: torch.device) -> tuple[float, int]:
        ids_BT, lengths_B = gather_lines(lines, batch, device)
        real_BT = masked_lm.prediction_mask(ids_BT, lengths_B)
        nll_N = network.nll(network.hidden_states(ids_BT, lengths_B)[real_BT], ids_BT[real_BT])
        return nll_N.double().sum().item(), len(nll_N)

    return mean_nll(network, [lines], batch_nll, stop)
