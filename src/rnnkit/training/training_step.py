"""What all tasks that train a network share: the training step with gradient accumulation, and validation loss.

    g = (sum over batches of d loss / d theta) / tokens of all batches

so that several small batches make the same step as one batch with all their sentences.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rnnkit.data import batch_sampler
from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.optimizer import NetworkOptimizer
from rnnkit.training.signals import StopRequest
from rnnkit.training.task import AttentionLoss, StepReport

B = TypeVar("B")

VALIDATION_BATCH_TOKENS = 4096
"""Token budget of a validation batch."""

BatchNLL = Callable[[NDArray[np.int64], torch.device], tuple[float, int]]
"""Maps the indices of sentences to the negative log-likelihood of their tokens, summed, in nats, and their number."""


@dataclass(frozen=True)
class BatchLoss:
    """Loss of a batch, in nats.

    Attributes:
        mean: Training loss per token, with its graph.
        nll: Negative log-likelihood, summed.
        tokens: Number of predictions.
        guidance: Weighted loss of guided attention per linked token, with its graph; added to `mean`.
        attention: The same loss, summed and unweighted, for the report.
    """

    mean: Tensor
    nll: Tensor
    tokens: int
    guidance: Tensor | None = None
    attention: AttentionLoss | None = None


class NetworkTask(ABC, Generic[B]):
    """Base of tasks that train a network. Satisfies `task.Task`; its batch is the list of a step's batches.

    Args:
        network: The network.
        optimizer: Its optimizer.
    """

    def __init__(self, network: nn.Module, optimizer: NetworkOptimizer) -> None:
        self._optimizer = optimizer
        self._device = optimizer.device
        network.train()

    @abstractmethod
    def compute_loss(self, batch: B, index: int) -> BatchLoss:
        """Compute the loss of a batch.

        Args:
            batch: The batch.
            index: Index of the batch among those of the step in this process.
        """

    def step(self, batches: Sequence[B], learning_rate: float) -> StepReport:
        """Take a step with the batches of this process and of all others; the report covers all of them."""
        loss, nll, tokens = 0.0, 0.0, 0
        attention = AttentionLoss(0.0, 0)
        for batch_loss in self._backward(batches):
            loss += batch_loss.mean.item() * batch_loss.tokens
            nll += batch_loss.nll.item()
            tokens += batch_loss.tokens
            if (more := batch_loss.attention) is not None:
                attention = AttentionLoss(attention.loss + more.loss, attention.tokens + more.tokens)
        sums = self._optimizer.group.all_reduce_sum(loss, nll, tokens, attention.loss, attention.tokens)
        loss, nll, total, attention = sums[0], sums[1], int(sums[2]), AttentionLoss(sums[3], int(sums[4]))
        update = self._optimizer.update(total, learning_rate)
        attention_or_none = attention if attention.tokens else None
        return StepReport(loss, nll, total, update.norm, attention=attention_or_none, scaling=update.scaling)

    def dry_run(self, batches: Sequence[B]) -> None:
        """Compute the gradient of some batches and discard it, before training starts."""
        for _ in self._backward(batches):
            pass
        self._optimizer.discard_gradients()

    def _backward(self, batches: Sequence[B]) -> Iterator[BatchLoss]:
        """Accumulate the gradient of each batch."""
        for index, batch in enumerate(batches):
            batch_loss = self.compute_loss(batch, index)
            mean = batch_loss.mean if batch_loss.guidance is None else batch_loss.mean + batch_loss.guidance
            self._optimizer.backward(mean, batch_loss.tokens)
            yield batch_loss

    def state_dict(self) -> Mapping[str, Arrays]:
        """Return the optimizer's state; tasks that carry more from step to step add it."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Restore a state from `state_dict`. Raises FormatError if the weights do not fit the network."""
        self._optimizer.load_state_dict(state)

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights as `best`, or as a snapshot of this step if snapshots are kept."""
        self._optimizer.save_weights(name, facts)


@torch.no_grad()
def mean_nll(
    network: nn.Module, sides: Sequence[SentenceDataset], batch_nll: BatchNLL, stop: StopRequest
) -> float | None:
    """Compute the negative log-likelihood per token over a whole split, in nats, in evaluation mode.

    Args:
        network: The network.
        sides: The split; all sides have the same number of sentences.
        batch_nll: Evaluates a batch.
        stop: Checked before each batch.

    Returns:
        The mean, or None if a stop was requested.
    """
    device = next(network.parameters()).device
    total, tokens = 0.0, 0
    was_training = network.training
    network.eval()
    try:
        for batch in batch_sampler.plan_epoch(
            [side.lengths() for side in sides], VALIDATION_BATCH_TOKENS, seed=0, epoch=0
        ):
            if stop:
                return None
            nll, count = batch_nll(batch, device)
            total += nll
            tokens += count
    finally:
        network.train(was_training)
    return total / max(1, tokens)
