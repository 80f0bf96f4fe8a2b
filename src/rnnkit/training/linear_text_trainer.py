"""Training of linear text classifiers: threads train together, and the number of threads changes no bit.

Threads wait for each other at every batch (`kernels/linear_classifier.py`). If other programs take their cores, this
costs more than a second thread gains. The trainer measures both, and continues with the faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import DataError
from rnnkit.events import Listener, Progress, null_listener
from rnnkit.kernels.classified_texts import ClassifiedTexts, count_features
from rnnkit.kernels.linear_classifier import (
    BATCH_FEATURES,
    BATCH_TEXTS,
    LinearWorker,
    make_worker,
    share_training,
    train_texts,
)
from rnnkit.kernels.thread_barrier import RELEASED
from rnnkit.kernels.word_vector_simd import WIDTH
from rnnkit.models.labelling.linear_text import (
    LinearText,
    LinearTextConfig,
    TextLabels,
    WordTexts,
    init_linear_text,
    weigh_features,
)

CHUNK_WORDS: Final = 1_000_000
"""Words between two reports of progress."""

MIN_WORK: Final = 100_000
"""Numbers that a thread adds up for a batch, at least: with less work, threads would mostly wait for each other."""

RETRY_CHUNKS: Final = 20
"""Chunks after which another number of threads is measured again."""

Continues = Callable[[float, LinearText], bool]
"""Decides at times whether training continues, by the share of it that is done and the classifier so far."""

TASK: Final = "training"
"""Name of the task in progress events."""


def train_linear_text(
    config: LinearTextConfig,
    texts: WordTexts,
    labels: TextLabels,
    threads: int = 1,
    listen: Listener = null_listener,
    continues: Continues | None = None,
) -> tuple[LinearText, list[float]]:
    """Train a classifier.

    Args:
        config: Features and training.
        texts: The training texts.
        labels: Their labels.
        threads: Number of threads, at most; the result does not depend on it.
        listen: Receives progress.
        continues: Ends training early when it returns False; it may score texts with the classifier, not change it.

    Returns:
        The classifier, and its mean loss in each epoch, in nats; of the last, over the texts that it has seen.

    Raises:
        DataError: There is no text, or a text has not exactly one label.
        ValueError: Texts and labels, or labels and their number, do not fit together.
    """
    _check_labels(config, texts, labels)
    model = init_linear_text(config, texts, labels.count)
    label_ids = labels.labels.values.astype(np.int32)
    features = model.features(texts)._replace(label_start_N1=labels.labels.offsets, labels=label_ids)
    if model.row_weight_R is not None:
        weigh_features(model, features)
    trainer = _Trainer(model, features, labels, threads, continues or (lambda share, classifier: True))
    losses: list[float] = []
    while len(losses) < config.epochs and not trainer.ended:
        losses.append(trainer.run_epoch(len(losses), listen))
    return model, losses


class _Trainer:
    """Training state.

    Args:
        model: Updated in place.
        features: The training texts.
        labels: Their labels.
        threads: Number of threads, at most.
        continues: Ends training early when it returns False.

    Attributes:
        ended: Whether it has.
    """

    def __init__(
        self, model: LinearText, features: ClassifiedTexts, labels: TextLabels, threads: int, continues: Continues
    ) -> None:
        self.ended = False
        self._continues = continues
        self._model, self._features, self._count_N = model, features, count_features(features)
        self._text_weight_N = labels.text_weight_N
        weight_C = np.ones(model.labels) if labels.label_weight_C is None else labels.label_weight_C
        counts = sorted({1, _useful_threads(self._count_N, model.stride, threads)})
        self._choice = _ThreadChoice(counts)
        self._shared = {
            count: share_training(
                model.inputs,
                model.stride,
                weight_C.astype(np.float32),
                model.config.one_vs_all,
                count,
                model.row_weight_R,
            )
            for count in counts
        }

    def run_epoch(self, epoch: int, listen: Listener) -> float:
        """Train on all texts; return the mean loss."""
        config, length_N = self._model.config, np.diff(self._features.start_N1)
        order = np.random.default_rng([config.seed, epoch]).permutation(len(length_N))
        words, total = length_N[order], int(length_N.sum())
        before_N = np.cumsum(words) - words
        rates = config.learning_rate * (1 - (epoch + before_N / max(1, total)) / config.epochs)
        if self._text_weight_N is not None:
            rates *= self._text_weight_N[order]
        firsts = np.unique(np.searchsorted(before_N, np.arange(0, max(1, total), CHUNK_WORDS)))
        loss = 0.0
        with ThreadPoolExecutor(max(self._shared)) as pool:
            for first, last in pairwise([*firsts.tolist(), len(order)]):
                loss += self._run_chunk(pool, order[first:last], rates[first:last].astype(np.float32))
                done, whole = epoch * total + int(words[:last].sum()), config.epochs * total
                facts = {"loss": f"{loss / last:.4f}"}
                listen(Progress(TASK, done, whole, "words", facts, finished=done == whole))
                if not self._continues(done / max(1, whole), self._model):
                    self.ended = True
                    return loss / float(last)
        return loss / len(order)

    def _run_chunk(self, pool: ThreadPoolExecutor, order: NDArray[np.int64], rates: NDArray[np.float32]) -> float:
        """Train on some texts; return the sum of the losses."""
        threads, start = self._choice.choose(), time.perf_counter()
        shared, model = self._shared[threads], self._model
        workers = [make_worker(shared, model.outputs, thread, int(self._count_N.max())) for thread in range(threads)]

        def train(worker: LinearWorker) -> float:
            with _release_on_failure(shared.arrivals):
                return float(train_texts(shared, self._features, self._count_N, order, rates, worker))

        with _release_on_failure(shared.arrivals):
            loss, *_ = pool.map(train, workers)
        model.outputs[:] = workers[0].outputs
        self._choice.record(threads, (time.perf_counter() - start) / max(1, int(self._count_N[order].sum())))
        return loss


class _ThreadChoice:
    """Chooses the number of threads that was fastest; the slowest is measured again at times.

    Args:
        counts: The numbers to choose from.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self._seconds = dict.fromkeys(counts, 0.0)
        self._turns = 0

    def choose(self) -> int:
        """Return the number for the next chunk; one that has not been measured comes first."""
        self._turns += 1
        select = max if self._turns % RETRY_CHUNKS == 0 else min
        return select(self._seconds, key=self._seconds.__getitem__)

    def record(self, count: int, seconds: float) -> None:
        """Record the time that a feature took."""
        self._seconds[count] = seconds


