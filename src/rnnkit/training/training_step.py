"""What all tasks of a network do alike: a step is the gradient of one batch or several, added, and one change.

    g = (sum over the batches of d loss / d theta) / tokens of all

so that several small batches make the step that one with all their sentences would make.
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


@dataclass(frozen=True)
class BatchLoss:
    """What a network makes of a batch, in nats.

    Attributes:
        mean: What is optimised, as the mean of a token; with its graph.
        nll: Negative log-likelihood, summed.
        tokens: Predictions.
        pull: What is optimised beside it, where links teach attention; with its graph.
        guided: What these links say of attention.
    """

    mean: Tensor
    nll: Tensor
    tokens: int
    pull: Tensor | None = None
    guided: AttentionLoss | None = None


class NetworkTask(ABC, Generic[B]):
    """Trains a network.

    Args:
        network: What learns.
        optimizer: How weights change.
    """

    def __init__(self, network: nn.Module, optimizer: NetworkOptimizer) -> None:
        self._optimizer = optimizer
        self._device = optimizer.device
        network.train()

    @abstractmethod
    def compute_loss(self, batch: B, part: int) -> BatchLoss:
        """What the network makes of a batch.

        Args:
            batch: The batch.
            part: Its number among those of a step that this process takes.
        """

    def step(self, batches: Sequence[B], rate: float) -> StepReport:
        """One step on some batches, and on those that other processes take. What is reported is of all of them."""
        loss, nll, tokens = 0.0, 0.0, 0
        guided = AttentionLoss(0.0, 0)
        for measured in self._gradients(batches):
            loss += measured.mean.item() * measured.tokens
            nll += measured.nll.item()
            tokens += measured.tokens
            if measured.guided is not None:
                guided = AttentionLoss(guided.loss + measured.guided.loss, guided.tokens + measured.guided.tokens)
        sums = self._optimizer.group.all_reduce_sum(loss, nll, tokens, guided.loss, guided.tokens)
        loss, nll, total, guided = sums[0], sums[1], int(sums[2]), AttentionLoss(sums[3], int(sums[4]))
        change = self._optimizer.update(total, rate)
        guided_or_none = guided if guided.tokens else None
        return StepReport(loss, nll, total, change.norm, guided=guided_or_none, scaling=change.scaling)

    def dry_run(self, batches: Sequence[B]) -> None:
        """Take the gradient of some batches and forget it, before anything was learned."""
        for _ in self._gradients(batches):
            pass
        self._optimizer.discard_gradients()

    def _gradients(self, batches: Sequence[B]) -> Iterator[BatchLoss]:
        """Measure each batch, and add its gradient to the step's."""
        for part, batch in enumerate(batches):
            measured = self.compute_loss(batch, part)
            wanted = measured.mean if measured.pull is None else measured.mean + measured.pull
            self._optimizer.backward(wanted, measured.tokens)
            yield measured

    def state_dict(self) -> Mapping[str, Arrays]:
        """What `Optimisation` keeps; nothing is carried from batch to batch unless a task says so."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made. Raises FormatError where the weights are another network's."""
        self._optimizer.load_state_dict(state)

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights as `best`, or as a snapshot of this step where snapshots are kept."""
        self._optimizer.save_weights(name, facts)


VALIDATION_BATCH_TOKENS = 4096
"""Token budget of a validation batch."""

BatchNLL = Callable[[NDArray[np.int64], torch.device], tuple[float, int]]
"""From numbers of sentences to the negative log-likelihood of their tokens, summed, in nats, and how many those are."""


@torch.no_grad()
def mean_nll(
    network: nn.Module, sides: Sequence[SentenceDataset], measure: BatchNLL, stop: StopRequest
) -> float | None:
    """Negative log-likelihood of a token, in nats, over a whole split; the network does not drop meanwhile.

    Args:
        network: What is judged.
        sides: The split, sentence by sentence the same on all sides.
        measure: Asks the network.
        stop: Looked at before each batch.

    Returns:
        The mean, or None when a stop was asked for on the way.
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
            nll, count = measure(batch, device)
            total += nll
            tokens += count
    finally:
        network.train(was_training)
    return total / max(1, tokens)
