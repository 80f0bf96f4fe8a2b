"""Linear-chain CRF: the forward-backward algorithm, and expected counts of transitions.

`nn/crf_reference.py` has the equations in logarithms. Here scores are exponentials in float64, a(j, k) = exp(A_jk) and
e_t(k) = exp(emission), and the scales s_t make each beta_t sum to one:

    beta_n(j) = exp(end_j)      beta_t(j) = 1/s_t sum_k a(j, k) e_t+1(k) beta_t+1(k)
    g_t(k)    = e_t(k) beta_t(k) / s_t-1
    p(k | j)  = a(j, k) g_t+1(k) / beta_t(j)            probability of label k at t + 1 after label j at t
    f_t+1(k)  = sum_j (f_t(j) + v_t(j)) p(k | j)        flow: the marginal if all weights are 1

The loss of a sentence is the sum of -w_t log p(y_t | y_t-1), its derivative by the emissions f_t(k) - w_t [k = y_t].
The flow starts with w_1, and v_t(y_t) = w_t+1 - w_t enters it where the weight of the gold labels changes. With q =
(f + v) / beta, the expected count of a transition is a(j, k) sum_t q_t(j) g_t+1(k).

A product below 1e-308 counts as zero. What is lost by that is bounded by the smallest scale and the largest |q|, and a
sentence beyond the bounds is marked UNSAFE, so that the caller computes it in logarithms. Scores a model learns are far
from them.

A task is a sentence, or some rows of the transition matrix. No sum depends on other sentences or on threads.

Letters: n labels in a sentence, C labels in all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnkit.kernels.array_views import float32_array, float64_array, inlined, int64_array
from rnnkit.kernels.compiler import Float32Array, Float64Array, Int64Array
from rnnkit.kernels.threads import FIRST_FIELD, TASKS, Arguments, next_task

SAFE, UNSAFE, INVALID = range(3)
"""Status of a sentence: computed; to be computed in logarithms; a gold label is not a label."""

MIN_PROBABILITY, MAX_RATIO = 1e-100, 1e150
"""Bounds of a safe sentence: of scales and p(y_t | y_t-1), and of |q|."""

ROWS = 8
"""Rows of the transition matrix in a task; they share what is loaded of g."""

BATCH, STEPS, LABELS, LENGTHS, SCORES = range(FIRST_FIELD, FIRST_FIELD + 5)
"""Fields of all kernels of CRFs: B, T, C, and the addresses of

    lengths  (B)        int64    n of each sentence, from 0 to T
    scores   (B, T, C)  float32  emissions; not of `count_transitions`
"""

START, END, TRANSITIONS, TRANSPOSED, GOLD, WEIGHTS, FLOW, RATIOS, GAINS, BUFFER, LOSS, LOG_Z, STATUS = range(
    SCORES + 1, SCORES + 14
)
"""Addresses of `forward_backward`: the inputs

    start        (C)        float64  exponentials, 0 where forbidden
    end          (C)        float64
    transitions  (C, C)     float64  a(j, k)
    transposed   (C, C)     float64  a(k, j)
    gold         (B, T)     int64    labels y; 0 instead of an address: none
    weights      (C)        float32  weight of each gold label

and the outputs, which are not written in the padding:

    flow         (B, T, C)  float32  derivative of the loss by the emissions; without gold labels, marginals
    ratios       (B, T, C)  float64  q
    gains        (B, T, C)  float64  g
    buffer       (B, C)     float64  scratch
    loss         (B)        float64
    log z        (B)        float64
    status       (B)        int64
"""

COUNT_RATIOS, COUNT_GAINS, COUNT_TRANSITIONS, COUNT_GOLD, COUNT_WEIGHTS, FACTORS, COUNTS = range(SCORES, SCORES + 7)
"""Addresses of `count_transitions`: ratios, gains, transitions, gold and weights as above, and

    factors  (B)     float64  factor of each sentence
    counts   (C, C)  float64  output: expected minus gold counts, with weights and factors; zeros at first
