"""Subsampling of frequent words, and negative sampling: the output rows that each target is compared with.

Both follow Mikolov et al. 2013 (arXiv:1310.4546). Noise words come from an alias table (Walker 1977, Vose 1991), so
that a sample costs one lookup whatever the size of the vocabulary.

Random numbers are those of SplitMix64, a counter-based generator (Steele, Lea and Flood 2014): number i of a stream is
a hash of the seed and i. They can be drawn in any order and by any thread, so the result depends on the seed and the
position in the text only, not on chunks or threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.word2vec_weights import RowCache, aligned_zeros, cached_row, shared_row
from rnnkit.kernels.word_vector_simd import inlined, kernel

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


TILE = 6
"""Output rows that the kernels process together: with five negatives, a target and its noise words."""

TILE_LANES = 8
"""SIMD lanes that the logits of a tile take; the last two are unused."""

NO_REPEATS = -1
"""Value of `max_repeats` for a window in which all counts are 1, so that they need no reset."""

_UNIT = 1 << 32


class OutputSamples(NamedTuple):
    """The output rows sampled for some windows; a window has `tiles` tiles of TILE rows.

    Attributes:
        rows: Output rows, window by window: the target, then noise words. Only the padding row occurs more than once
            in a window.
        counts: Eight lanes per tile: how often each row was sampled; 0 for the padding row.
        logit_offsets: Eight lanes per tile: what is subtracted from each logit.
        max_repeats: For each window the largest count minus one, or NO_REPEATS.
        signs: Eight lanes for each tile of one window: 1 for the target, -1 for noise words.
        tiles: Tiles per window.
        padding_row: An output row that may be written but is never read, for unused lanes.
    """

    rows: NDArray[np.int64]
    counts: NDArray[np.float32]
    logit_offsets: NDArray[np.float32]
    max_repeats: NDArray[np.int64]
    signs: NDArray[np.float32]
    tiles: int
    padding_row: int


class NoiseDistribution(NamedTuple):
    """The distribution of noise words as an alias table, and how it is used.

    Attributes:
        alias_V2: Column v yields word v if 32 random bits are below its first number, otherwise its second number.
        logit_offsets_V: What is subtracted from a word's logit: log(k P(v)) for noise-contrastive estimation, else 0.
        negatives: k, noise words per target.
        is_nce: Noise samples that equal the target count, as noise-contrastive estimation requires (Gutmann and
            Hyvarinen 2010); negative sampling drops them.
    """

    alias_V2: NDArray[np.uint32]
    logit_offsets_V: NDArray[np.float32]
    negatives: int
    is_nce: bool


def keep_probabilities(counts_V: NDArray[np.int64], threshold: float) -> NDArray[np.float32]:
    """Compute the probability that subsampling keeps each word: sqrt(t / f) + t / f as in word2vec.c; 0 for count 0.

    Args:
        counts_V: Word counts.
        threshold: t; words with a larger share f of the text are subsampled. 0 keeps all.
    """
    shares_V = np.maximum(counts_V / max(1, counts_V.sum()), 1e-300)
    keep_V = np.sqrt(threshold / shares_V) + threshold / shares_V if threshold else np.ones(len(counts_V))
    return (np.minimum(keep_V, 1.0) * (counts_V > 0)).astype(np.float32)


def noise_probabilities(counts_V: NDArray[np.int64], exponent: float) -> NDArray[np.float64]:
    """Compute P(v) proportional to count ** exponent; words of count 0 have probability 0."""
    weights_V = np.where(counts_V > 0, counts_V.astype(np.float64), 1.0) ** exponent * (counts_V > 0)
    return np.asarray(weights_V / weights_V.sum())


def make_noise_distribution(
    counts_V: NDArray[np.int64], exponent: float, negatives: int, is_nce: bool
) -> NoiseDistribution:
    """Build the noise distribution of a vocabulary.

    Args:
        counts_V: Word counts.
        exponent: Of the counts; 0.75 in word2vec.
        negatives: Noise words per target.
        is_nce: Use noise-contrastive estimation instead of negative sampling.
    """
    probabilities_V = noise_probabilities(counts_V, exponent)
    logit_offsets_V = np.zeros(len(counts_V), np.float32)
    if is_nce:
        logit_offsets_V = np.log(negatives * np.maximum(probabilities_V, 1e-30)).astype(np.float32)
    return NoiseDistribution(_alias_table(probabilities_V), logit_offsets_V, negatives, is_nce)


def make_samples(windows: int, negatives: int, padding_row: int) -> OutputSamples:
    """Allocate the samples of `windows` windows with `negatives` noise words each."""
    tiles = (negatives + TILE) // TILE
    signs = aligned_zeros(tiles * TILE_LANES)
    counts, logit_offsets = (aligned_zeros(windows * tiles * TILE_LANES) for _ in range(2))
    rows, max_repeats = aligned_zeros(windows * tiles * TILE, np.int64), aligned_zeros(windows, np.int64)
    lanes = np.arange(negatives + 1)
    counts.reshape(windows, -1)[:, lanes // TILE * TILE_LANES + lanes % TILE] = 1
    signs[:], rows[:], max_repeats[:] = -1, padding_row, NO_REPEATS
    signs[0] = 1
    return OutputSamples(rows, counts, logit_offsets, max_repeats, signs, tiles, padding_row)


def _alias_table(probabilities_V: NDArray[np.float64]) -> NDArray[np.uint32]:
    size = len(probabilities_V)
    alias_V2 = np.empty((size, 2), np.uint32)
    alias_V2[:, 0] = _UNIT - 1
    alias_V2[:, 1] = np.arange(size)
    _fill_alias_table(probabilities_V * size, np.empty(size, np.int64), np.empty(size, np.int64), alias_V2)
    return alias_V2


@kernel
def _fill_alias_table(
    heights_V: NDArray[np.float64], low: NDArray[np.int64], high: NDArray[np.int64], alias_V2: NDArray[np.uint32]
) -> None:
    """Move the excess over 1 from high columns to low ones, until each column holds at most two words."""
    size = len(heights_V)
    lows = highs = 0
    for word in range(size):
        if heights_V[word] < 1:
            low[lows] = word
            lows += 1
        else:
            high[highs] = word
            highs += 1
    while lows and highs:
        lows -= 1
        small, large = low[lows], high[highs - 1]
        alias_V2[small, 0] = np.uint32(heights_V[small] * (_UNIT - 1))
        alias_V2[small, 1] = large
        heights_V[large] -= 1 - heights_V[small]
        if heights_V[large] < 1:
            highs -= 1
            low[lows] = large
            lows += 1


@inlined
def subsample(
    segment: NDArray[np.int32], keep_V: NDArray[np.float32], seed: np.uint64, position: int, kept: NDArray[np.int64]
) -> int:
    """Copy the words of a segment that subsampling keeps, and return their number.

    Ids that are not words, such as padding, have probability 0, so that windows extend over them. The random numbers
    depend on `position`, the position of the segment in the whole text.
    """
    count = 0
    for i in range(len(segment)):
        word = np.int64(segment[i])
        kept[count] = word
        uniform = np.float32(random_bits(seed, position + i) >> np.uint64(40)) * np.float32(2.0**-24)
        count += uniform < keep_V[word]
    return count


@inlined
def sample_noise(noise: NoiseDistribution, seed: np.uint64, index: int) -> np.int64:
    """Return a noise word: number `index` of the stream `seed`."""
    bits = random_bits(seed, index)
    column = bounded_integer(bits, len(noise.alias_V2))
    alias = np.int64(noise.alias_V2[column, 1])
    # Arithmetic instead of a branch, which would be mispredicted half of the time.
    is_alias = np.int64(low_bits(bits) >= noise.alias_V2[column, 0])
    return column + is_alias * (alias - column)


@inlined
def sample_outputs(
    samples: OutputSamples, window: int, target: int, noise: NoiseDistribution, seed: np.uint64, cache: RowCache
) -> None:
    """Sample the output rows of one window.

    Args:
        samples: Receives them.
        window: Index of the window in `samples`.
        target: Output row of the target, in the cache if it is cached.
        noise: The noise distribution.
        seed: Of a stream that begins with this window's first random number.
        cache: The thread's row cache; cached words get rows of it.
    """
    negatives = noise.negatives
    first = window * samples.tiles * TILE
    rows = samples.rows[first : first + negatives + 1]
    rows[0] = target
    for i in range(negatives):
        rows[i + 1] = cached_row(cache, int(sample_noise(noise, seed, i)))
    repeats = 0
    for later in range(1, negatives + 1):
        for earlier in range(later):
            repeats += rows[later] == rows[earlier]
    if repeats or samples.max_repeats[window] >= 0:
        _merge_repeats(samples, window, rows, repeats, noise.is_nce)
    if noise.is_nce:
        for lane in range(negatives + 1):
            offset = noise.logit_offsets_V[shared_row(cache, rows[lane])]
            samples.logit_offsets[lane_index(window, lane, samples.tiles)] = offset


@inlined
def _merge_repeats(samples: OutputSamples, window: int, rows: NDArray[np.int64], repeats: int, is_nce: bool) -> None:
    """Keep the first occurrence of each row with its count; the others become the padding row."""
    for lane in range(len(rows)):
        samples.counts[lane_index(window, lane, samples.tiles)] = 1
    samples.max_repeats[window] = 0 if repeats else NO_REPEATS
    for later in range(1, len(rows)):
        for earlier in range(later):
            if rows[later] == rows[earlier]:
                seen = lane_index(window, earlier, samples.tiles)
                samples.counts[lane_index(window, later, samples.tiles)] = 0
                if earlier > 0 or is_nce:
                    samples.counts[seen] += 1
                    samples.max_repeats[window] = max(samples.max_repeats[window], np.int64(samples.counts[seen]) - 1)
                rows[later] = samples.padding_row
                break


@inlined
def lane_index(window: int, lane: int, tiles: int) -> int:
    """Return the index in `counts` and `logit_offsets` of a window's row."""
    return window * tiles * TILE_LANES + lane // TILE * TILE_LANES + lane % TILE
