"""What is drawn at random: which words are kept, and which rows stand against the word that was there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels import splitmix
from rnnkit.kernels.row_cache import RowCache, cached_row, shared_row
from rnnkit.kernels.word2vec_arrays import aligned_zeros
from rnnkit.kernels.word_vector_compiler import inlined, kernel

TILE = 6
"""Output rows that the kernels take together: the word that was there and five of noise."""

NO_REPEATS = -1
"""In place of a window's greatest total less one: no word was drawn twice, and no total needs to be put back."""

TILE_LANES = 8
"""Lanes that the scores of a tile take; the last two are left over."""
_UNIT = 1 << 32


class OutputSamples(NamedTuple):
    """The output rows that were drawn for some windows; a window has `tiles` tiles of TILE rows.

    Attributes:
        rows: Words, window by window: the word that was there, then noise. No word is there twice but the spare.
        totals: For each tile eight lanes: how often each was drawn; 0 for the spare.
        offsets: As `totals`: what is taken from each score.
        repeated: For each window the greatest total less one, or CLEAN.
        signs: For the tiles of one window eight lanes each: 1 for the word that was there, -1 for noise.
        tiles: Tiles a window.
    """

    rows: NDArray[np.int64]
    totals: NDArray[np.float32]
    offsets: NDArray[np.float32]
    repeated: NDArray[np.int64]
    signs: NDArray[np.float32]
    tiles: int


class NoiseDistribution(NamedTuple):
    """The distribution that noise words are drawn from, as an alias table (Walker 1977, Vose 1991).

    Attributes:
        columns_V2: Column v gives word v where 32 random bits are below its first number, else the second.
        offsets_V: What is taken from a word's score: log(k P(v)) for noise-contrastive estimation, else 0.
    """

    columns_V2: NDArray[np.uint32]
    offsets_V: NDArray[np.float32]


def noise_probabilities(counts_V: NDArray[np.int64], exponent: float) -> NDArray[np.float64]:
    """P(v) in proportion to count ** exponent; words that were never met are never drawn."""
    weights_V = np.where(counts_V > 0, counts_V.astype(np.float64), 1.0) ** exponent * (counts_V > 0)
    return np.asarray(weights_V / weights_V.sum())


def keep_probabilities(counts_V: NDArray[np.int64], sample: float) -> NDArray[np.float32]:
    """Chance of each word to be kept: sqrt(t / f) + t / f, f its share of the text (word2vec.c); 0 if never met.

    Args:
        counts_V: Occurrences.
        sample: t; words with a greater share of the text are thinned out. 0 keeps all.
    """
    shares_V = np.maximum(counts_V / max(1, counts_V.sum()), 1e-300)
    chances_V = np.sqrt(sample / shares_V) + sample / shares_V if sample else np.ones(len(counts_V))
    return (np.minimum(chances_V, 1.0) * (counts_V > 0)).astype(np.float32)


def make_noise_distribution(
    counts_V: NDArray[np.int64], exponent: float, negatives: int, contrastive: bool
) -> NoiseDistribution:
    """The noise of a vocabulary.

    Args:
        counts_V: Occurrences.
        exponent: Of the counts; 0.75 in word2vec.
        negatives: Noise words for each word that was there.
        contrastive: Noise-contrastive estimation rather than negative sampling.
    """
    probabilities_V = noise_probabilities(counts_V, exponent)
    offsets_V = np.zeros(len(counts_V), np.float32)
    if contrastive:
        offsets_V = np.log(negatives * np.maximum(probabilities_V, 1e-30)).astype(np.float32)
    return NoiseDistribution(_alias_table(probabilities_V), offsets_V)


