"""Kernels of IBM Model 2 with a diagonal prior: posteriors, expected counts and links.

`rnnkit.alignment.alignment_models` has the equations. The prior falls by a constant factor from one source word to the
next on either side of the diagonal, so that one row of it takes two calls of exp.

Legend: m source words and n target words in a sentence pair; i is a target position and j a source position, both from
0; column m of an array (T, S) belongs to the NULL word.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.word_alignment import BitextChunk, Counts, WordPairTable, find_slot, inlined, kernel

NULL_LINK = -1
"""Stands for the NULL word where a target word's source position is given."""


class DiagonalPrior(NamedTuple):
    """The alignment prior.

    Attributes:
        null: Probability of the NULL word.
        tension: How strongly the prior favors the diagonal.
        weight_begin_H: For each shape of sentence pairs, the offset of its target positions in `weight_W`.
    """

    null: float
    tension: float
    weight_begin_H: NDArray[np.int64]


class DiagonalCounts(NamedTuple):
    """Expected counts of one thread, in fixed point.

    Attributes:
        count_A: Count of each word pair.
        weight_W: For each target position of each shape, how often it is aligned to a source word.
        distance: Sum of the distances of the links from the diagonal; one element.
    """

    count_A: Counts
    weight_W: Counts
    distance: Counts


@inlined
def fill_prior(prior_S: NDArray[np.float64], i: int, m: int, n: int, tension: float) -> float:
    """Write exp(tension h) of target position `i` for each of the `m` source words; return their sum."""
    relative = (i + 1) / n
    before = ((i + 1) * m) // n  # source words up to the diagonal
    factor = np.exp(-tension / m)
    total = 0.0
    value = np.exp(-tension * (relative - before / m))
    for j in range(before - 1, -1, -1):
        prior_S[j] = value
        total += value
        value *= factor
    value = np.exp(-tension * ((before + 1) / m - relative))
    for j in range(before, m):
        prior_S[j] = value
        total += value
        value *= factor
    return total


@inlined
def gather_probabilities(
    table: WordPairTable, chunk: BitextChunk, sentence: int, slot_TS: NDArray[np.int64], p_TS: NDArray[np.float64]
) -> tuple[int, int]:
    """Look up the slot and p(target | source) of every word pair of a sentence pair.

    Returns:
        The lengths m and n of the two sentences; if either is 0, nothing is looked up.
    """
    source_S = chunk.source_S[chunk.source_begin_N1[sentence] : chunk.source_begin_N1[sentence + 1]]
    target_T = chunk.target_T[chunk.target_begin_N1[sentence] : chunk.target_begin_N1[sentence + 1]]
    null_row, m, n = len(table.begin_R1) - 2, len(source_S), len(target_T)
    if m == 0 or n == 0:
        return m, n
    for j in range(m + 1):
        row = null_row if j == m else source_S[j]
        for i in range(n):
            slot = find_slot(table, row, target_T[i])
            slot_TS[i, j] = slot
            p_TS[i, j] = table.p_A[slot]
    return m, n


@inlined
def compute_posteriors(
    prior: DiagonalPrior, m: int, n: int, p_TS: NDArray[np.float64], prior_S: NDArray[np.float64]
) -> float:
    """Turn p(target | source) into the posterior of each link, in place; return log p of the target sentence."""
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
def add_posteriors(
    slot_TS: NDArray[np.int64], p_TS: NDArray[np.float64], n: int, columns: int, scale: float, count_A: Counts
) -> None:
    """Add the posterior of each link to the count of its word pair."""
    for i in range(n):
        for j in range(columns):
            count_A[slot_TS[i, j]] += np.int64(p_TS[i, j] * scale + 0.5)


@inlined
def max_length(begin_N1: NDArray[np.int64]) -> int:
    """Compute the length of the longest sentence."""
    longest = 0
    for sentence in range(len(begin_N1) - 1):
        longest = max(longest, begin_N1[sentence + 1] - begin_N1[sentence])
    return longest


@inlined
def argmax_links(
    p_TS: NDArray[np.float64], chunk: BitextChunk, sentence: int, m: int, link_T: NDArray[np.int32]
) -> None:
    """Write, for each target word of a sentence pair, the most probable of its `m` source words, or NULL_LINK."""
    begin = chunk.target_begin_N1[sentence]
    for i in range(chunk.target_begin_N1[sentence + 1] - begin):
        best = m
        for j in range(m):
            if p_TS[i, j] > p_TS[i, best]:
                best = j
        link_T[begin + i] = NULL_LINK if best == m else best


@kernel
def count_diagonal_chunk(
    chunk: BitextChunk, table: WordPairTable, prior: DiagonalPrior, scale: float, counts: DiagonalCounts
) -> float:
    """Run the E-step over some sentence pairs.

    Args:
        chunk: The sentence pairs.
        table: The lexical translation table.
        prior: The alignment prior.
        scale: Fixed-point scale of the counts.
        counts: Expected counts; added to.

    Returns:
        log p of all target sentences, in nats.
    """
    max_m, max_n = max_length(chunk.source_begin_N1), max_length(chunk.target_begin_N1)
    slot_TS = np.empty((max_n, max_m + 1), dtype=np.int64)
    p_TS = np.empty((max_n, max_m + 1))
    prior_S = np.empty(max_m)
    log_p = 0.0
    for sentence in range(len(chunk.shape_N)):
        m, n = gather_probabilities(table, chunk, sentence, slot_TS, p_TS)
        if m == 0 or n == 0:
            continue
        log_p += compute_posteriors(prior, m, n, p_TS, prior_S)
        add_posteriors(slot_TS, p_TS, n, m + 1, scale, counts.count_A)
        begin = prior.weight_begin_H[chunk.shape_N[sentence]]
        distance = 0.0
        for i in range(n):
            counts.weight_W[begin + i] += np.int64((1 - p_TS[i, m]) * scale + 0.5)
            for j in range(m):
                distance += p_TS[i, j] * abs((i + 1) / n - (j + 1) / m)
        counts.distance[0] += np.int64(distance * scale + 0.5)
    return log_p


@kernel
def link_diagonal_chunk(
    chunk: BitextChunk, table: WordPairTable, prior: DiagonalPrior, link_T: NDArray[np.int32]
) -> None:
    """Write, for each target word, its most probable source position in the sentence, or NULL_LINK."""
    max_m, max_n = max_length(chunk.source_begin_N1), max_length(chunk.target_begin_N1)
    slot_TS = np.empty((max_n, max_m + 1), dtype=np.int64)
    p_TS = np.empty((max_n, max_m + 1))
    prior_S = np.empty(max_m)
    for sentence in range(len(chunk.shape_N)):
        m, n = gather_probabilities(table, chunk, sentence, slot_TS, p_TS)
        if m > 0:
            compute_posteriors(prior, m, n, p_TS, prior_S)
        argmax_links(p_TS, chunk, sentence, m, link_T)


@kernel
def distance_moments(
    shapes_H2: NDArray[np.int64], weight_begin_H: NDArray[np.int64], weight_W: Counts, scale: float, tension: float
) -> tuple[float, float, float]:
    """Compute, summed over all target words with their weights, log Z and the mean and variance of the distance.

    Mean and variance are those under the prior with the given tension.
    """
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
