"""Kernels of the HMM alignment model: the forward-backward algorithm, expected counts and links.

`rnnkit.alignment.alignment_models` has the equations. Forward probabilities are scaled to sum to one at each target
position, and the backward ones by the same factors, so that long sentences do not underflow.

Legend: m source words and n target words in a sentence pair; states k = 0 .. m are the last aligned source word, with
k = 0 before the first one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.ibm2_expectation import add_posteriors, argmax_links, gather_probabilities, max_length
from rnnkit.kernels.word_alignment import BitextChunk, Counts, WordPairTable, inlined, kernel


class HmmTransitions(NamedTuple):
    """Transition probabilities.

    Attributes:
        null: Probability that a target word is aligned to the NULL word.
        jump_D: Weight c(d) of each jump, at index d + (length of the longest source sentence).
        total_MK: Z(k, m), in row m and column k.
    """

    null: float
    jump_D: NDArray[np.float64]
    total_MK: NDArray[np.float64]


class HmmCounts(NamedTuple):
    """Expected counts of one thread, in fixed point.

    Attributes:
        count_A: Count of each word pair.
        jump_D: Count of each jump.
        left_MK: How often state k of a sentence of m words is left for another source word.
    """

    count_A: Counts
    jump_D: Counts
    left_MK: Counts


class HmmBuffers(NamedTuple):
    """Scratch arrays for one sentence pair, large enough for the longest; K is m + 1 states."""

    slot_TS: NDArray[np.int64]
    p_TS: NDArray[np.float64]
    linked_TK: NDArray[np.float64]
    null_TK: NDArray[np.float64]
    share_TK: NDArray[np.float64]
    scale_T: NDArray[np.float64]
    rate_K: NDArray[np.float64]
    beta_K: NDArray[np.float64]
    next_beta_K: NDArray[np.float64]
    emission_K: NDArray[np.float64]
    jump_D: NDArray[np.float64]
    left_K: NDArray[np.float64]


@inlined
def allocate_buffers(chunk: BitextChunk, jumps: int) -> HmmBuffers:
    """Allocate scratch arrays for the longest sentences of a chunk."""
    m, n = max_length(chunk.source_begin_N1), max_length(chunk.target_begin_N1)
    return HmmBuffers(
        np.empty((n, m + 1), dtype=np.int64), np.empty((n, m + 1)), np.empty((n, m + 1)), np.empty((n, m + 1)),
        np.empty((n, m + 1)), np.empty(n), np.empty(m + 1), np.empty(m + 1), np.empty(m + 1), np.empty(m + 1),
        np.zeros(jumps), np.zeros(m + 1),
    )  # fmt: skip


@inlined
def run_forward(transitions: HmmTransitions, m: int, n: int, buffers: HmmBuffers) -> float:
    """Run the forward pass; return log p of the target sentence.

    Fills `linked` and `null`, both divided by `scale`, and `share`: f_i-1(k) (1 - null) / Z(k, m).
    """
    middle = len(transitions.jump_D) // 2
    log_p = 0.0
    for k in range(m + 1):
        buffers.rate_K[k] = (1 - transitions.null) / transitions.total_MK[m, k]
    for i in range(n):
        total = 0.0
        for k in range(m + 1):
            alpha = (buffers.linked_TK[i - 1, k] + buffers.null_TK[i - 1, k]) if i > 0 else (1.0 if k == 0 else 0.0)
            buffers.share_TK[i, k] = alpha * buffers.rate_K[k]
            buffers.null_TK[i, k] = alpha * transitions.null * buffers.p_TS[i, m]
            total += buffers.null_TK[i, k]
        buffers.linked_TK[i, 0] = 0.0
        for j in range(1, m + 1):
            reached = 0.0
            for k in range(m + 1):
                reached += buffers.share_TK[i, k] * transitions.jump_D[j - k + middle]
            buffers.linked_TK[i, j] = reached * buffers.p_TS[i, j - 1]
            total += buffers.linked_TK[i, j]
        for k in range(m + 1):
            buffers.linked_TK[i, k] /= total
            buffers.null_TK[i, k] /= total
        buffers.scale_T[i] = total
        log_p += np.log(total)
    return log_p


@inlined
def run_backward(transitions: HmmTransitions, m: int, n: int, buffers: HmmBuffers) -> None:
    """Run the backward pass: turn p(target | source) into link posteriors, in place, and sum up the transitions.

    `beta` is b_i, scaled such that sum_k f_i(k) b_i(k) = 1.
    """
    middle = len(transitions.jump_D) // 2
    buffers.beta_K[: m + 1] = 1.0
    buffers.left_K[: m + 1] = 0.0
    buffers.jump_D[middle - m : middle + m + 1] = 0.0
    for i in range(n - 1, -1, -1):
        null = buffers.p_TS[i, m] * transitions.null / buffers.scale_T[i]
        buffers.p_TS[i, m] = buffers.null_TK[i, 0] * buffers.beta_K[0]
        for j in range(1, m + 1):
            buffers.emission_K[j] = buffers.p_TS[i, j - 1] * buffers.beta_K[j] / buffers.scale_T[i]
            buffers.p_TS[i, j - 1] = buffers.linked_TK[i, j] * buffers.beta_K[j]
            buffers.p_TS[i, m] += buffers.null_TK[i, j] * buffers.beta_K[j]
        for k in range(m + 1):
            share, total = buffers.share_TK[i, k], 0.0
            for j in range(1, m + 1):
                reached = transitions.jump_D[j - k + middle] * buffers.emission_K[j]
                buffers.jump_D[j - k + middle] += share * reached
                total += reached
            buffers.left_K[k] += share * total
            buffers.next_beta_K[k] = total * buffers.rate_K[k] + null * buffers.beta_K[k]
        buffers.beta_K[: m + 1] = buffers.next_beta_K[: m + 1]


@kernel
def count_hmm_chunk(
    chunk: BitextChunk, table: WordPairTable, transitions: HmmTransitions, scale: float, counts: HmmCounts
) -> float:
    """Run the E-step over some sentence pairs.

    Args:
        chunk: The sentence pairs.
        table: The lexical translation table.
        transitions: The transition probabilities.
        scale: Fixed-point scale of the counts.
        counts: Expected counts; added to.

    Returns:
        log p of all target sentences, in nats.
    """
    middle = len(transitions.jump_D) // 2
    buffers = allocate_buffers(chunk, len(transitions.jump_D))
    log_p = 0.0
    for sentence in range(len(chunk.shape_N)):
        m, n = gather_probabilities(table, chunk, sentence, buffers.slot_TS, buffers.p_TS)
        if m == 0 or n == 0:
            continue
        log_p += run_forward(transitions, m, n, buffers)
        run_backward(transitions, m, n, buffers)
        add_posteriors(buffers.slot_TS, buffers.p_TS, n, m + 1, scale, counts.count_A)
        for d in range(middle - m, middle + m + 1):
            counts.jump_D[d] += np.int64(buffers.jump_D[d] * scale + 0.5)
        for k in range(m + 1):
            counts.left_MK[m, k] += np.int64(buffers.left_K[k] * scale + 0.5)
    return log_p


@kernel
def link_hmm_chunk(
    chunk: BitextChunk, table: WordPairTable, transitions: HmmTransitions, link_T: NDArray[np.int32]
) -> None:
    """Write, for each target word, its most probable source position in the sentence, or NULL_LINK."""
    buffers = allocate_buffers(chunk, len(transitions.jump_D))
    for sentence in range(len(chunk.shape_N)):
        m, n = gather_probabilities(table, chunk, sentence, buffers.slot_TS, buffers.p_TS)
        if m > 0:
            run_forward(transitions, m, n, buffers)
            run_backward(transitions, m, n, buffers)
        argmax_links(buffers.p_TS, chunk, sentence, m, link_T)


@kernel
def sum_by_jump(rate_MK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum, for each jump, over the states (k, m) from which it leads to a word of the sentence."""
    longest = len(rate_MK) - 1
    change_D = np.zeros(2 * longest + 2)
    for m in range(1, longest + 1):
        for k in range(m + 1):
            change_D[1 - k + longest] += rate_MK[m, k]
            change_D[m - k + longest + 1] -= rate_MK[m, k]
    return np.cumsum(change_D)[:-1]
