"""The two matrices that are learned, in rows that vector registers like."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CACHE_LINE_BYTES = 64
"""Bytes of a cache line; every row begins one."""

_ROW_FLOATS = CACHE_LINE_BYTES // 4


class EmbeddingWeights(NamedTuple):
    """Input and output rows, one after the other, each padded with zeros to whole cache lines.

    Attributes:
        inputs: Flat. Row r is `inputs[r * stride : r * stride + D]`: first the words', then the n-grams'.
        outputs: Flat. The words' rows alone.
        stride: Floats from one row to the next.
    """

    inputs: NDArray[np.float32]
    outputs: NDArray[np.float32]
    stride: int


def padded_dimension(dimension: int) -> int:
    """Floats that a row takes."""
    return -(-dimension // _ROW_FLOATS) * _ROW_FLOATS


def memory_bytes(input_rows: int, output_rows: int, dimension: int) -> int:
    """What `make_weights` allocates."""
    return 4 * padded_dimension(dimension) * (input_rows + output_rows)


def init_weights(
    input_rows: int, output_rows: int, dimension: int, first: int, seed: int, copies: int = 0
) -> EmbeddingWeights:
    """Weights as word2vec starts: inputs uniform in +-1/(2D), outputs zero.

    Args:
        input_rows: Words and n-grams.
        output_rows: Words.
        dimension: D.
        first: Rows before this belong to special symbols and stay zero.
        seed: Of the random numbers.
        copies: Rows behind the others, for threads to keep copies in.
    """
    stride = padded_dimension(dimension)
    weights = EmbeddingWeights(
        aligned_zeros((input_rows + copies) * stride), aligned_zeros((output_rows + copies) * stride), stride
    )
    generator = np.random.default_rng(seed)
    rows = weights.inputs.reshape(-1, stride)
    block = 1 << 10  # a block at a time: the random numbers are of no further use
    for start in range(first, input_rows, block):
        part = rows[start : start + block, :dimension]
        part[:] = (generator.random(part.shape, dtype=np.float32) - np.float32(0.5)) / np.float32(dimension)
    return weights


def extra_rows(weights: EmbeddingWeights, words: int) -> int:
    """Rows behind those of the words, that threads keep copies in."""
    return len(weights.outputs) // weights.stride - words


def unpadded_rows(flat: NDArray[np.float32], stride: int, dimension: int) -> NDArray[np.float32]:
    """A view of the rows without their padding, (rows, D)."""
    return flat.reshape(-1, stride)[:, :dimension]


def aligned_zeros(size: int, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """Zeros in cache lines of their own: two threads that write to one line wait for each other."""
    bytes_wanted = -(-size * np.dtype(dtype).itemsize // CACHE_LINE_BYTES) * CACHE_LINE_BYTES
    room = np.zeros(bytes_wanted + CACHE_LINE_BYTES, np.uint8)
    skip = -room.ctypes.data % CACHE_LINE_BYTES
    return room[skip : skip + bytes_wanted].view(dtype)[:size]


class Composition(NamedTuple):
    """The input rows that each word is made of: its own, then those of its n-grams.

    Attributes:
        starts_V: Rows of vocabulary row v are `rows[starts_V[v]:starts_V[v + 1]]`. Empty where each word is its own.
        rows: Rows of the input matrix; bucket b is row V + b.
        parts: How much each of them counts in the mean.
        rates: How far each of them goes of a step.
    """

    starts_V: NDArray[np.int64]
    rows: NDArray[np.int32]
    parts: NDArray[np.float32]
    rates: NDArray[np.float32]
