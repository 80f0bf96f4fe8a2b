"""Links as a walk over the source sentence (Vogel, Ney and Tillmann 1996; the empty word as in Och and Ney 2003).

A target word belongs to the source word k = 1 .. m or to none, and the walk remembers the last source word; k = 0 is
the place before the first. With c the weights of jumps, those of more than `REACH` words sharing one on each side,

    p(k -> j)    = (1 - null) c(j - k) / Z(k, m)      Z(k, m) = sum over j = 1 .. m of c(j - k)
    p(k -> none) = null                                k stays

    forward    f_i(k) = real_i(k) + none_i(k)          log p = sum_i log of what f_i is divided by to sum to one
               real_i(j) = p(t_i | s_j) sum_k f_i-1(k) p(k -> j)      none_i(k) = p(t_i | none) null f_i-1(k)
    backward   b_i(k) = sum_j p(k -> j) p(t_i+1 | s_j) b_i+1(j) + null p(t_i+1 | none) b_i+1(k)

and the posterior of a link is real_i(j) b_i(j).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.alignment.compiled import inlined, kernel
from rnnkit.alignment.ibm2 import choose, count_links, look_up, widest
from rnnkit.alignment.options import MAX_JUMP, MIN_JUMP_WEIGHT
from rnnkit.kernels.word_pair_table import BitextChunk, Counts, WordPairTable


class HmmTransitions(NamedTuple):
    """The walk's probabilities.

    Attributes:
        null: Probability that a target word belongs to no source word.
        jump_D: Weight c(d) of each jump, at place d + (length of the longest sentence).
        total_MK: Z(k, m), in row m and column k.
    """

    null: float
    jump_D: NDArray[np.float64]
    total_MK: NDArray[np.float64]


class Tally(NamedTuple):
    """Expected counts of one thread, as whole numbers.

    Attributes:
        count_A: Of each pair of words.
        jump_D: Of each jump.
        left_MK: How often place k of a sentence of m words was left for another source word.
    """

    count_A: Counts
    jump_D: Counts
    left_MK: Counts


class Room(NamedTuple):
    """Arrays for the walk through one sentence pair; K is the source words and, first, the place before them."""

    slot_TS: NDArray[np.int64]
    p_TS: NDArray[np.float64]
    real_TK: NDArray[np.float64]
    none_TK: NDArray[np.float64]
    share_TK: NDArray[np.float64]
    scale_T: NDArray[np.float64]
    rate_K: NDArray[np.float64]
    after_K: NDArray[np.float64]
    before_K: NDArray[np.float64]
    ahead_K: NDArray[np.float64]
    jump_D: NDArray[np.float64]
    left_K: NDArray[np.float64]


def make_walk(null: float, weight_B: NDArray[np.float64], longest: int) -> HmmTransitions:
    """Spread the weights of jumps over all jumps there can be.

    Args:
        null: Probability that a target word belongs to no source word.
        weight_B: c(d) for d from -REACH - 1 to REACH + 1; the first and the last stand for all that are longer.
        longest: Words of the longest source sentence.
    """
    jump_D: NDArray[np.float64] = weight_B[_bucket(longest)]
    before_D1 = np.concatenate(([0.0], np.cumsum(jump_D)))
    m_M1, k_1K = np.arange(longest + 1)[:, None], np.arange(longest + 1)[None, :]
    begin = 1 - k_1K + longest
    total_MK = np.where(k_1K <= m_M1, before_D1[np.minimum(begin + m_M1, 2 * longest + 1)] - before_D1[begin], 1.0)
    return HmmTransitions(null, jump_D, np.where(m_M1 > 0, total_MK, 1.0))


def make_tally(slots: int, longest: int) -> Tally:
    """Counts of nothing yet."""
    jumps, left = np.zeros(2 * longest + 1, np.int64), np.zeros((longest + 1, longest + 1), np.int64)
    return Tally(np.zeros(slots, np.int64), jumps, left)


def even_jumps() -> NDArray[np.float64]:
    """Weights to begin with: longer jumps are rarer, those by one word forward are the most frequent."""
    jump_B = np.arange(-MAX_JUMP - 1, MAX_JUMP + 2)
    weight_B: NDArray[np.float64] = 1.0 / (1.0 + np.abs(jump_B - 1))
    even_B: NDArray[np.float64] = weight_B / weight_B.sum()
    return even_B


def fit_jumps(walk: HmmTransitions, tally: Tally, scale: float, steps: int) -> NDArray[np.float64]:
    """Weights of jumps that make the walks more probable: the maximisation step.

    The weights have no closed form, as Z depends on the sentence's length. Each step raises a lower bound of the
    likelihood that touches it where it stands (Hunter 2004, MM algorithms for generalised Bradley-Terry models):

        c(d) <- C(d) / sum over (k, m) with 1 <= k + d <= m of L(k, m) / Z(k, m)

    with C the expected jumps and L how often a place was left.

    Args:
        walk: The walk as it was.
        tally: What was counted with it.
        scale: What counts were multiplied with.
        steps: How often.

    Returns:
        c(d) for d from -REACH - 1 to REACH + 1.
    """
    longest = (len(walk.jump_D) - 1) // 2
    bucket_D = _bucket(longest)
    count_B = np.bincount(bucket_D, tally.jump_D / scale, 2 * MAX_JUMP + 3)
    weight_B = np.zeros(2 * MAX_JUMP + 3)
    weight_B[bucket_D] = walk.jump_D
    for _ in range(steps):
        rate_MK = tally.left_MK / scale / make_walk(walk.null, weight_B, longest).total_MK
        sum_B = np.bincount(bucket_D, _sum_by_jump(rate_MK), 2 * MAX_JUMP + 3)
        possible = sum_B > MIN_JUMP_WEIGHT
        weight_B[possible] = np.maximum(count_B[possible] / sum_B[possible], MIN_JUMP_WEIGHT)
        weight_B /= weight_B.sum()
    return weight_B


def _bucket(longest: int) -> NDArray[np.int64]:
    """The weight that each jump from -longest to longest has."""
    bucket_D: NDArray[np.int64] = np.clip(np.arange(-longest, longest + 1), -MAX_JUMP - 1, MAX_JUMP + 1) + MAX_JUMP + 1
    return bucket_D


@kernel
def _sum_by_jump(rate_MK: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each jump the sum over the places (k, m) from which it leads into the sentence."""
    longest = len(rate_MK) - 1
    change_D = np.zeros(2 * longest + 2)
    for m in range(1, longest + 1):
        for k in range(m + 1):
            change_D[1 - k + longest] += rate_MK[m, k]
            change_D[m - k + longest + 1] -= rate_MK[m, k]
    return np.cumsum(change_D)[:-1]


