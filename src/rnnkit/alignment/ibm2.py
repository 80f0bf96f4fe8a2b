"""IBM's second model with a prior of one parameter, the tension (Dyer, Chahuneau and Smith 2013, fast_align).

    h(i, j, m, n)  = -|i / n - j / m|                                      distance from the diagonal
    d(j | i, m, n) = null                                                  j = 0, the empty word
                     (1 - null) exp(tension h(i, j, m, n)) / Z_i           j = 1 .. m
    p(t_i)         = sum_j d(j | i, m, n) p(t_i | s_j)

with a source sentence of m words and a target sentence of n. Along a row the prior falls by one factor from word to
word on either side of the diagonal, so that two exponentials make a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.compiled import inlined, kernel
from rnnkit.alignment.options import MAX_TENSION, MIN_TENSION
from rnnkit.kernels.word_pair_table import BitextChunk, Counts, WordPairTable, find_slot

NONE = -1
"""Stands for the empty word where a target word's source word is named."""

_NEWTON_STEPS = 20
_CLOSE = 1e-6


class Diagonal(NamedTuple):
    """The prior, and where its counts go.

    Attributes:
        null: Probability of the empty word.
        tension: How strongly links are drawn to the diagonal.
        weight_begin_H: For each shape of sentence pairs, where its target words' weights begin.
    """

    null: float
    tension: float
    weight_begin_H: NDArray[np.int64]


class Tally(NamedTuple):
    """Expected counts of one thread, as whole numbers.

    Attributes:
        count_A: Of each pair of words.
        weight_W: For each target word of each shape, how often it belonged to a source word.
        distance: Their distances from the diagonal, summed; one number.
    """

    count_A: Counts
    weight_W: Counts
    distance: Counts


def make_tally(slots: int, weights: int) -> Tally:
    """Counts of nothing yet."""
    return Tally(np.zeros(slots, np.int64), np.zeros(weights, np.int64), np.zeros(1, np.int64))


@inlined
def fill_prior(prior_S: NDArray[np.float64], i: int, m: int, n: int, tension: float) -> float:
    """Write exp(tension h) of target word `i`, from 0, for each of `m` source words; returns their sum."""
    place = (i + 1) / n
    before = ((i + 1) * m) // n  # source words up to the diagonal
    factor = np.exp(-tension / m)
    total = 0.0
    value = np.exp(-tension * (place - before / m))
    for j in range(before - 1, -1, -1):
        prior_S[j] = value
        total += value
        value *= factor
    value = np.exp(-tension * ((before + 1) / m - place))
    for j in range(before, m):
        prior_S[j] = value
        total += value
        value *= factor
    return total


@inlined
def look_up(
    table: WordPairTable, chunk: BitextChunk, sentence: int, slot_TS: NDArray[np.int64], p_TS: NDArray[np.float64]
) -> tuple[int, int]:
    """The slot and p(target | source) of every two words of a sentence pair; the empty word is column m.

    Returns:
        Words of the source sentence, m, and of the target sentence, n; where one is 0 there is nothing to look at.
    """
    source_S = chunk.source_S[chunk.source_begin_N1[sentence] : chunk.source_begin_N1[sentence + 1]]
    target_T = chunk.target_T[chunk.target_begin_N1[sentence] : chunk.target_begin_N1[sentence + 1]]
    null, m, n = len(table.begin_R1) - 2, len(source_S), len(target_T)
    if m == 0 or n == 0:
        return m, n
    for j in range(m + 1):
        row = null if j == m else source_S[j]
        for i in range(n):
            slot = find_slot(table, row, target_T[i])
            slot_TS[i, j] = slot
            p_TS[i, j] = table.p_A[slot]
    return m, n


@inlined
def weigh(prior: Diagonal, m: int, n: int, p_TS: NDArray[np.float64], prior_S: NDArray[np.float64]) -> float:
    """Turn p(target | source) into the posterior of each link, in place; returns log p of the target sentence."""
    log_p = 0.0
    for i in range(n):
        share = (1 - prior.null) / fill_prior(prior_S, i, m, n, prior.tension)
        p_TS[i, m] *= prior.null
        total = p_TS[i, m]
        for j in range(m):
            p_TS[i, j] *= prior_S[j] * share
            total += p_TS[i, j]
        log_p += np.log(total)
        for j in range(m + 1):
            p_TS[i, j] /= total
    return log_p


@inlined
def count_links(
    slot_TS: NDArray[np.int64], p_TS: NDArray[np.float64], n: int, columns: int, scale: float, count_A: Counts
) -> None:
    """Add the posterior of each link to its pair's count."""
    for i in range(n):
        for j in range(columns):
            count_A[slot_TS[i, j]] += np.int64(p_TS[i, j] * scale + 0.5)


@inlined
def widest(begin_N1: NDArray[np.int64]) -> int:
    """Words of the longest sentence."""
    most = 0
    for sentence in range(len(begin_N1) - 1):
        most = max(most, begin_N1[sentence + 1] - begin_N1[sentence])
    return most


