"""Word vectors as a task of the training loop: a step is a slab of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.train.corpus import Corpus
from rnnkit.embeddings.train.hogwild_trainer import HogwildTrainer
from rnnkit.kernels.word2vec_arrays import extra_rows
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.task import StepReport

TOKENS_PER_STEP: Final = 100_000
"""Words a step. The learning rate changes from one to the next, as often as in word2vec.c with ten threads."""

MIN_STEPS: Final = 100
"""A run has at least so many steps where the text can be cut so finely."""


@dataclass(frozen=True)
class TokenBatch:
    """A run of segments.

    Attributes:
        epoch: Pass over the text, from 0.
        first: Its first segment.
        last: The segment after its last.
    """

    epoch: int
    first: int
    last: int


class TokenBatches:
    """The slabs of a text in its order, again and again.

    Args:
        corpus: The text.
        epochs: Passes that are planned.
    """

    def __init__(self, corpus: Corpus, epochs: int) -> None:
        size = min(TOKENS_PER_STEP, max(1, corpus.tokens * epochs // MIN_STEPS))
        wanted = np.arange(0, corpus.tokens + size, size).clip(max=corpus.tokens)
        self._bounds = np.unique(np.searchsorted(corpus.segments, wanted))
        self._taken = 0

    @property
    def per_epoch(self) -> int:
        """Slabs in one pass."""
        return len(self._bounds) - 1

    def __iter__(self) -> Iterator[TokenBatch]:
        return self

    def __next__(self) -> TokenBatch:
        epoch, index = divmod(self._taken, self.per_epoch)
        self._taken += 1
        return TokenBatch(epoch, int(self._bounds[index]), int(self._bounds[index + 1]))

    def state_dict(self) -> dict[str, int]:
        """Where the next slab comes from."""
        epoch, slab = divmod(self._taken, self.per_epoch)
        return {"epoch": epoch, "slab": slab}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go there."""
        self._taken = state["epoch"] * self.per_epoch + state["slab"]


class WordVectorTask:
    """Word vectors that learn, a slab at a time.

    Args:
        corpus: The text.
        learner: The threads.
    """

    def __init__(self, corpus: Corpus, learner: HogwildTrainer) -> None:
        self._corpus = corpus
        self._learner = learner
        self._sums = np.zeros(3)  # of the present epoch: its number, loss, predictions

    @property
    def loss(self) -> float:
        """Mean loss of the present epoch, in nats a prediction."""
        return float(self._sums[1] / max(1.0, self._sums[2]))

    def step(self, batch: TokenBatch, rate: float) -> StepReport:
        """Learn a slab."""
        ids, segments = self._corpus.read_segments(batch.first, batch.last)
        place = int(self._corpus.segments[batch.first])
        loss, predictions = self._learner.train(ids, segments, place, batch.epoch, rate)
        if batch.epoch != self._sums[0]:
            self._sums[:] = (batch.epoch, 0, 0)
        self._sums[1:] += (loss, predictions)
        return StepReport(loss=loss, nll=loss, tokens=predictions, words=len(ids))

    def state_dict(self) -> dict[str, Arrays]:
        """Both matrices; what is drawn depends on the place in the text alone."""
        inputs, outputs = self._learned()
        return {"weights": {"inputs": inputs, "outputs": outputs, "sums": self._sums}}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Take up where `state_dict` was made."""
        (inputs, outputs), saved = self._learned(), state["weights"]
        inputs[:], outputs[:], self._sums[:] = saved["inputs"], saved["outputs"], saved["sums"]

    def _learned(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both matrices without the rows that threads keep copies in."""
        config = self._learner.config
        copied = extra_rows(config.weights, len(config.keep_V)) * config.weights.stride
        inputs, outputs = config.weights.inputs, config.weights.outputs
        return inputs[: len(inputs) - copied], outputs[: len(outputs) - copied]

    def save_weights(self, name: str, facts: Mapping[str, Any]) -> None:
        """Nothing is validated, so that no weights are better than others: the last ones are written in the end."""
