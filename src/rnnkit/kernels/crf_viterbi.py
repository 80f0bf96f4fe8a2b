"""Linear-chain CRF: the Viterbi algorithm, and the k best label sequences.

    d_1(k) = start_k + e_1(k)      d_t(k) = e_t(k) + max_j (d_t-1(j) + A_jk)      best score = max_j (d_n(j) + end_j)

For the k best sequences, d_t(k) is the descending list of the scores of the K best prefixes that end in label k, and
the maximum the K best of all extensions of such prefixes. Sums are in float64. A task is a sentence.

Letters: n labels in a sentence, C labels in all, K best sequences.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnkit.kernels.array_views import float32_array, float64_array, inlined, int64_array
from rnnkit.kernels.compiler import Float32Array, Float64Array, Int64Array
from rnnkit.kernels.crf_forward_backward import BATCH, LABELS, LENGTHS, SCORES, STEPS
from rnnkit.kernels.threads import TASKS, Arguments, next_task

BEST, START, END, TRANSITIONS, PREFIXES, POINTERS, SEQUENCES, TOTALS = range(SCORES + 1, SCORES + 9)
"""Fields of `viterbi`, where K is 1, and `k_best`: K and the addresses of

    start        (C)           float64  scores, -inf where forbidden
    end          (C)           float64
    transitions  (C, C)        float64
    prefixes     (B, T, C, K)  float64  scratch: scores of the best prefixes that end in each label
    pointers     (B, T, C, K)  int64    scratch of `k_best`: K times the label before, plus the rank of the prefix
    sequences    (B, K, T)     int64    output: labels, best first; zeros at first
    totals       (B, K)        float64  output: scores; -inf beyond the last sequence
"""


class SequenceSearch(NamedTuple):
    """Scores, scratch and outputs of the search for the best label sequences of a sentence; N is C x K."""

    start_C: Float64Array
    end_C: Float64Array
    transition_CC: Float64Array
    scores_TC: Float32Array
    prefix_TN: Float64Array
    pointer_TN: Int64Array
    sequence_KT: Int64Array
    total_K: Float64Array


@inlined
def _search_of(args: Arguments, sentence: int) -> SequenceSearch:
    """Return the arrays of a sentence."""
    steps, labels, best = args[STEPS], args[LABELS], args[BEST]
    scratch = 8 * sentence * steps * labels * best
    return SequenceSearch(
        float64_array(args[START], (labels,)),
        float64_array(args[END], (labels,)),
        float64_array(args[TRANSITIONS], (labels, labels)),
        float32_array(args[SCORES] + 4 * sentence * steps * labels, (steps, labels)),
        float64_array(args[PREFIXES] + scratch, (steps, labels * best)),
        int64_array(args[POINTERS] + scratch, (steps, labels * best)),
        int64_array(args[SEQUENCES] + 8 * sentence * best * steps, (best, steps)),
        float64_array(args[TOTALS] + 8 * sentence * best, (best,)),
    )


@inlined
def _maximize(left_J: Float64Array, matrix_JK: Float64Array, largest_K: Float64Array) -> None:
    """Compute max_j (left_j + matrix_jk), for four rows at a time: one at a time would be stored conditionally."""
    largest_K[:] = -np.inf
    whole = len(left_J) // 4 * 4
    for j in range(0, whole, 4):
        a, b, c, d = left_J[j], left_J[j + 1], left_J[j + 2], left_J[j + 3]
        for k in range(len(largest_K)):
            largest_K[k] = max(
                max(largest_K[k], a + matrix_JK[j, k]),
                max(max(b + matrix_JK[j + 1, k], c + matrix_JK[j + 2, k]), d + matrix_JK[j + 3, k]),
            )
    for j in range(whole, len(left_J)):
        for k in range(len(largest_K)):
            largest_K[k] = max(largest_K[k], left_J[j] + matrix_JK[j, k])


@inlined
def _find_best(prefix_C: Float64Array, into_C: Float64Array) -> int:
    """Return the label with the best prefix, with the score of what follows it; of equal ones, the lowest."""
    label, best = 0, -np.inf
    for j in range(len(prefix_C)):
        if prefix_C[j] + into_C[j] > best:
            label, best = j, prefix_C[j] + into_C[j]
    return label


def viterbi(args: Arguments) -> None:
    """Find the best label sequence of each sentence; of equal ones, that with the lowest last labels."""
    length_B = int64_array(args[LENGTHS], (args[BATCH],))
    task = next_task(args)
    while task < args[TASKS]:
        search, n = _search_of(args, task), length_B[task]
        prefix_TC, label_T, into_C = search.prefix_TN, search.sequence_KT[0], search.end_C
        for t in range(n):
            if t > 0:
                _maximize(prefix_TC[t - 1], search.transition_CC, prefix_TC[t])
            else:
                prefix_TC[0] = search.start_C
            for k in range(args[LABELS]):
                prefix_TC[t, k] += np.float64(search.scores_TC[t, k])
        for t in range(n - 1, -1, -1):
            label_T[t] = _find_best(prefix_TC[t], into_C)
            into_C = search.transition_CC[:, label_T[t]]
        search.total_K[0] = prefix_TC[n - 1, label_T[n - 1]] + search.end_C[label_T[n - 1]] if n > 0 else 0
        if search.total_K[0] == -np.inf:
            label_T[:] = 0
        task = next_task(args)


@inlined
def _find_k_best(before_N: Float64Array, into_C: Float64Array, best_K: Float64Array, pointer_K: Int64Array) -> None:
    """Find the K best of all prefixes, each with the score of what follows its last label."""
    best = len(best_K)
    best_K[:] = -np.inf
    for j in range(len(into_C)):
        for rank in range(best):
            score = before_N[j * best + rank] + into_C[j]
            if not score > best_K[best - 1]:
                break
            place = best - 1
            while place > 0 and score > best_K[place - 1]:
                best_K[place], pointer_K[place] = best_K[place - 1], pointer_K[place - 1]
                place -= 1
            best_K[place], pointer_K[place] = score, j * best + rank


def k_best(args: Arguments) -> None:
    """Find the K best label sequences of each sentence; of equal ones, those with the lowest last labels come first."""
    labels, best, length_B = args[LABELS], args[BEST], int64_array(args[LENGTHS], (args[BATCH],))
    task = next_task(args)
    while task < args[TASKS]:
        search, n = _search_of(args, task), length_B[task]
        prefix_TN, pointer_TN = search.prefix_TN, search.pointer_TN
        prefix_TN[0] = -np.inf
        for k in range(labels):
            prefix_TN[0, k * best] = search.start_C[k]
        for t in range(n):
            for k in range(labels):
                rows = slice(k * best, (k + 1) * best)
                if t > 0:
                    _find_k_best(prefix_TN[t - 1], search.transition_CC[:, k], prefix_TN[t, rows], pointer_TN[t, rows])
                for rank in range(k * best, (k + 1) * best):
                    prefix_TN[t, rank] += np.float64(search.scores_TC[t, k])
        search.total_K[:] = -np.inf
        if n > 0:
            _find_k_best(prefix_TN[n - 1], search.end_C, search.total_K, pointer_TN[0, :best])
        else:
            search.total_K[0] = 0
        for rank in range(best):
            pointer = pointer_TN[0, rank]
            for t in range(n - 1 if search.total_K[rank] > -np.inf else -1, -1, -1):
                search.sequence_KT[rank, t] = pointer // best
                pointer = pointer_TN[t, pointer]
        task = next_task(args)