@inlined
def _make_room(chunk: BitextChunk, jumps: int) -> Room:
    m, n = widest(chunk.source_begin_N1), widest(chunk.target_begin_N1)
    return Room(
        np.empty((n, m + 1), dtype=np.int64), np.empty((n, m + 1)), np.empty((n, m + 1)), np.empty((n, m + 1)),
        np.empty((n, m + 1)), np.empty(n), np.empty(m + 1), np.empty(m + 1), np.empty(m + 1), np.empty(m + 1),
        np.zeros(jumps), np.zeros(m + 1),
    )  # fmt: skip


@inlined
def _forward(walk: HmmTransitions, m: int, n: int, room: Room) -> float:
    """Fill `real` and `none`, both divided by `scale`, and `share`: f_i-1(k) (1 - null) / Z(k, m); returns log p."""
    middle = len(walk.jump_D) // 2
    log_p = 0.0
    for k in range(m + 1):
        room.rate_K[k] = (1 - walk.null) / walk.total_MK[m, k]
    for i in range(n):
        total = 0.0
        for k in range(m + 1):
            came = (room.real_TK[i - 1, k] + room.none_TK[i - 1, k]) if i > 0 else (1.0 if k == 0 else 0.0)
            room.share_TK[i, k] = came * room.rate_K[k]
            room.none_TK[i, k] = came * walk.null * room.p_TS[i, m]
            total += room.none_TK[i, k]
        room.real_TK[i, 0] = 0.0
        for j in range(1, m + 1):
            reached = 0.0
            for k in range(m + 1):
                reached += room.share_TK[i, k] * walk.jump_D[j - k + middle]
            room.real_TK[i, j] = reached * room.p_TS[i, j - 1]
            total += room.real_TK[i, j]
        for k in range(m + 1):
            room.real_TK[i, k] /= total
            room.none_TK[i, k] /= total
        room.scale_T[i] = total
        log_p += np.log(total)
    return log_p


