"""Random numbers by counting: number i of a stream is a hash of the seed and i, so that none waits for another.

SplitMix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
"""

from __future__ import annotations

import numpy as np

from rnnkit.kernels.word_vector_compiler import inlined

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


@inlined
def random_bits(seed: np.uint64, index: int) -> np.uint64:
    """64 random bits: number `index` of the stream `seed`."""
    value = seed + _STEP * np.uint64(index)
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


@inlined
def bounded_integer(drawn: np.uint64, limit: int) -> np.int64:
    """A whole number from 0 to `limit` - 1, from the high half of random bits."""
    return np.int64(((drawn >> _HALF) * np.uint64(limit)) >> _HALF)


@inlined
def low_bits(drawn: np.uint64) -> np.uint32:
    """The 32 bits that `below` does not look at."""
    return np.uint32(drawn & _LOW)
