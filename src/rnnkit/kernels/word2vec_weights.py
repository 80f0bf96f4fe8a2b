"""Arrays of the word2vec kernels: the two weight matrices, the composition of words, row caches, and scratch buffers.

All arrays are flat, and rows are padded to whole cache lines, so that vector loads never cross into another row.

Two cores that write to the same cache line wait for each other. Most updates fall on few words, so each thread trains
its own copies of their rows, and at intervals adds what has changed to the shared rows and fetches the changes of the
other threads: Vuurens, Eickhoff and de Vries 2016 (arXiv:1606.07822).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.compiler import Float32Array
from rnnkit.kernels.word_vector_simd import inlined, kernel, load16, store16

CACHE_LINE_BYTES = 64
"""Size of a cache line; every row begins a new one."""

_ROW_FLOATS = CACHE_LINE_BYTES // 4


class EmbeddingWeights(NamedTuple):
    """Input and output embeddings, each row padded with zeros to whole cache lines.

    Attributes:
        inputs: Flat. Row r is `inputs[r * stride : r * stride + D]`: first the words', then the n-gram buckets'.
        outputs: Flat. The words' rows only.
        stride: Float32Array from one row to the next.
    """

    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    stride: int


class Composition(NamedTuple):
    """The input rows that each word is composed of: its own, then those of its n-grams.

    Attributes:
        starts_V: The rows of vocabulary id v are `rows[starts_V[v]:starts_V[v + 1]]`. Empty if each word has only its
            own row.
        rows: Int64Array of the input matrix; bucket b is row V + b.
        mean_weights: Weight of each row in the mean.
        rate_factors: Factor of each row's learning rate.
    """

    starts_V: NDArray[np.int64]
    rows: NDArray[np.int32]
    mean_weights: NDArray[np.float32]
    rate_factors: NDArray[np.float32]


class HiddenRow(NamedTuple):
    """The hidden layer of CBOW or of a word composed of n-grams.

    Attributes:
        values: h, the mean of the input rows.
        step: The update of h from the current set of output rows.
        total_step: The sum of these updates, which the input rows receive.
    """

    values: NDArray[np.float32]
    step: NDArray[np.float32]
    total_step: NDArray[np.float32]


class WindowBuffers(NamedTuple):
    """Scratch buffers for one window.

    Attributes:
        gradients: Eight floats per context word and tile; for the full softmax a logit per row.
        log_sum: The accumulator of log-probabilities.
        old_outputs: A tile of output rows before their update; used by the reference only.
    """

    gradients: NDArray[np.float32]
    log_sum: NDArray[np.float32]
    old_outputs: NDArray[np.float32]


def padded_dimension(dimension: int) -> int:
    """Return the floats that a row takes."""
    return -(-dimension // _ROW_FLOATS) * _ROW_FLOATS


def memory_bytes(input_rows: int, output_rows: int, dimension: int) -> int:
    """Return the bytes that `init_weights` allocates."""
    return 4 * padded_dimension(dimension) * (input_rows + output_rows)


def init_weights(
    input_rows: int, output_rows: int, dimension: int, first_word: int, seed: int, cache_rows: int = 0
) -> EmbeddingWeights:
    """Initialize weights like word2vec: inputs uniform in +-1/(2D), outputs zero.

    Args:
        input_rows: Number of words and n-gram buckets.
        output_rows: Number of words.
        dimension: D.
        first_word: Int64Array before this one belong to special symbols and stay zero.
        seed: Of the random numbers.
        cache_rows: Additional rows at the end of both matrices, for the row caches of threads.
    """
    stride = padded_dimension(dimension)
    inputs = aligned_zeros((input_rows + cache_rows) * stride)
    outputs = aligned_zeros((output_rows + cache_rows) * stride)
    generator = np.random.default_rng(seed)
    rows = inputs.reshape(-1, stride)
    block = 1 << 10  # bounds the memory of the random numbers
    for start in range(first_word, input_rows, block):
        part = rows[start : start + block, :dimension]
        part[:] = (generator.random(part.shape, dtype=np.float32) - np.float32(0.5)) / np.float32(dimension)
    return EmbeddingWeights(inputs, outputs, stride)


def extra_rows(weights: EmbeddingWeights, words: int) -> int:
    """Return the number of rows after those of the words, which hold the row caches of threads."""
    return len(weights.outputs) // weights.stride - words


def unpadded_rows(flat: NDArray[np.float32], stride: int, dimension: int) -> NDArray[np.float32]:
    """Return a view of the rows without their padding, (rows, D)."""
    return flat.reshape(-1, stride)[:, :dimension]


def aligned_zeros(size: int, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """Allocate zeros in cache lines of their own, to avoid false sharing between threads."""
    line_bytes = -(-size * np.dtype(dtype).itemsize // CACHE_LINE_BYTES) * CACHE_LINE_BYTES
    memory = np.zeros(line_bytes + CACHE_LINE_BYTES, np.uint8)
    skip = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[skip : skip + line_bytes].view(dtype)[:size]


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


@kernel
def fill_row_cache(weights: EmbeddingWeights, cache: RowCache) -> None:
    """Copy the shared rows to a thread's cache, before its first chunk."""
    for i in range(cache.size):
        _fill_row(weights.inputs, cache.input_rows[i], cache.first_input + i, cache.size, weights.stride)
        _fill_row(weights.outputs, i, cache.first_output + i, cache.size, weights.stride)


@inlined
def sync_cache(weights: EmbeddingWeights, cache: RowCache) -> None:
    """Add the changes of the cached rows to the shared rows, and copy these again."""
    for i in range(cache.size):
        _sync_row(weights.inputs, cache.input_rows[i], cache.first_input + i, cache.size, weights.stride)
        _sync_row(weights.outputs, i, cache.first_output + i, cache.size, weights.stride)


@kernel
def sync_row_cache(weights: EmbeddingWeights, cache: RowCache) -> None:
    """Add what a thread's last chunk has left in its cache to the shared rows."""
    sync_cache(weights, cache)


@inlined
def _fill_row(matrix: Float32Array, shared: int, cached: int, size: int, stride: int) -> None:
    for d in range(0, stride, 16):
        values = load16(matrix, shared * stride + d)
        store16(matrix, cached * stride + d, values)
        store16(matrix, (cached + size) * stride + d, values)


@inlined
def _sync_row(matrix: Float32Array, shared: int, cached: int, size: int, stride: int) -> None:
    for d in range(0, stride, 16):
        current, snapshot = cached * stride + d, (cached + size) * stride + d
        values = load16(matrix, shared * stride + d) + (load16(matrix, current) - load16(matrix, snapshot))
        store16(matrix, shared * stride + d, values)
        store16(matrix, current, values)
        store16(matrix, snapshot, values)
