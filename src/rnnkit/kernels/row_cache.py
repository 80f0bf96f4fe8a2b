"""Copies of the rows that are used most, one set a thread, so that cores need not pass those rows to and fro.

Two cores that write the same cache line wait for each other every time. Most writes fall on few words; so each thread
learns its own copy of their rows, and every so many words adds what has changed to the shared rows and takes over
what the others have added: Vuurens, Eickhoff and de Vries 2016 (arXiv:1606.07822).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.word2vec_arrays import Composition, EmbeddingWeights
from rnnkit.kernels.word_vector_compiler import inlined
from rnnkit.kernels.word_vector_simd import load16, store16

MAX_CACHED_ROWS = 256
"""Rows that are copied. Twice as many in two matrices are half of a core's own cache."""

SYNC_INTERVAL = 8000
"""Words from one exchange to the next."""

NGRAM_SYNC_INTERVAL = 1000
"""The same with n-grams, each of which is learned with many words: what the copies learn apart soon adds up to more
than one of them alone would have learned."""


class RowCache(NamedTuple):
    """Where a thread's copies are.

    Behind the copies in either matrix stand the rows as the last exchange left them.

    Attributes:
        rows: Output rows before this one are copied; 0 where a thread is alone.
        first: Output row of the first copy.
        inputs: Input rows that are copied, as many.
        first_input: Input row of the first copy; that of the outputs where each word is its own row.
        interval: Words from one exchange to the next.
    """

    rows: int
    first: int
    inputs: NDArray[np.int64]
    first_input: int
    interval: int = SYNC_INTERVAL


def total_cache_rows(threads: int, rows: int) -> int:
    """Rows that the copies of all threads take in each matrix, `rows` being those of the vocabulary."""
    return 0 if threads == 1 else threads * 2 * min(MAX_CACHED_ROWS, rows)


def no_cache() -> RowCache:
    """For a thread that is alone."""
    return RowCache(0, 0, np.empty(0, np.int64), 0)


@inlined
def cached_row(hot: RowCache, word: int) -> int:
    """The row that a thread learns a word in."""
    return word + (hot.first if word < hot.rows else 0)


@inlined
def shared_row(hot: RowCache, row: int) -> int:
    """The word whose row a thread learns there."""
    return row - (hot.first if row >= hot.first and hot.rows > 0 else 0)


@inlined
def fill_cache(weights: EmbeddingWeights, hot: RowCache) -> None:
    """Copy the shared rows."""
    for i in range(hot.rows):
        _fill_row(weights.inputs, hot.inputs[i], hot.first_input + i, hot.rows, weights.stride)
        _fill_row(weights.outputs, i, hot.first + i, hot.rows, weights.stride)


@inlined
def sync_cache(weights: EmbeddingWeights, hot: RowCache) -> None:
    """Add what has changed to the shared rows, and copy them again."""
    for i in range(hot.rows):
        _sync_row(weights.inputs, hot.inputs[i], hot.first_input + i, hot.rows, weights.stride)
        _sync_row(weights.outputs, i, hot.first + i, hot.rows, weights.stride)


@inlined
def _fill_row(matrix: Any, shared: int, own: int, rows: int, stride: int) -> None:
    for d in range(0, stride, 16):
        now = load16(matrix, shared * stride + d)
        store16(matrix, own * stride + d, now)
        store16(matrix, (own + rows) * stride + d, now)


@inlined
def _sync_row(matrix: Any, shared: int, own: int, rows: int, stride: int) -> None:
    for d in range(0, stride, 16):
        place, before = own * stride + d, (own + rows) * stride + d
        now = load16(matrix, shared * stride + d) + (load16(matrix, place) - load16(matrix, before))
        store16(matrix, shared * stride + d, now)
        store16(matrix, place, now)
        store16(matrix, before, now)


def most_used_rows(composition: Composition, uses_V: NDArray[np.floating[Any]], most: int) -> NDArray[np.int64]:
    """The input rows that are used most, in their order.

    Args:
        composition: What words are made of.
        uses_V: How often each word is used.
        most: How many are wanted.
    """
    if not len(composition.starts_V):
        return np.arange(min(most, len(uses_V)))
    uses_R = np.bincount(composition.rows, np.repeat(uses_V, np.diff(composition.starts_V)))
    return np.sort(np.argsort(-uses_R, kind="stable")[:most])


def cached_composition(composition: Composition, hot: RowCache) -> Composition:
    """What words are made of, for a thread with copies."""
    if not hot.rows or not len(composition.rows):
        return composition
    row_of = np.arange(composition.rows.max() + 1, dtype=np.int32)
    copied = hot.inputs < len(row_of)
    row_of[hot.inputs[copied]] = hot.first_input + np.flatnonzero(copied)
    return composition._replace(rows=row_of[composition.rows])
