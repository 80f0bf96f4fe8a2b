"""Arrays of the word2vec kernels: the two weight matrices, the composition of words, and scratch buffers.

All arrays are flat, and rows are padded to whole cache lines, so that vector loads never cross into another row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CACHE_LINE_BYTES = 64
"""Size of a cache line; every row begins a new one."""

_ROW_FLOATS = CACHE_LINE_BYTES // 4


class EmbeddingWeights(NamedTuple):
    """Input and output embeddings, each row padded with zeros to whole cache lines.

    Attributes:
        inputs: Flat. Row r is `inputs[r * stride : r * stride + D]`: first the words', then the n-gram buckets'.
        outputs: Flat. The words' rows only.
        stride: Floats from one row to the next.
    """

    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    stride: int


class Composition(NamedTuple):
    """The input rows that each word is composed of: its own, then those of its n-grams.

    Attributes:
        starts_V: The rows of vocabulary id v are `rows[starts_V[v]:starts_V[v + 1]]`. Empty if each word has only its
            own row.
        rows: Rows of the input matrix; bucket b is row V + b.
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
        log_sum: The accumulator of `logistic_loss`.
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
        first_word: Rows before this one belong to special symbols and stay zero.
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
