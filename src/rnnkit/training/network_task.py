"""What all tasks of a network do alike: a step is the gradient of one batch or several, added, and one change.

    g = (sum over the batches of d loss / d theta) / tokens of all

so that several small batches make the step that one with all their sentences would make.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from rnnkit.training.checkpoint import Arrays
from rnnkit.training.optimisation import Optimisation
from rnnkit.training.task import Guided, StepReport

B = TypeVar("B")


@dataclass(frozen=True)
class Measured:
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
    guided: Guided | None = None


class NetworkTask(ABC, Generic[B]):
    """Trains a network.

    Args:
        network: What learns.
        optimisation: How weights change.
    """

    def __init__(self, network: nn.Module, optimisation: Optimisation) -> None:
        self._optimisation = optimisation
        self._device = optimisation.device
        network.train()

    @abstractmethod
    def measure(self, batch: B, part: int) -> Measured:
        """What the network makes of a batch.

        Args:
            batch: The batch.
            part: Its number among those of a step that this process takes.
        """

    def step(self, batches: Sequence[B], rate: float) -> StepReport:
        """One step on some batches, and on those that other processes take. What is reported is of all of them."""
        loss, nll, tokens = 0.0, 0.0, 0
        guided = Guided(0.0, 0)
        for measured in self._gradients(batches):
            loss += measured.mean.item() * measured.tokens
            nll += measured.nll.item()
            tokens += measured.tokens
            if measured.guided is not None:
                guided = Guided(guided.loss + measured.guided.loss, guided.tokens + measured.guided.tokens)
        sums = self._optimisation.group.total(loss, nll, tokens, guided.loss, guided.tokens)
        loss, nll, total, guided = sums[0], sums[1], int(sums[2]), Guided(sums[3], int(sums[4]))
        change = self._optimisation.change(total, rate)
        guided_or_none = guided if guided.tokens else None
        return StepReport(loss, nll, total, change.norm, guided=guided_or_none, scaling=change.scaling)

    def rehearse(self, batches: Sequence[B]) -> None:
        """Take the gradient of some batches and forget it, before anything was learned."""
        for _ in self._gradients(batches):
            pass
        self._optimisation.forget()

    def _gradients(self, batches: Sequence[B]) -> Iterator[Measured]:
        """Measure each batch, and add its gradient to the step's."""
        for part, batch in enumerate(batches):
            measured = self.measure(batch, part)
            wanted = measured.mean if measured.pull is None else measured.mean + measured.pull
            self._optimisation.add(wanted, measured.tokens)
            yield measured

    def state_dict(self) -> Mapping[str, Arrays]:
        """What `Optimisation` keeps; nothing is carried from batch to batch unless a task says so."""
        return self._optimisation.state_dict()

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made. Raises FormatError where the weights are another network's."""
        self._optimisation.load_state_dict(state)

    def keep(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights as `best`, or as a snapshot of this step where snapshots are kept."""
        self._optimisation.keep(name, facts)
