"""From sentence pairs to a word table and a prior: expectation-maximisation, the sentences spread over threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment import diagonal, hmm
from rnnkit.alignment.bitext import Bitext, Chunk
from rnnkit.alignment.options import HMM, AlignmentOptions
from rnnkit.alignment.pair_table import PairTable, count_scale, make_table, normalise
from rnnkit.events import Listener, Progress, null_listener

_ROWS_A_TASK = 1 << 10

Tally = diagonal.Tally | hmm.Tally
Prior = diagonal.Diagonal | hmm.Walk
T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """What was learned about one direction.

    Attributes:
        table: p(target | source).
        prior: Which source word a target word may belong to, before the words are looked at.
        tension: How strongly links are drawn to the diagonal.
        bits: Bits a target word before each pass, shape (passes,).
    """

    table: PairTable
    prior: Prior
    tension: float
    bits: tuple[float, ...]


def estimate(
    bitext: Bitext, options: AlignmentOptions, threads: int = 1, listen: Listener = null_listener, task: str = ""
) -> Model:
    """Learn a direction.

    Args:
        bitext: The pairs; the target side's words are explained by the source side's.
        options: How.
        threads: Threads; the result does not depend on their number.
        listen: Hears about progress.
        task: What to call the work.
    """
    with _workers(bitext, threads) as work:
        learning = _Learning(make_table(bitext), options, work, listen, task)
        prior: Prior
        prior = start = _learn_diagonal(learning, bitext)
        if options.model == HMM:
            prior = _learn_walk(learning, int(bitext.source.length_N.max(initial=0)))
        learning.tell(finished=True)
        return Model(learning.table, prior, start.tension, tuple(learning.bits))


def link(bitext: Bitext, model: Model, threads: int = 1) -> NDArray[np.int32]:
    """The most probable source word of each target word.

    Args:
        bitext: The pairs that the model was learned from.
        model: The model.
        threads: Threads.

    Returns:
        For the target words of all sentences, one after the other: place of the source word in its sentence, or NONE.
    """
    with _workers(bitext, threads) as work:
        return work.link(model.table, model.prior)


@dataclass
class _Learning:
    """A direction that is being learned: its word table, and bits a target word before each pass so far."""

    table: PairTable
    options: AlignmentOptions
    work: _Workers
    listen: Listener
    task: str
    bits: list[float] = field(default_factory=list)

    def look(self, prior: Prior, make_tally: Callable[[], Any]) -> Any:
        """Pass over the text once, renew the word table, and return what was counted."""
        self.tell()
        tally, bits = self.work.count(self.table, prior, make_tally)
        self.bits.append(bits)
        self.work.normalise(self.table, tally.count_A, self.options.alpha)
        return tally

    def tell(self, finished: bool = False) -> None:
        """Say how far it has come."""
        passes = self.options.iterations * (2 if self.options.model == HMM else 1)
        self.listen(Progress(self.task, len(self.bits), passes, unit="passes", finished=finished))


def _learn_diagonal(learning: _Learning, bitext: Bitext) -> diagonal.Diagonal:
    """The passes of the diagonal model; returns its prior."""
    options, work = learning.options, learning.work
    shapes_H2, _ = bitext.shapes()
    begin_H1 = np.concatenate(([0], np.cumsum(shapes_H2[:, 1])))
    prior = diagonal.Diagonal(options.null, options.tension, begin_H1[:-1])
    for index in range(options.iterations):
        tally = learning.look(prior, lambda: diagonal.make_tally(len(learning.table.p_A), begin_H1[-1]))
        if options.learn_tension and index and bitext.target_words:
            prior = prior._replace(tension=diagonal.fit_tension(shapes_H2, prior, tally, work.scale))
    return prior


def _learn_walk(learning: _Learning, longest: int) -> hmm.Walk:
    """The passes of the HMM; returns its jumps."""
    options, work = learning.options, learning.work
    walk = hmm.make_walk(options.null, hmm.even_jumps(), longest)
    for _ in range(options.iterations):
        tally = learning.look(walk, lambda: hmm.make_tally(len(learning.table.p_A), longest))
        walk = hmm.make_walk(options.null, hmm.fit_jumps(walk, tally, work.scale, options.jump_steps), longest)
    return walk


class _Workers:
    """Threads that each look at a chunk of sentence pairs at a time."""

    def __init__(self, bitext: Bitext, pool: ThreadPoolExecutor, threads: int) -> None:
        self.bitext = bitext
        self.scale = count_scale(bitext.target_words)
        self._pool = pool
        self._threads = threads
        self._cuts = list(pairwise(bitext.cuts().tolist()))
        self._shape_N = bitext.shapes()[1]

    def count(self, table: PairTable, prior: Prior, make_tally: Callable[[], Any]) -> tuple[Any, float]:
        """The expectation step: counts of all sentences, and bits a target word."""
        tallies = [make_tally() for _ in range(self._threads)]
        free: SimpleQueue[Any] = SimpleQueue()
        for tally in tallies:
            free.put(tally)
        count_chunk: Any = hmm.count_chunk if isinstance(prior, hmm.Walk) else diagonal.count_chunk

        def count(chunk: Chunk) -> float:
            tally = free.get()
            try:
                return float(count_chunk(chunk, table, prior, self.scale, tally))
            finally:
                free.put(tally)

        log_p = math.fsum(self._map(count))
        for other in tallies[1:]:
            for mine, theirs in zip(tallies[0], other, strict=True):
                mine += theirs
        return tallies[0], -log_p / math.log(2) / max(1, self.bitext.target_words)

    def normalise(self, table: PairTable, count_A: NDArray[np.int64], alpha: float) -> None:
        """The maximisation step of the word table."""
        rows = len(table.begin_R1) - 1
        tasks = [
            self._pool.submit(normalise, table, count_A, self.scale, alpha, first, min(first + _ROWS_A_TASK, rows))
            for first in range(0, rows, _ROWS_A_TASK)
        ]
        for task in tasks:
            task.result()

    def link(self, table: PairTable, prior: Prior) -> NDArray[np.int32]:
        """The source word of each target word."""
        link_chunk: Any = hmm.link_chunk if isinstance(prior, hmm.Walk) else diagonal.link_chunk

        def link(chunk: Chunk) -> NDArray[np.int32]:
            link_T = np.empty(len(chunk.target_T), dtype=np.int32)
            link_chunk(chunk, table, prior, link_T)
            return link_T

        return np.concatenate([np.empty(0, np.int32), *self._map(link)])

    def _map(self, act: Callable[[Chunk], T]) -> Sequence[T]:
        """Act on each chunk; the results in order."""
        return list(self._pool.map(lambda cut: act(self.bitext.chunk(cut[0], cut[1], self._shape_N)), self._cuts))


@contextmanager
def _workers(bitext: Bitext, threads: int) -> Iterator[_Workers]:
    with ThreadPoolExecutor(threads) as pool:
        yield _Workers(bitext, pool, threads)