"""


class Chain(NamedTuple):
    """Exponentials of the scores of first labels, last labels and transitions."""

    start_C: Float64Array
    end_C: Float64Array
    transition_CC: Float64Array
    transposed_CC: Float64Array


class SentenceRows(NamedTuple):
    """Emissions, outputs and scratch of a sentence."""

    scores_TC: Float32Array
    flow_TC: Float32Array
    ratio_TC: Float64Array
    gain_TC: Float64Array
    buffer_C: Float64Array


class GoldLabels(NamedTuple):
    """Gold labels of a sentence, and the weight of each label; without any, all are 0 and `given` is false."""

    given: bool
    label_T: Int64Array
    weight_C: Float32Array


@inlined
def _multiply(left_J: Float64Array, matrix_JK: Float64Array, product_K: Float64Array) -> None:
    """Compute the product of a row vector and a matrix, of which four rows at a time are added up."""
    product_K[:] = 0
    whole = len(left_J) // 4 * 4
    for j in range(0, whole, 4):
        a, b, c, d = left_J[j], left_J[j + 1], left_J[j + 2], left_J[j + 3]
        for k in range(len(product_K)):
            product_K[k] += (a * matrix_JK[j, k] + b * matrix_JK[j + 1, k]) + (
                c * matrix_JK[j + 2, k] + d * matrix_JK[j + 3, k]
            )
    for j in range(whole, len(left_J)):
        for k in range(len(product_K)):
            product_K[k] += left_J[j] * matrix_JK[j, k]


@inlined
def _exponentiate(rows: SentenceRows, n: int) -> float:
    """Write e, divided by its maximum at each position, into the gains; return the sum of the maximal emissions."""
    total = 0.0
    for t in range(n):
        scores_C, gain_C = rows.scores_TC[t], rows.gain_TC[t]
        top = scores_C[0]
        for k in range(1, len(scores_C)):
            top = max(top, scores_C[k])
        for k in range(len(scores_C)):
            gain_C[k] = np.exp(np.float64(scores_C[k]) - np.float64(top))
        total += np.float64(top)
    return total


@inlined
def _run_backward(chain: Chain, rows: SentenceRows, n: int) -> tuple[float, float]:
    """Turn the gains from e_t into e_t / s_t-1, and the ratios into beta; return the sum of log s, and the least s."""
    total, least = 0.0, 1.0
    rows.ratio_TC[n - 1, :] = chain.end_C
    for t in range(n - 1, -1, -1):
        gain_C, beta_C, product_C = rows.gain_TC[t], rows.ratio_TC[t], rows.buffer_C
        for k in range(len(gain_C)):
            product_C[k] = gain_C[k] * beta_C[k]
        scale = 0.0
        if t > 0:
            before_C = rows.ratio_TC[t - 1]
            _multiply(product_C, chain.transposed_CC, before_C)
            for j in range(len(before_C)):
                scale += before_C[j]
            for j in range(len(before_C)):
                before_C[j] /= scale
        else:
            for k in range(len(product_C)):
                scale += chain.start_C[k] * product_C[k]
        for k in range(len(gain_C)):
            gain_C[k] /= scale
        total += np.log(scale)
        least = least if least <= scale else scale  # NaN counts as less
    return total, least


@inlined
def _run_forward(chain: Chain, rows: SentenceRows, gold: GoldLabels, n: int) -> tuple[float, float, float]:
    """Turn gains into g, ratios from beta into q, and write the flow; return the loss, the least p, the largest |q|."""
    loss, least, largest, gold_beta, arriving_C = 0.0, 1.0, 0.0, 1.0, rows.buffer_C
    weight = np.float64(gold.weight_C[gold.label_T[0]]) if gold.given else 1.0
    for k in range(len(arriving_C)):
        arriving_C[k] = weight * chain.start_C[k]
    for t in range(n):
        gain_C, ratio_C, flow_C = rows.gain_TC[t], rows.ratio_TC[t], rows.flow_TC[t]
        label = gold.label_T[t] if gold.given else 0
        beta = ratio_C[label]
        for k in range(len(arriving_C)):
            ratio = arriving_C[k] * gain_C[k]
            gain_C[k] *= ratio_C[k]
            ratio_C[k], flow_C[k] = ratio, ratio * ratio_C[k]
            largest = max(largest, abs(ratio))
        if gold.given:
            into = chain.transition_CC[gold.label_T[t - 1], label] if t > 0 else chain.start_C[label]
            p = min(into * gain_C[label] / gold_beta, 1.0)
            loss, least, gold_beta = loss - weight * np.log(p), min(least, p), beta
            flow_C[label] = ratio_C[label] * beta - weight
            next_weight = np.float64(gold.weight_C[gold.label_T[t + 1]]) if t + 1 < n else weight
            ratio_C[label] += (next_weight - weight) / beta
            weight = next_weight
        _multiply(ratio_C, chain.transition_CC, arriving_C)
    return loss, least, largest


@inlined
def _labels_are_valid(gold: GoldLabels, n: int) -> bool:
    valid = True
    for t in range(n if gold.given else 0):
        valid &= 0 <= gold.label_T[t] < len(gold.weight_C)
    return valid


def forward_backward(args: Arguments) -> None:
    """Compute loss and flow of each sentence: with gold labels the derivative by emissions, without them marginals."""
    batch, steps, labels = args[BATCH], args[STEPS], args[LABELS]
    chain = Chain(
        float64_array(args[START], (labels,)),
        float64_array(args[END], (labels,)),
        float64_array(args[TRANSITIONS], (labels, labels)),
        float64_array(args[TRANSPOSED], (labels, labels)),
    )
    weight_C, lengths_B = float32_array(args[WEIGHTS], (labels,)), int64_array(args[LENGTHS], (batch,))
    loss_B, log_z_B = float64_array(args[LOSS], (batch,)), float64_array(args[LOG_Z], (batch,))
    status_B = int64_array(args[STATUS], (batch,))
    b = next_task(args)
    while b < args[TASKS]:
        n, first = lengths_B[b], b * steps * labels
        rows = SentenceRows(
            float32_array(args[SCORES] + 4 * first, (n, labels)),
            float32_array(args[FLOW] + 4 * first, (n, labels)),
            float64_array(args[RATIOS] + 8 * first, (n, labels)),
            float64_array(args[GAINS] + 8 * first, (n, labels)),
            float64_array(args[BUFFER] + 8 * b * labels, (labels,)),
        )
        gold = GoldLabels(args[GOLD] != 0, int64_array(args[GOLD] + 8 * b * steps, (n,)), weight_C)
        loss_B[b], log_z_B[b], status_B[b] = 0, 0, SAFE
        if not _labels_are_valid(gold, n):
            status_B[b] = INVALID
        elif n > 0:
            emissions = _exponentiate(rows, n)
            scales, least = _run_backward(chain, rows, n)
            loss_B[b], probability, ratio = _run_forward(chain, rows, gold, n)
            log_z_B[b] = emissions + scales
            safe = min(least, probability) >= MIN_PROBABILITY and ratio <= MAX_RATIO
            status_B[b] = SAFE if safe else UNSAFE
        b = next_task(args)


def count_transitions(args: Arguments) -> None:
    """Compute the derivative of the loss by the transitions: expected minus gold counts, summed over sentences."""
    batch, steps, labels = args[BATCH], args[STEPS], args[LABELS]
    lengths_B, factor_B = int64_array(args[LENGTHS], (batch,)), float64_array(args[FACTORS], (batch,))
    ratio_BTC = float64_array(args[COUNT_RATIOS], (batch, steps, labels))
    gain_BTC = float64_array(args[COUNT_GAINS], (batch, steps, labels))
    transition_CC = float64_array(args[COUNT_TRANSITIONS], (labels, labels))
    gold_BT, weight_C = int64_array(args[COUNT_GOLD], (batch, steps)), float32_array(args[COUNT_WEIGHTS], (labels,))
    count_CC = float64_array(args[COUNTS], (labels, labels))
    task = next_task(args)
    while task < args[TASKS]:
        first, last = task * ROWS, min((task + 1) * ROWS, labels)
        for b in range(batch):
            for t in range(1, lengths_B[b]):
                gain_C = gain_BTC[b, t]
                for j in range(first, last):
                    ratio, row_C = factor_B[b] * ratio_BTC[b, t - 1, j], count_CC[j]
                    for k in range(labels):
                        row_C[k] += ratio * gain_C[k]
        for j in range(first, last):
            for k in range(labels):
                count_CC[j, k] *= transition_CC[j, k]
        for b in range(batch):
            for t in range(1, lengths_B[b]):
                j, k = gold_BT[b, t - 1], gold_BT[b, t]
                if first <= j < last:
                    count_CC[j, k] -= factor_B[b] * weight_C[k]
        task = next_task(args)
