"""Training of linear text classifiers as in fastText, by several threads and with the same bits for any number of them.

Joulin et al. 2017 (arXiv:1607.01759). A text is the weighted sum of the input rows x_r of its n features: words, word
n-grams and character n-grams. With the output row w_c of each label, the target y_c (1 for a label of the text, else
0), and the learning rate a,

    h    = sum_r b_r x_r            s_c = w_c . h            b_r = 1 / n, or v_r / sqrt(sum v^2) with feature weights v
    p_c  = exp(s_c) / sum exp(s)    softmax; one-vs-all: 1 / (1 + exp(-s_c))
    g_c  = a (y_c - p_c)            e = sum_c g_c w_c        w_c += g_c h        x_r += b_r e

Texts are taken in small batches. All hidden rows h of a batch are computed before any of its updates of input rows.
Output rows are updated by one text after the other. As texts share few rows, this learns like single texts.

Each thread owns some of the dimensions: it computes and updates these alone, in all input rows. No sum is split, and a
core has in its cache what it has written. Threads exchange h, once per batch. Each trains a copy of the output rows,
and as these are few, all threads do so for all dimensions rather than wait for each other; the copies stay equal.

`linear_classifier_reference.py` is the same in plain loops; tests compare the two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnnkit.kernels.classified_texts import ClassifiedTexts, list_rows
from rnnkit.kernels.compiler import Float32Array, Int32Array, Int64Array
from rnnkit.kernels.thread_barrier import wait_for_all
from rnnkit.kernels.word2vec_weights import aligned_zeros
from rnnkit.kernels.word_vector_simd import (
    SCORES,
    WIDTH,
    broadcast16,
    horizontal_sums8,
    inlined,
    kernel,
    load16,
    prefetch,
    store8,
    store16,
)

BATCH_TEXTS = 64
"""Maximum number of texts in a batch."""

BATCH_FEATURES = 4096
"""Maximum number of features in a batch of several texts: their rows stay in the cache until they are updated."""

LABEL_TILE = 6
"""Output rows that are processed together; their number is padded with zeros to a multiple of it."""

_PREFETCH = 8
_CACHE_LINE = 16
_ZERO, _ONE = np.float32(0), np.float32(1)


class LinearTraining(NamedTuple):
    """What threads share.

    Attributes:
        inputs: Input rows, flat; row r is `inputs[r * stride : r * stride + D]`, padded with zeros to whole vectors.
        stride: Numbers from one row to the next.
        row_weight_R: v of each input row; empty if texts are means.
        weighted: Whether they are not.
        label_weight_C: Factor of the learning rate for texts with each label; one-vs-all, for the label itself.
        one_vs_all: Labels are independent of each other.
        hidden: h of two batches, one of which may still be read while the other is written.
        arrivals: Of the barrier.
        threads: Number of threads.
    """

    inputs: NDArray[np.float32]
    stride: int
    row_weight_R: NDArray[np.float32]
    weighted: bool
    label_weight_C: NDArray[np.float32]
    one_vs_all: bool
    hidden: NDArray[np.float32]
    arrivals: NDArray[np.int64]
    threads: int


class LinearWorker(NamedTuple):
    """What a thread has of its own.

    Attributes:
        first: First of its dimensions.
        last: Dimension after its last one.
        outputs: Its copy of the output rows, like `inputs`.
        gradients: e of each text of a batch.
        rows: Input rows of the features of a batch, text by text.
        ends: Where the features of each text of a batch end in `rows`.
        shares: Factor of the weights of each text of a batch.
        scores_C: s, then g.
    """

    first: int
    last: int
    outputs: NDArray[np.float32]
    gradients: NDArray[np.float32]
    rows: NDArray[np.int32]
    ends: NDArray[np.int64]
    shares: NDArray[np.float32]
    scores_C: NDArray[np.float32]


def share_training(
    inputs: NDArray[np.float32],
    stride: int,
    label_weight_C: NDArray[np.float32],
    one_vs_all: bool = False,
    threads: int = 1,
    row_weight_R: NDArray[np.float32] | None = None,
) -> LinearTraining:
    """Allocate what the threads of a training share; without weights of input rows, texts are means."""
    hidden, arrivals = aligned_zeros(2 * BATCH_TEXTS * stride), aligned_zeros(1, np.int64)
    weighted = row_weight_R is not None
    weight_R = np.empty(0, np.float32) if row_weight_R is None else row_weight_R
    return LinearTraining(inputs, stride, weight_R, weighted, label_weight_C, one_vs_all, hidden, arrivals, threads)


def make_worker(training: LinearTraining, outputs: NDArray[np.float32], thread: int, most: int) -> LinearWorker:
    """Allocate what a thread has of its own.

    Args:
        training: What the threads share.
        outputs: Output rows, which are copied.
        thread: Number of the thread.
        most: Features of the text that has most.
    """
    stride, vectors = training.stride, training.stride // WIDTH
    first, last = (vectors * each // training.threads * WIDTH for each in (thread, thread + 1))
    own_outputs = aligned_zeros(len(outputs))
    own_outputs[:] = outputs
    rows = aligned_zeros(max(BATCH_FEATURES, most) + 1, np.int32)
    scores_C = aligned_zeros(len(outputs) // stride + SCORES - LABEL_TILE)
    gradients, ends = aligned_zeros(BATCH_TEXTS * stride), aligned_zeros(BATCH_TEXTS, np.int64)
    return LinearWorker(first, last, own_outputs, gradients, rows, ends, aligned_zeros(BATCH_TEXTS), scores_C)


@inlined
def _sum_rows(training: LinearTraining, rows: Int32Array, worker: LinearWorker, hidden: Float32Array) -> np.float32:
    """Compute the worker's dimensions of h; return the factor of the weights. Of no row, h is zero."""
    inputs, stride, squares = training.inputs, training.stride, _ZERO
    for d in range(worker.first, worker.last, WIDTH):
        store16(hidden, d, broadcast16(_ZERO))
    for i in range(len(rows)):
        ahead = int(rows[min(i + _PREFETCH, len(rows) - 1)]) * stride
        for d in range(worker.first, worker.last, WIDTH):
            prefetch(inputs, ahead + d)
        row = int(rows[i]) * stride
        if training.weighted:
            weight = training.row_weight_R[rows[i]]
            squares += weight * weight
            for d in range(worker.first, worker.last, WIDTH):
                store16(hidden, d, load16(hidden, d) + broadcast16(weight) * load16(inputs, row + d))
        else:  # a product with 1 takes a fifth of the time of training
            for d in range(worker.first, worker.last, WIDTH):
                store16(hidden, d, load16(hidden, d) + load16(inputs, row + d))
    share = _ONE / (np.sqrt(squares) if squares else np.float32(max(1, len(rows))))
    for d in range(worker.first, worker.last, WIDTH):
        store16(hidden, d, broadcast16(share) * load16(hidden, d))
    return share