def make_samples(windows: int, negatives: int, spare: int) -> OutputSamples:
    """Room for the draws of so many windows.

    Args:
        windows: How many.
        negatives: Noise words for each.
        spare: A row that may be written but is never looked at, for lanes left over.
    """
    tiles = (negatives + TILE) // TILE
    signs, totals, offsets = (
        aligned_zeros(tiles * TILE_LANES),
        aligned_zeros(windows * tiles * TILE_LANES),
        aligned_zeros(windows * tiles * TILE_LANES),
    )
    rows, repeated = aligned_zeros(windows * tiles * TILE, np.int64), aligned_zeros(windows, np.int64)
    lanes = np.arange(negatives + 1)
    totals.reshape(windows, -1)[:, lanes // TILE * TILE_LANES + lanes % TILE] = 1
    signs[:], rows[:], repeated[:] = -1, spare, NO_REPEATS
    signs[0] = 1
    return OutputSamples(rows, totals, offsets, repeated, signs, tiles)


def _alias_table(probabilities_V: NDArray[np.float64]) -> NDArray[np.uint32]:
    size = len(probabilities_V)
    columns_V2 = np.empty((size, 2), np.uint32)
    columns_V2[:, 0] = _UNIT - 1
    columns_V2[:, 1] = np.arange(size)
    _fill_alias_table(probabilities_V * size, np.empty(size, np.int64), np.empty(size, np.int64), columns_V2)
    return columns_V2


@kernel
def _fill_alias_table(heights_V: Any, low: Any, high: Any, columns_V2: Any) -> None:
    """Cut what is above 1 from high columns and fill low ones with it, so that each holds two words at most."""
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
        columns_V2[small, 0] = np.uint32(heights_V[small] * (_UNIT - 1))
        columns_V2[small, 1] = large
        heights_V[large] -= 1 - heights_V[small]
        if heights_V[large] < 1:
            highs -= 1
            low[lows] = large
            lows += 1


@inlined
def sample_noise(noise: NoiseDistribution, seed: np.uint64, index: int) -> np.int64:
    """A noise word: number `index` of the stream `seed`."""
    drawn = splitmix.random_bits(seed, index)
    column = splitmix.bounded_integer(drawn, len(noise.columns_V2))
    alias = np.int64(noise.columns_V2[column, 1])
    taken = np.int64(splitmix.low_bits(drawn) >= noise.columns_V2[column, 0])  # no branch: half would be guessed wrong
    return column + taken * (alias - column)


@inlined
def subsample(ids: Any, start: int, stop: int, keep_V: Any, seed: np.uint64, before: int, kept: Any) -> int:
    """Copy the words of a segment that are kept; returns how many.

    Words that the text does not count, such as padding, have chance 0, so that windows reach over them. What is drawn
    depends on the word's place in the whole text, `before` words of which come before `ids`.
    """
    count = 0
    for place in range(start, stop):
        word = np.int64(ids[place])
        kept[count] = word
        chance = np.float32(splitmix.random_bits(seed, before + place) >> np.uint64(40)) * np.float32(2.0**-24)
        count += chance < keep_V[word]
    return count


@inlined
def sample_outputs(
    draws: OutputSamples, window: int, target: int, negatives: int, noise: NoiseDistribution, contrastive: bool,
    seed: np.uint64, index: int, spare: int, hot: RowCache,
) -> None:  # fmt: skip
    """Choose the output rows of one window.

    Args:
        draws: Takes them.
        window: Number of the window there.
        target: The word that was there.
        negatives: Noise words to draw.
        noise: Where they come from.
        contrastive: Noise that hits the target counts, as noise-contrastive estimation has it; else it is dropped.
        seed: Of the stream.
        index: Number of the first draw in the stream.
        spare: Takes the place of a word that is there already.
        hot: Which words have rows of the thread's own; `target` is such a row then.
    """
    first = window * draws.tiles * TILE
    rows = draws.rows[first : first + negatives + 1]
    rows[0] = target
    for draw in range(negatives):
        rows[draw + 1] = cached_row(hot, int(sample_noise(noise, seed, index + draw)))
    repeats = 0
    for later in range(1, negatives + 1):
        for earlier in range(later):
            repeats += rows[later] == rows[earlier]
    if repeats or draws.repeated[window] >= 0:
        _merge_repeats(draws, window, rows, repeats, contrastive, spare)
    if contrastive:
        for lane in range(negatives + 1):
            draws.offsets[_lane_index(window, lane, draws.tiles)] = noise.offsets_V[shared_row(hot, rows[lane])]


@inlined
def _merge_repeats(draws: OutputSamples, window: int, rows: Any, repeats: int, contrastive: bool, spare: int) -> None:
    """Leave each word once, with its total."""
    _reset_counts(draws.totals, window, draws.tiles, len(rows) - 1)
    draws.repeated[window] = 0 if repeats else NO_REPEATS
    for later in range(1, len(rows)):
        for earlier in range(later):
            if rows[later] == rows[earlier]:
                seen = _lane_index(window, earlier, draws.tiles)
                draws.totals[_lane_index(window, later, draws.tiles)] = 0
                if earlier > 0 or contrastive:
                    draws.totals[seen] += 1
                    draws.repeated[window] = max(draws.repeated[window], np.int64(draws.totals[seen]) - 1)
                rows[later] = spare
                break


@inlined
def _reset_counts(totals: Any, window: int, tiles: int, negatives: int) -> None:
    """Each row was drawn once."""
    for lane in range(negatives + 1):
        totals[_lane_index(window, lane, tiles)] = 1


@inlined
def _lane_index(window: int, lane: int, tiles: int) -> int:
    """Where the total of a window's row stands."""
    return window * tiles * TILE_LANES + lane // TILE * TILE_LANES + lane % TILE
