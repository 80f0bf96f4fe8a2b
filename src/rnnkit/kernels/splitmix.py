"""SplitMix64, a counter-based random number generator (Steele, Lea and Flood 2014).

Number i of a stream is a hash of the seed and i, so numbers can be drawn in any order and by any thread.
"""

from __future__ import annotations

import numpy as np

from rnnkit.kernels.word_vector_compiler import inlined

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@inlined
def random_bits(seed: np.uint64, index: int) -> np.uint64:
    """Return 64 random bits: number `index` of the stream `seed`."""
    value = seed + _INCREMENT * np.uint64(index)
    value = (value ^ (value >> np.uint64(30))) * _MULTIPLIER_1
    value = (value ^ (value >> np.uint64(27))) * _MULTIPLIER_2
    return value ^ (value >> np.uint64(31))


@inlined
def skip_ahead(seed: np.uint64, count: int) -> np.uint64:
    """Return the seed of the stream that begins at number `count` of the stream `seed`."""
    return seed + _INCREMENT * np.uint64(count)


@inlined
def bounded_integer(bits: np.uint64, limit: int) -> np.int64:
    """Map the high 32 bits of a random number to an integer from 0 to `limit` - 1."""
    return np.int64(((bits >> _HALF) * np.uint64(limit)) >> _HALF)


@inlined
def low_bits(bits: np.uint64) -> np.uint32:
    """Return the low 32 bits, which `bounded_integer` does not use."""
    return np.uint32(bits & _LOW)