@inlined
def _score(outputs: Float32Array, stride: int, hidden: Float32Array, scores_C: Float32Array) -> None:
    """Compute s of all labels, six at a time."""
    for first in range(0, len(outputs) // stride, LABEL_TILE):
        o0 = first * stride
        o1, o2, o3, o4, o5 = o0 + stride, o0 + 2 * stride, o0 + 3 * stride, o0 + 4 * stride, o0 + 5 * stride
        s0 = s1 = s2 = s3 = s4 = s5 = broadcast16(_ZERO)
        for d in range(0, stride, WIDTH):
            h = load16(hidden, d)
            s0, s1 = s0 + h * load16(outputs, o0 + d), s1 + h * load16(outputs, o1 + d)
            s2, s3 = s2 + h * load16(outputs, o2 + d), s3 + h * load16(outputs, o3 + d)
            s4, s5 = s4 + h * load16(outputs, o4 + d), s5 + h * load16(outputs, o5 + d)
        store8(scores_C, first, horizontal_sums8((s0, s1, s2, s3, s4, s5)))


@kernel
def score_texts(
    training: LinearTraining, texts: ClassifiedTexts, first: int, worker: LinearWorker, score_NC: NDArray[np.float32]
) -> None:
    """Compute the scores of texts.

    Args:
        training: The input rows.
        texts: The texts.
        first: The first of them.
        worker: The output rows; its dimensions are all.
        score_NC: Output: s of as many texts as it has rows.
    """
    for n in range(len(score_NC)):
        features = list_rows(texts, first + n, worker.rows, 0)
        _sum_rows(training, worker.rows[:features], worker, worker.gradients)
        _score(worker.outputs, training.stride, worker.gradients, worker.scores_C)
        for c in range(score_NC.shape[1]):
            score_NC[n, c] = worker.scores_C[c]


@inlined
def _differentiate_softmax(scores_C: Float32Array, label: int, rate: np.float32) -> float:
    """Turn s into g; return the loss."""
    top, total = scores_C[0], 0.0
    for c in range(1, len(scores_C)):
        top = max(top, scores_C[c])
    loss = np.float64(top - scores_C[label])
    for c in range(len(scores_C)):
        scores_C[c] = np.exp(scores_C[c] - top)
        total += np.float64(scores_C[c])
    factor = np.float32(-np.float64(rate) / total)
    for c in range(len(scores_C)):
        scores_C[c] *= factor
    scores_C[label] += rate
    return float(loss + np.log(total))


@inlined
def _differentiate_one_vs_all(
    scores_C: Float32Array, labels: Int32Array, weight_C: Float32Array, rate: np.float32
) -> float:
    """Turn s into g; return the loss."""
    loss, next_label = 0.0, 0
    for c in range(len(scores_C)):
        score = scores_C[c]
        is_label = next_label < len(labels) and labels[next_label] == c
        next_label += is_label
        power = np.exp(-abs(score))
        p = (_ONE if score >= 0 else power) / (_ONE + power)
        loss += np.log1p(np.float64(power)) + np.float64(max(-score if is_label else score, _ZERO))
        scores_C[c] = rate * weight_C[c] * (_ONE - p) if is_label else -rate * p
    return loss


@inlined
def _update_outputs(worker: LinearWorker, stride: int, hidden: Float32Array, gradient: Float32Array) -> None:
    """Compute the worker's dimensions of e, and add g_c h to the output rows."""
    outputs, scores_C = worker.outputs, worker.scores_C
    for d in range(0, stride, WIDTH):
        store16(gradient, d, broadcast16(_ZERO))
    for first in range(0, len(outputs) // stride, LABEL_TILE):
        o0 = first * stride
        o1, o2, o3, o4, o5 = o0 + stride, o0 + 2 * stride, o0 + 3 * stride, o0 + 4 * stride, o0 + 5 * stride
        g0, g1, g2 = broadcast16(scores_C[first]), broadcast16(scores_C[first + 1]), broadcast16(scores_C[first + 2])
        g3, g4, g5 = (
            broadcast16(scores_C[first + 3]),
            broadcast16(scores_C[first + 4]),
            broadcast16(scores_C[first + 5]),
        )
        for d in range(0, stride, WIDTH):
            h = load16(hidden, d)
            w0, w1, w2 = load16(outputs, o0 + d), load16(outputs, o1 + d), load16(outputs, o2 + d)
            w3, w4, w5 = load16(outputs, o3 + d), load16(outputs, o4 + d), load16(outputs, o5 + d)
            store16(gradient, d, load16(gradient, d) + g0 * w0 + g1 * w1 + g2 * w2 + g3 * w3 + g4 * w4 + g5 * w5)
            store16(outputs, o0 + d, w0 + g0 * h)
            store16(outputs, o1 + d, w1 + g1 * h)
            store16(outputs, o2 + d, w2 + g2 * h)
            store16(outputs, o3 + d, w3 + g3 * h)
            store16(outputs, o4 + d, w4 + g4 * h)
            store16(outputs, o5 + d, w5 + g5 * h)


@inlined
def _update_inputs(
    training: LinearTraining, rows: Int32Array, share: np.float32, worker: LinearWorker, gradient: Float32Array
) -> None:
    """Add b_r e to the worker's dimensions of the input rows of a text."""
    inputs, stride = training.inputs, training.stride
    for i in range(len(rows)):
        row = int(rows[i]) * stride
        factor = broadcast16(share * training.row_weight_R[rows[i]] if training.weighted else share)
        for d in range(worker.first, worker.last, WIDTH):
            store16(inputs, row + d, load16(inputs, row + d) + factor * load16(gradient, d))


@kernel
def train_texts(
    training: LinearTraining,
    texts: ClassifiedTexts,
    count_N: Int64Array,
    order: Int64Array,
    rates: Float32Array,
    worker: LinearWorker,
) -> float:
    """Train on texts, in one of several threads that call this at the same time.

    Args:
        training: What the threads share; the input rows are updated.
        texts: All texts.
        count_N: Features of each text.
        order: The texts to train on.
        rates: Learning rate of each of them.
        worker: What this thread has of its own; the output rows are updated.

    Returns:
        The sum of the losses, in nats; the same in all threads.
    """
    stride, labels = training.stride, len(training.label_weight_C)
    loss, begin, parity = 0.0, 0, 0
    while begin < len(order):
        end, features = begin, 0
        while (
            end < len(order)
            and end < begin + BATCH_TEXTS
            and (end == begin or features + count_N[order[end]] <= BATCH_FEATURES)
        ):
            first = features
            features = list_rows(texts, int(order[end]), worker.rows, features)
            hidden = training.hidden[(parity * BATCH_TEXTS + end - begin) * stride :]
            worker.shares[end - begin] = _sum_rows(training, worker.rows[first:features], worker, hidden)
            worker.ends[end - begin] = features
            end += 1
        wait_for_all(training.arrivals, training.threads)
        for at in range(begin, end):
            text = order[at]
            hidden = training.hidden[(parity * BATCH_TEXTS + at - begin) * stride :]
            gradient = worker.gradients[(at - begin) * stride :]
            _score(worker.outputs, stride, hidden, worker.scores_C)
            gold = texts.labels[texts.label_start_N1[text] : texts.label_start_N1[text + 1]]
            if training.one_vs_all:
                loss += _differentiate_one_vs_all(worker.scores_C[:labels], gold, training.label_weight_C, rates[at])
            else:
                rate = rates[at] * training.label_weight_C[gold[0]]
                loss += _differentiate_softmax(worker.scores_C[:labels], int(gold[0]), rate)
            for c in range(labels, len(worker.scores_C)):
                worker.scores_C[c] = 0
            _update_outputs(worker, stride, hidden, gradient)
        first = 0
        for at in range(begin, end):
            last, gradient = int(worker.ends[at - begin]), worker.gradients[(at - begin) * stride :]
            _update_inputs(training, worker.rows[first:last], worker.shares[at - begin], worker, gradient)
            first = last
        begin, parity = end, 1 - parity
    return loss