@inlined
def choose(p_TS: NDArray[np.float64], chunk: BitextChunk, sentence: int, m: int, link_T: NDArray[np.int32]) -> None:
    """For each target word of a sentence pair the most probable of its `m` source words, or NONE."""
    begin = chunk.target_begin_N1[sentence]
    for i in range(chunk.target_begin_N1[sentence + 1] - begin):
        best = m
        for j in range(m):
            if p_TS[i, j] > p_TS[i, best]:
                best = j
        link_T[begin + i] = NONE if best == m else best


@kernel
def count_chunk(chunk: BitextChunk, table: WordPairTable, prior: Diagonal, scale: float, tally: Tally) -> float:
    """The expectation step for some sentence pairs.

    Args:
        chunk: The pairs.
        table: The word table.
        prior: The prior.
        scale: What counts are multiplied with.
        tally: Counts are added here.

    Returns:
        log p of all target sentences, in nats.
    """
    most_m, most_n = widest(chunk.source_begin_N1), widest(chunk.target_begin_N1)
    slot_TS = np.empty((most_n, most_m + 1), dtype=np.int64)
    p_TS = np.empty((most_n, most_m + 1))
    prior_S = np.empty(most_m)
    log_p = 0.0
    for sentence in range(len(chunk.shape_N)):
        m, n = look_up(table, chunk, sentence, slot_TS, p_TS)
        if m == 0 or n == 0:
            continue
        log_p += weigh(prior, m, n, p_TS, prior_S)
        count_links(slot_TS, p_TS, n, m + 1, scale, tally.count_A)
        begin = prior.weight_begin_H[chunk.shape_N[sentence]]
        distance = 0.0
        for i in range(n):
            tally.weight_W[begin + i] += np.int64((1 - p_TS[i, m]) * scale + 0.5)
            for j in range(m):
                distance += p_TS[i, j] * abs((i + 1) / n - (j + 1) / m)
        tally.distance[0] += np.int64(distance * scale + 0.5)
    return log_p


@kernel
def link_chunk(chunk: BitextChunk, table: WordPairTable, prior: Diagonal, link_T: NDArray[np.int32]) -> None:
    """For each target word the source word that it most probably belongs to, by its place in the sentence, or NONE."""
    most_m, most_n = widest(chunk.source_begin_N1), widest(chunk.target_begin_N1)
    slot_TS = np.empty((most_n, most_m + 1), dtype=np.int64)
    p_TS = np.empty((most_n, most_m + 1))
    prior_S = np.empty(most_m)
    for sentence in range(len(chunk.shape_N)):
        m, n = look_up(table, chunk, sentence, slot_TS, p_TS)
        if m > 0:
            weigh(prior, m, n, p_TS, prior_S)
        choose(p_TS, chunk, sentence, m, link_T)


@kernel
def _moments(
    shapes_H2: NDArray[np.int64], weight_begin_H: NDArray[np.int64], weight_W: Counts, scale: float, tension: float
) -> tuple[float, float, float]:
    """Of all target words with their weights: log Z, and mean and variance of the distance under the prior, summed."""
    log_z, mean, variance = 0.0, 0.0, 0.0
    prior_S = np.empty(shapes_H2[:, 0].max())
    for shape in range(len(shapes_H2)):
        m, n = shapes_H2[shape]
        if m == 0:
            continue
        for i in range(n):
            weight = weight_W[weight_begin_H[shape] + i] / scale
            total = fill_prior(prior_S, i, m, n, tension)
            first, second = 0.0, 0.0
            for j in range(m):
                distance = abs((i + 1) / n - (j + 1) / m)
                first += prior_S[j] * distance
                second += prior_S[j] * distance * distance
            first /= total
            log_z += weight * np.log(total)
            mean += weight * first
            variance += weight * (second / total - first * first)
    return log_z, mean, variance


def fit_tension(shapes_H2: NDArray[np.int64], prior: Diagonal, tally: Tally, scale: float) -> float:
    """The tension that makes the links most probable: the maximisation step.

        L(tension)  = -tension D - sum_i w_i log Z_i(tension)      D: expected distance, w_i: weight of a target word
        L'(tension) = sum_i w_i E_i[distance] - D                  L'' = -sum_i w_i Var_i[distance]

    L is concave. Newton's steps, halved until L does not fall, end at its highest place between the bounds.

    Args:
        shapes_H2: The different pairs of lengths.
        prior: The prior as it was.
        tally: What was counted with it.
        scale: What counts were multiplied with.
    """

    def measure(tension: float) -> tuple[float, float, float]:
        log_z, mean, variance = _moments(shapes_H2, prior.weight_begin_H, tally.weight_W, scale, tension)
        return -tension * distance - log_z, mean - distance, variance

    distance = int(tally.distance[0]) / scale
    tension = prior.tension
    value, slope, variance = measure(tension)
    for _ in range(_NEWTON_STEPS):
        step = slope / variance if variance > 0 else 0.0
        wanted = min(max(tension + step, MIN_TENSION), MAX_TENSION)
        if abs(wanted - tension) < _CLOSE:
            break
        better = measure(wanted)
        while better[0] < value and abs(wanted - tension) >= _CLOSE:
            wanted = (wanted + tension) / 2
            better = measure(wanted)
        if better[0] < value:
            break
        tension, (value, slope, variance) = wanted, better
    return tension
