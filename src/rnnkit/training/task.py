"""Interfaces between the trainer and tasks, batches and validation, and what they report. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from rnnkit.json_types import JsonMapping
from rnnkit.training import signals
from rnnkit.training.checkpoint import Arrays

B_co = TypeVar("B_co", covariant=True)
B_contra = TypeVar("B_contra", contravariant=True)

MIN_LOSS_SCALE = 1.0
"""A gradient that overflows at a lower scale cannot be represented in float16."""


@dataclass(frozen=True)
class AttentionLoss:
    """Loss of guided attention.

    Attributes:
        loss: Cross-entropy of the attention weights against the alignment links, in nats, summed over linked tokens.
        tokens: Number of target tokens that have links.
    """

    loss: float
    tokens: int


@dataclass(frozen=True)
class LossScaling:
    """Effect of a step on the loss scale (`optimizer.py`).

    Attributes:
        scale: Scale of the next step's loss.
        skipped: Whether the gradient overflowed, so that the weights were not updated.
    """

    scale: float
    skipped: bool


@dataclass(frozen=True)
class StepReport:
    """Result of one step; losses are summed over its predictions, in nats.

    Attributes:
        loss: Training loss, without guided attention.
        nll: Negative log-likelihood.
        tokens: Number of predictions: target tokens including EOS, without padding.
        gradient_norm: Norm of the gradient of the mean loss before clipping; 0 if it is not computed or overflowed.
        words: Number of words of running text, if speed is reported in words instead of `tokens`.
        attention: Loss of guided attention, if it is trained.
        scaling: Effect on the loss scale, if the loss is scaled.
    """

    loss: float
    nll: float
    tokens: int
    gradient_norm: float = 0.0
    words: int | None = None
    attention: AttentionLoss | None = None
    scaling: LossScaling | None = None


class Task(Protocol[B_contra]):
    """Something that is trained one step at a time."""

    def step(self, batch: B_contra, learning_rate: float) -> StepReport:
        """Take one training step."""
        ...

    def state_dict(self) -> Mapping[str, Arrays]:
        """Return all arrays that the next step depends on, including random states."""
        ...

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Restore a state from `state_dict`."""
        ...

    def save_weights(self, name: str, facts: JsonMapping) -> None:
        """Write the current weights into the model directory under a name such as `best`."""
        ...


class BatchIterator(Protocol[B_co]):
    """Endless iterator over batches whose position can be saved."""

    def __iter__(self) -> Iterator[B_co]:
        """Return the iterator itself."""
        ...

    def __next__(self) -> B_co:
        """Return the next batch."""
        ...

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next batch."""
        ...

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        ...


class EpochBatchIterator(BatchIterator[B_co], Protocol[B_co]):
    """Batch iterator with a known number of batches per epoch."""

    @property
    def per_epoch(self) -> int:
        """Number of batches in the current epoch."""
        ...

    def largest_batches(self) -> Sequence[B_co]:
        """Return the batches of the current epoch that need the most memory."""
        ...


@dataclass(frozen=True)
class Validation:
    """Result of a validation.

    Attributes:
        score: Score by which `best` is chosen; higher is better.
        facts: Numbers for `metrics.jsonl`.
        lines: Text for the log, such as sample translations.
        length_ratio: Decoded tokens per reference token; 1 if nothing is decoded.
    """

    score: float
    facts: Mapping[str, float]
    lines: tuple[str, ...] = ()
    length_ratio: float = 1.0


Validate = Callable[[signals.StopRequest], Validation | None]
"""Validates, or returns None early if a stop is requested."""


@dataclass
class MetricsWindow:
    """Step reports since the last line of `metrics.jsonl`.

    Attributes:
        reports: The reports.
        learning_rate: Learning rate of the last step.
        started: Monotonic time at the window's beginning; validation moves it.
    """

    reports: list[StepReport] = field(default_factory=list)
    learning_rate: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def record(self) -> dict[str, float]:
        """Aggregate the reports to one record: losses per token, norms per step, speed."""
        tokens = max(1, sum(report.tokens for report in self.reports))
        seconds = max(1e-9, time.monotonic() - self.started)
        taken = [report for report in self.reports if report.scaling is None or not report.scaling.skipped]
        words = [report.words for report in self.reports if report.words is not None]
        speed = {"words_per_second": sum(words) / seconds} if words else {"target_tokens_per_second": tokens / seconds}
        return {
            "loss": sum(report.loss for report in self.reports) / tokens,
            "nll": sum(report.nll for report in self.reports) / tokens,
            **self._attention(),
            "gradient_norm": sum(report.gradient_norm for report in taken) / max(1, len(taken)),
            **self._loss_scaling(),
            "learning_rate": self.learning_rate,
            "target_tokens": tokens,
            "seconds": seconds,
            **speed,
        }

    def _loss_scaling(self) -> dict[str, float]:
        """Return the loss scale and the number of skipped steps, if the loss is scaled."""
        scalings = [report.scaling for report in self.reports if report.scaling is not None]
        skipped = sum(scaling.skipped for scaling in scalings)
        return {"loss_scale": scalings[-1].scale, "skipped_steps": skipped} if scalings else {}

    def _attention(self) -> dict[str, float]:
        """Return the loss of guided attention per linked token, if there is any."""
        losses = [report.attention for report in self.reports if report.attention is not None]
        tokens = sum(loss.tokens for loss in losses)
        return {"attention_loss": sum(loss.loss for loss in losses) / tokens} if tokens else {}