@contextmanager
def _release_on_failure(arrivals: NDArray[np.int64]) -> Iterator[None]:
    """After a failure, let threads pass the barrier that would wait for one that did not start."""
    try:
        yield
    except BaseException:
        arrivals[0] = RELEASED
        raise


def _check_labels(config: LinearTextConfig, texts: WordTexts, labels: TextLabels) -> None:
    """Check what kernels do not.

    Raises:
        DataError: There is no text, or a text has not exactly one label.
        ValueError: Texts and labels, or labels and their number, do not fit together.
    """
    ids = labels.labels.values
    if len(labels.labels) != len(texts.ids) or (len(ids) and not 0 <= ids.min() <= ids.max() < labels.count):
        raise ValueError(f"{len(texts.ids)} texts, {len(labels.labels)} with labels from 0 to {labels.count - 1}")
    if not len(texts.ids):
        raise DataError("there is no text to train on")
    counts = labels.labels.lengths()
    if (np.diff(np.repeat(np.arange(len(counts)), counts) * labels.count + ids) <= 0).any():
        raise ValueError("the labels of a text must ascend")
    if not config.one_vs_all and (counts != 1).any():
        text = int((counts != 1).argmax())
        raise DataError(f"text {text + 1:,} has {counts[text]} labels", "without one-vs-all, each has exactly one")


def _useful_threads(count_N: NDArray[np.int64], stride: int, threads: int) -> int:
    """Return the number of threads that have enough work between two barriers, at most one per vector of a row."""
    features = min(BATCH_FEATURES, BATCH_TEXTS * float(count_N.mean()))
    return max(1, min(threads, stride // WIDTH, int(features * stride / MIN_WORK)))
