"""Word vectors as a training task: a step trains on some thousand words of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.corpus import Corpus
from rnnkit.embeddings.hogwild_trainer import HogwildTrainer
from rnnkit.json_types import JsonMapping
from rnnkit.kernels.word2vec_weights import extra_rows
from rnnkit.training.checkpoint import Arrays
from rnnkit.training.task import StepReport

TOKENS_PER_STEP: Final = 100_000
"""Words per step. The learning rate changes from step to step, as often as in word2vec.c with ten threads."""

MIN_STEPS: Final = 100
"""Short texts are divided into smaller steps, so that a run has this many if possible."""


@dataclass(frozen=True)
class TokenBatch:
    """A range of consecutive segments of the text.

    Attributes:
        epoch: Epoch, from 0.
        first: Index of the first segment.
        last: Index after the last segment.
    """

    epoch: int
    first: int
    last: int


class TokenBatches:
    """Endless iterator over the batches of a text, in the order of the text.

    Args:
        corpus: The text.
        epochs: Planned number of epochs.
    """

    def __init__(self, corpus: Corpus, epochs: int) -> None:
        size = min(TOKENS_PER_STEP, max(1, corpus.tokens * epochs // MIN_STEPS))
        bounds = np.arange(0, corpus.tokens + size, size).clip(max=corpus.tokens)
        self._bounds = np.unique(np.searchsorted(corpus.segments, bounds))
        self._taken = 0

    @property
    def per_epoch(self) -> int:
        """Number of batches per epoch."""
        return len(self._bounds) - 1

    def __iter__(self) -> Iterator[TokenBatch]:
        return self

    def __next__(self) -> TokenBatch:
        epoch, index = divmod(self._taken, self.per_epoch)
        self._taken += 1
        return TokenBatch(epoch, int(self._bounds[index]), int(self._bounds[index + 1]))

    def state_dict(self) -> dict[str, int]:
        """Return the position of the next batch."""
        epoch, index = divmod(self._taken, self.per_epoch)
        return {"epoch": epoch, "slab": index}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Seek to a position from `state_dict`."""
        self._taken = state["epoch"] * self.per_epoch + state["slab"]


class WordVectorTask:
    """Trains word vectors. Satisfies `task.Task`.

    Args:
        corpus: The text.
        trainer: The threads that train on a batch.
    """

    def __init__(self, corpus: Corpus, trainer: HogwildTrainer) -> None:
        self._corpus = corpus
        self._trainer = trainer
        self._sums = np.zeros(3)  # of the current epoch: its index, loss, number of predictions

    @property
    def loss(self) -> float:
        """Mean loss of the current epoch, in nats per prediction."""
        return float(self._sums[1] / max(1.0, self._sums[2]))

    def step(self, batch: TokenBatch, learning_rate: float) -> StepReport:
        """Train on a batch."""
        ids, segments = self._corpus.read_segments(batch.first, batch.last)
        position = int(self._corpus.segments[batch.first])
        loss, predictions = self._trainer.train(ids, segments, position, batch.epoch, learning_rate)
        if batch.epoch != self._sums[0]:
            self._sums[:] = (batch.epoch, 0, 0)
        self._sums[1:] += (loss, predictions)
        return StepReport(loss=loss, nll=loss, tokens=predictions, words=len(ids))

    def state_dict(self) -> dict[str, Arrays]:
        """Return both matrices and the epoch's sums; random numbers depend on the position in the text alone."""
        inputs, outputs = self._matrices()
        return {"weights": {"inputs": inputs, "outputs": outputs, "sums": self._sums}}

    def load_state_dict(self, state: Mapping[str, Arrays]) -> None:
        """Restore a state from `state_dict`."""
        (inputs, outputs), saved = self._matrices(), state["weights"]
        inputs[:], outputs[:], self._sums[:] = saved["inputs"], saved["outputs"], saved["sums"]

    def _matrices(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return both matrices without the rows of the threads' caches."""
        config = self._trainer.config
        cached = extra_rows(config.weights, len(config.keep_V)) * config.weights.stride
        inputs, outputs = config.weights.inputs, config.weights.outputs
        return inputs[: len(inputs) - cached], outputs[: len(outputs) - cached]

    def save_weights(self, name: str, facts: JsonMapping) -> None:
        """Do nothing: without validation no weights are best, and the final ones are written after training."""
