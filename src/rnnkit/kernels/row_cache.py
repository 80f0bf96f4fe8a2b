"""Per-thread caches of the most used rows, to avoid contention between cores for the same cache lines.

Two cores that write to the same cache line wait for each other. Most updates fall on few words, so each thread trains
its own copies of their rows, and at intervals adds what has changed to the shared rows and fetches the changes of the
other threads: Vuurens, Eickhoff and de Vries 2016 (arXiv:1606.07822).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.word2vec_arrays import Composition, EmbeddingWeights
from rnnkit.kernels.word_vector_compiler import inlined
from rnnkit.kernels.word_vector_simd import load16, store16

MAX_CACHED_ROWS = 256
"""Rows that are cached per matrix. With the snapshots of both matrices they fill half of a core's own cache."""

SYNC_INTERVAL = 8000
"""Words between two synchronizations."""

NGRAM_SYNC_INTERVAL = 1000
"""The same with n-grams. Each n-gram is trained by many words, so the changes of several threads soon add up to much
more than a single thread would have made."""


class RowCache(NamedTuple):
    """The location of a thread's cached rows.

    After the cached rows, both matrices hold a snapshot of the rows at the last synchronization.

    Attributes:
        size: Cached rows per matrix: output rows 0 to `size` - 1 are cached. 0 for a single thread.
        first_output: Output row of the first cached row.
        input_rows: The input rows that are cached, `size` of them.
        first_input: Input row of the first cached row; equal to `first_output` if each word is its own row.
        sync_interval: Words between two synchronizations.
    """

    size: int
    first_output: int
    input_rows: NDArray[np.int64]
    first_input: int
    sync_interval: int = SYNC_INTERVAL


def total_cache_rows(threads: int, rows: int) -> int:
    """Return the rows that the caches of all threads take in each matrix, for a vocabulary of `rows` ids."""
    return 0 if threads == 1 else threads * 2 * min(MAX_CACHED_ROWS, rows)


def no_cache() -> RowCache:
    """Return the empty cache of a single thread."""
    return RowCache(0, 0, np.empty(0, np.int64), 0)


def most_used_rows(composition: Composition, uses_V: NDArray[np.floating[Any]], count: int) -> NDArray[np.int64]:
    """Return the `count` most used input rows in ascending order, given how often each word is used."""
    if not len(composition.starts_V):
        return np.arange(min(count, len(uses_V)))
    uses_R = np.bincount(composition.rows, np.repeat(uses_V, np.diff(composition.starts_V)))
    return np.sort(np.argsort(-uses_R, kind="stable")[:count])


def cached_composition(composition: Composition, cache: RowCache) -> Composition:
    """Return the composition of words with cached input rows in place of shared ones."""
    if not cache.size or not len(composition.rows):
        return composition
    row_of = np.arange(composition.rows.max() + 1, dtype=np.int32)
    is_used = cache.input_rows < len(row_of)
    row_of[cache.input_rows[is_used]] = cache.first_input + np.flatnonzero(is_used)
    return composition._replace(rows=row_of[composition.rows])


@inlined
def cached_row(cache: RowCache, word: int) -> int:
    """Return the row in which the thread trains a word: its cached row, or the shared one."""
    return word + (cache.first_output if word < cache.size else 0)


@inlined
def shared_row(cache: RowCache, row: int) -> int:
    """Return the word of a row: the inverse of `cached_row`."""
    return row - (cache.first_output if row >= cache.first_output and cache.size > 0 else 0)


@inlined
def fill_cache(weights: EmbeddingWeights, cache: RowCache) -> None:
    """Copy the shared rows to the cache."""
    for i in range(cache.size):
        _fill_row(weights.inputs, cache.input_rows[i], cache.first_input + i, cache.size, weights.stride)
        _fill_row(weights.outputs, i, cache.first_output + i, cache.size, weights.stride)


@inlined
def sync_cache(weights: EmbeddingWeights, cache: RowCache) -> None:
    """Add the changes of the cached rows to the shared rows, and copy these again."""
    for i in range(cache.size):
        _sync_row(weights.inputs, cache.input_rows[i], cache.first_input + i, cache.size, weights.stride)
        _sync_row(weights.outputs, i, cache.first_output + i, cache.size, weights.stride)


@inlined
def _fill_row(matrix: Any, shared: int, cached: int, size: int, stride: int) -> None:
    for d in range(0, stride, 16):
        values = load16(matrix, shared * stride + d)
        store16(matrix, cached * stride + d, values)
        store16(matrix, (cached + size) * stride + d, values)


@inlined
def _sync_row(matrix: Any, shared: int, cached: int, size: int, stride: int) -> None:
    for d in range(0, stride, 16):
        current, snapshot = cached * stride + d, (cached + size) * stride + d
        values = load16(matrix, shared * stride + d) + (load16(matrix, current) - load16(matrix, snapshot))
        store16(matrix, shared * stride + d, values)
        store16(matrix, current, values)
        store16(matrix, snapshot, values)