@inlined
def _backward(walk: HmmTransitions, m: int, n: int, room: Room) -> None:
    """Turn p(target | source) into the posterior of each link, in place; jumps and leaves are summed up.

    `after` is b_i divided so that f_i and it make one: b_i-1 is then divided by the same number as f_i.
    """
    middle = len(walk.jump_D) // 2
    room.after_K[: m + 1] = 1.0
    room.left_K[: m + 1] = 0.0
    room.jump_D[middle - m : middle + m + 1] = 0.0
    for i in range(n - 1, -1, -1):
        null = room.p_TS[i, m] * walk.null / room.scale_T[i]
        room.p_TS[i, m] = room.none_TK[i, 0] * room.after_K[0]
        for j in range(1, m + 1):
            room.ahead_K[j] = room.p_TS[i, j - 1] * room.after_K[j] / room.scale_T[i]
            room.p_TS[i, j - 1] = room.real_TK[i, j] * room.after_K[j]
            room.p_TS[i, m] += room.none_TK[i, j] * room.after_K[j]
        for k in range(m + 1):
            share, found = room.share_TK[i, k], 0.0
            for j in range(1, m + 1):
                reached = walk.jump_D[j - k + middle] * room.ahead_K[j]
                room.jump_D[j - k + middle] += share * reached
                found += reached
            room.left_K[k] += share * found
            room.before_K[k] = found * room.rate_K[k] + null * room.after_K[k]
        room.after_K[: m + 1] = room.before_K[: m + 1]


@kernel
def count_chunk(chunk: BitextChunk, table: WordPairTable, walk: HmmTransitions, scale: float, tally: Tally) -> float:
    """The expectation step for some sentence pairs.

    Args:
        chunk: The pairs.
        table: The word table.
        walk: The jumps.
        scale: What counts are multiplied with.
        tally: Counts are added here.

    Returns:
        log p of all target sentences, in nats.
    """
    middle = len(walk.jump_D) // 2
    room = _make_room(chunk, len(walk.jump_D))
    log_p = 0.0
    for sentence in range(len(chunk.shape_N)):
        m, n = look_up(table, chunk, sentence, room.slot_TS, room.p_TS)
        if m == 0 or n == 0:
            continue
        log_p += _forward(walk, m, n, room)
        _backward(walk, m, n, room)
        count_links(room.slot_TS, room.p_TS, n, m + 1, scale, tally.count_A)
        for d in range(middle - m, middle + m + 1):
            tally.jump_D[d] += np.int64(room.jump_D[d] * scale + 0.5)
        for k in range(m + 1):
            tally.left_MK[m, k] += np.int64(room.left_K[k] * scale + 0.5)
    return log_p


@kernel
def link_chunk(chunk: BitextChunk, table: WordPairTable, walk: HmmTransitions, link_T: NDArray[np.int32]) -> None:
    """For each target word the source word that it most probably belongs to, by its place in the sentence, or NONE."""
    room = _make_room(chunk, len(walk.jump_D))
    for sentence in range(len(chunk.shape_N)):
        m, n = look_up(table, chunk, sentence, room.slot_TS, room.p_TS)
        if m > 0:
            _forward(walk, m, n, room)
            _backward(walk, m, n, room)
        choose(room.p_TS, chunk, sentence, m, link_T)
