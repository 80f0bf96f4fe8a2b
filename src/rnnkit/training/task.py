"""What the loop asks of whoever learns, of the batches, and of whoever measures; and what they report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from rnnkit.training import signals
from rnnkit.training.checkpoint import Arrays

B_co = TypeVar("B_co", covariant=True)
B_contra = TypeVar("B_contra", contravariant=True)


@dataclass(frozen=True)
class AttentionLoss:
    """How far attention was from the links that teach it.

    Attributes:
        loss: Cross entropy, in nats, summed over the linked tokens.
        tokens: Target tokens that have links.
    """

    loss: float
    tokens: int


@dataclass(frozen=True)
class LossScaling:
    """How a step fared whose loss was scaled (`loss_scale.py`).

    Attributes:
        scale: What the next step's loss is multiplied by.
        skipped: Whether the gradient overflowed, and the weights stayed as they were.
    """

    scale: float
    skipped: bool


@dataclass(frozen=True)
class StepReport:
    """What one step did; sums over what was predicted, in nats.

    Attributes:
        loss: What was optimised, guidance apart.
        nll: Negative log-likelihood.
        tokens: Predictions: target tokens, end symbols counted, padding not.
        gradient_norm: Norm of the gradient of the mean loss, before clipping; 0 where nobody takes it or it overflowed.
        words: What speed is counted in where that is not `tokens`: the words of running text.
        guided: What links say of attention, where they teach it; optimised too.
        scaling: What came of scaling the loss, where it is scaled.
    """

    loss: float
    nll: float
    tokens: int
    gradient_norm: float = 0.0
    words: int | None = None
    guided: AttentionLoss | None = None
    scaling: LossScaling | None = None


class Task(Protocol[B_contra]):
    """Something that learns, a batch at a time."""

    def step(self, batch: B_contra, rate: float) -> StepReport:
        """Learn from one batch with this learning rate."""
        ...

    def state_dict(self) -> Mapping[str, Arrays]:
        """Every array that the next step depends on, random states among them."""
        ...

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made."""
        ...

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write the present weights into the model directory under this name, such as `best`."""
        ...


class BatchIterator(Protocol[B_co]):
    """Endless batches whose position can be saved."""

    def __iter__(self) -> Iterator[B_co]:
        """Itself."""
        ...

    def __next__(self) -> B_co:
        """The next batch."""
        ...

    def state_dict(self) -> dict[str, int]:
        """Where the next batch comes from."""
        ...

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go there."""
        ...


class EpochBatchIterator(BatchIterator[B_co], Protocol[B_co]):
    """Batches that know how many make a pass over the data."""

    @property
    def per_epoch(self) -> int:
        """Batches of the pass under way."""
        ...

    def largest_batches(self) -> Sequence[B_co]:
        """The batches of the pass under way that are the hardest to hold."""
        ...


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        score: The number by which `best` is chosen; greater is better.
        facts: Numbers for `metrics.jsonl`.
        lines: Text for the log, such as sample translations.
        length_ratio: Tokens decoded for each of the references'; 1 where nothing is decoded.
    """

    score: float
    facts: Mapping[str, float]
    lines: tuple[str, ...] = ()
    length_ratio: float = 1.0


Validate = Callable[[signals.StopRequest], Validation | None]
"""Validates, or gives up and returns None when it sees that a stop was asked for."""
