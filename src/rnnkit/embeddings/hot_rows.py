"""Copies of the most frequent words' rows, one set a thread, so that cores need not pass those rows to and fro.

Two cores that write the same cache line wait for each other every time. Most writes fall on few words; so each thread
learns its own copy of their rows, and every so many words adds what has changed to the shared rows and takes over
what the others have added: Vuurens, Eickhoff and de Vries 2016 (arXiv:1606.07822).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rnnkit.embeddings.compiled import inlined
from rnnkit.embeddings.lanes import load16, store16
from rnnkit.embeddings.weights import Weights

MOST = 256
"""Rows that are copied. Twice as many in two matrices are half of a core's own cache."""

INTERVAL = 2000
"""Words from one exchange to the next."""


class HotRows(NamedTuple):
    """Where a thread's copies are.

    Attributes:
        rows: Rows before this one are copied; 0 where a thread is alone.
        first: Row of the first copy, in both matrices. Behind the copies stand the rows as the last exchange left them.
    """

    rows: int
    first: int


def copies(threads: int, rows: int) -> int:
    """Rows that the copies of all threads take in each matrix, `rows` being those of the vocabulary."""
    return 0 if threads == 1 else threads * 2 * min(MOST, rows)


@inlined
def own_row(hot: HotRows, word: int) -> int:
    """The row that a thread learns a word in."""
    return word + (hot.first if word < hot.rows else 0)


@inlined
def shared_row(hot: HotRows, row: int) -> int:
    """The word whose row a thread learns there."""
    return row - (hot.first if row >= hot.first and hot.rows > 0 else 0)


@inlined
def take(weights: Weights, hot: HotRows) -> None:
    """Copy the shared rows."""
    for matrix in (weights.inputs, weights.outputs):
        for place in range(0, hot.rows * weights.stride, 16):
            now = load16(matrix, place)
            store16(matrix, hot.first * weights.stride + place, now)
            store16(matrix, (hot.first + hot.rows) * weights.stride + place, now)


@inlined
def exchange(weights: Weights, hot: HotRows) -> None:
    """Add what has changed to the shared rows, and copy them again."""
    for matrix in (weights.inputs, weights.outputs):
        for place in range(0, hot.rows * weights.stride, 16):
            own, before = hot.first * weights.stride + place, (hot.first + hot.rows) * weights.stride + place
            now = load16(matrix, place) + (load16(matrix, own) - load16(matrix, before))
            _store(matrix, place, own, before, now)


@inlined
def _store(matrix: Any, place: int, own: int, before: int, now: Any) -> None:
    store16(matrix, place, now)
    store16(matrix, own, now)
    store16(matrix, before, now)
