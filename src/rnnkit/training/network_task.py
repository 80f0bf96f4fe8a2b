"""What all tasks of a network do alike: a step is the gradient of one batch or several, added, and one change.

    g = (sum over the batches of d loss / d theta) / tokens of all

so that several small batches make the step that one with all their sentences would make.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from rnnkit.training.checkpoint import Arrays
from rnnkit.training.loop import StepReport
from rnnkit.training.optimisation import Optimisation

B = TypeVar("B")


@dataclass(frozen=True)
class Measured:
    """What a network makes of a batch, in nats.

    Attributes:
        mean: What is optimised, as the mean of a token; with its graph.
        nll: Negative log-likelihood, summed.
        tokens: Predictions.
    """

    mean: Tensor
    nll: Tensor
    tokens: int


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
        for part, batch in enumerate(batches):
            measured = self.measure(batch, part)
            self._optimisation.add(measured.mean, measured.tokens)
            loss += measured.mean.item() * measured.tokens
            nll += measured.nll.item()
            tokens += measured.tokens
        loss, nll, total = self._optimisation.group.total(loss, nll, tokens)
        norm = self._optimisation.change(int(total), rate)
        return StepReport(loss, nll, int(total), norm)

    def state_dict(self) -> Mapping[str, Arrays]:
        """What `Optimisation` keeps; nothing is carried from batch to batch unless a task says so."""
        return self._optimisation.state_dict()

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made. Raises FormatError where the weights are another network's."""
        self._optimisation.load_state_dict(state)

    def keep(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the weights as `best`, or as a snapshot of this step where snapshots are kept."""
        self._optimisation.keep(name, facts)
