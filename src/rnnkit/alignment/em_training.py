"""Expectation-maximization: from sentence pairs to a lexical translation table and an alignment prior.

IBM Model 2 with a diagonal prior is trained first; the HMM starts from its translation table. Threads share the
sentences in chunks, each adding to expected counts of its own. The counts are fixed-point integers, so their sum, and
with it the trained model, does not depend on the number of threads.

Memory: about 25 bytes per word pair that co-occurs, and 12 more per thread for its counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.alignment_models import (
    HMM,
    AlignmentModel,
    AlignmentOptions,
    Prior,
    fit_jump_weights,
    fit_tension,
    initial_jump_weights,
    make_transitions,
    zero_diagonal_counts,
    zero_hmm_counts,
)
from rnnkit.alignment.bitext import Bitext
from rnnkit.alignment.translation_table import count_scale, make_word_pair_table
from rnnkit.events import Listener, Progress, null_listener
from rnnkit.kernels.hmm_forward_backward import HmmCounts, HmmTransitions, count_hmm_chunk, link_hmm_chunk
from rnnkit.kernels.ibm2_expectation import DiagonalCounts, DiagonalPrior, count_diagonal_chunk, link_diagonal_chunk
from rnnkit.kernels.word_alignment import BitextChunk, WordPairTable, normalize_counts

T = TypeVar("T")
Counts = TypeVar("Counts", DiagonalCounts, HmmCounts)

_ROWS_PER_TASK = 1 << 10


def train_alignment_model(
    bitext: Bitext, options: AlignmentOptions, threads: int = 1, listen: Listener = null_listener, task: str = ""
) -> AlignmentModel:
    """Train a model that aligns target words to source words.

    Args:
        bitext: The sentence pairs.
        options: How to train.
        threads: Number of threads; the result does not depend on it.
        listen: Receives progress.
        task: Task name in progress events.
    """
    with _workers(bitext, threads) as workers:
        training = _EmTraining(make_word_pair_table(bitext), options, workers, listen, task)
        prior: Prior
        prior = diagonal = _train_diagonal(training, bitext)
        if options.model == HMM:
            prior = _train_hmm(training, int(bitext.source.length_N.max(initial=0)))
        training.report(finished=True)
        return AlignmentModel(training.table, prior, diagonal.tension, tuple(training.bits))


def predict_links(bitext: Bitext, model: AlignmentModel, threads: int = 1) -> NDArray[np.int32]:
    """Align each target word to the source word with the highest posterior probability.

    Args:
        bitext: The sentence pairs that the model was trained on.
        model: The model.
        threads: Number of threads.

    Returns:
        For the target words of all sentences, concatenated: source position in the sentence, or NULL_LINK.
    """
    with _workers(bitext, threads) as workers:
        return workers.predict_links(model.table, model.prior)


@dataclass
class _EmTraining:
    """State of a training run.

    Attributes:
        table: The lexical translation table, updated in place.
        options: How to train.
        workers: Threads that process the sentences.
        listen: Receives progress.
        task: Task name in progress events.
        bits: Cross-entropy of each iteration so far, in bits per target word.
    """

    table: WordPairTable
    options: AlignmentOptions
    workers: _Workers
    listen: Listener
    task: str
    bits: list[float] = field(default_factory=list)

    def run_iteration(self, prior: Prior, zero_counts: Callable[[], Counts]) -> Counts:
        """Run one EM iteration of the translation table; return the expected counts."""
        self.report()
        counts, bits = self.workers.collect_counts(self.table, prior, zero_counts)
        self.bits.append(bits)
        self.workers.normalize(self.table, counts.count_A, self.options.alpha)
        return counts

    def report(self, finished: bool = False) -> None:
        """Report progress."""
        iterations = self.options.iterations * (2 if self.options.model == HMM else 1)
        self.listen(Progress(self.task, len(self.bits), iterations, unit="iterations", finished=finished))


def _train_diagonal(training: _EmTraining, bitext: Bitext) -> DiagonalPrior:
    """Train the diagonal model; return its prior."""
    options, workers = training.options, training.workers
    shapes_H2, _ = bitext.shapes()
    begin_H1 = np.concatenate(([0], np.cumsum(shapes_H2[:, 1])))
    prior = DiagonalPrior(options.null, options.tension, begin_H1[:-1])
    for iteration in range(options.iterations):
        counts = training.run_iteration(prior, lambda: zero_diagonal_counts(len(training.table.p_A), begin_H1[-1]))
        # In the first iteration the table is uniform, so the posterior equals the prior: nothing to learn from.
        if options.learn_tension and iteration and bitext.target_words:
            prior = prior._replace(tension=fit_tension(shapes_H2, prior, counts, workers.scale))
    return prior


def _train_hmm(training: _EmTraining, longest: int) -> HmmTransitions:
    """Train the HMM; return its transitions."""
    options, workers = training.options, training.workers
    transitions = make_transitions(options.null, initial_jump_weights(), longest)
    for _ in range(options.iterations):
        counts = training.run_iteration(transitions, lambda: zero_hmm_counts(len(training.table.p_A), longest))
        weights = fit_jump_weights(transitions, counts, workers.scale, options.jump_steps)
        transitions = make_transitions(options.null, weights, longest)
    return transitions


class _Workers:
    """Threads that each process one chunk of sentence pairs at a time."""

    def __init__(self, bitext: Bitext, pool: ThreadPoolExecutor, threads: int) -> None:
        self.bitext = bitext
        self.scale = count_scale(bitext.target_words)
        self._pool = pool
        self._threads = threads
        self._bounds = list(pairwise(bitext.chunk_bounds().tolist()))
        self._shape_N = bitext.shapes()[1]

    def collect_counts(
        self, table: WordPairTable, prior: Prior, zero_counts: Callable[[], Counts]
    ) -> tuple[Counts, float]:
        """Run the E-step; return the expected counts of all sentences and the bits per target word."""
        counts_per_thread = [zero_counts() for _ in range(self._threads)]
        available: SimpleQueue[Counts] = SimpleQueue()
        for counts in counts_per_thread:
            available.put(counts)
        count_chunk: Callable[..., float] = (
            count_hmm_chunk if isinstance(prior, HmmTransitions) else count_diagonal_chunk
        )

        def count(chunk: BitextChunk) -> float:
            counts = available.get()
            try:
                return float(count_chunk(chunk, table, prior, self.scale, counts))
            finally:
                available.put(counts)

        log_p = math.fsum(self._map(count))
        total = counts_per_thread[0]
        for other in counts_per_thread[1:]:
            for total_array, array in zip(total, other, strict=True):
                total_array += array
        return total, -log_p / math.log(2) / max(1, self.bitext.target_words)

    def normalize(self, table: WordPairTable, count_A: NDArray[np.int64], alpha: float) -> None:
        """Run the M-step of the translation table."""
        rows = len(table.begin_R1) - 1
        tasks = [
            self._pool.submit(
                normalize_counts, table, count_A, self.scale, alpha, first, min(first + _ROWS_PER_TASK, rows)
            )
            for first in range(0, rows, _ROWS_PER_TASK)
        ]
        for task in tasks:
            task.result()

    def predict_links(self, table: WordPairTable, prior: Prior) -> NDArray[np.int32]:
        """Return the source position of each target word, or NULL_LINK."""
        link_chunk: Callable[..., None] = link_hmm_chunk if isinstance(prior, HmmTransitions) else link_diagonal_chunk

        def link(chunk: BitextChunk) -> NDArray[np.int32]:
            link_T = np.empty(len(chunk.target_T), dtype=np.int32)
            link_chunk(chunk, table, prior, link_T)
            return link_T

        return np.concatenate([np.empty(0, np.int32), *self._map(link)])

    def _map(self, function: Callable[[BitextChunk], T]) -> Sequence[T]:
        """Apply a function to each chunk; return the results in order."""

        def apply(bounds: tuple[int, int]) -> T:
            first, last = bounds
            return function(self.bitext.chunk(first, last, self._shape_N))

        return list(self._pool.map(apply, self._bounds))


@contextmanager
def _workers(bitext: Bitext, threads: int) -> Iterator[_Workers]:
    with ThreadPoolExecutor(threads) as pool:
        yield _Workers(bitext, pool, threads)
