"""Training of linear text classifiers: the kernels against plain loops, these against the gradient of the loss."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnkit.kernels import linear_classifier_reference as reference
from rnnkit.kernels.classified_texts import ClassifiedTexts, count_features, keep_first
from rnnkit.kernels.linear_classifier import (
    BATCH_FEATURES,
    BATCH_TEXTS,
    LABEL_TILE,
    LinearTraining,
    make_worker,
    score_texts,
    share_training,
    train_texts,
)
from rnnkit.kernels.word2vec_weights import aligned_zeros, padded_dimension, unpadded_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Texts and weights; words have one or more rows, and texts may have n-grams."""

    texts: ClassifiedTexts
    rows_of_texts: list[NDArray[np.int64]]
    targets_NC: Floats
    inputs_RD: Floats
    outputs_CD: Floats
    row_weight_R: Floats | None


def make_case(
    lengths: list[int], labels: int, dimension: int, seed: int, one_vs_all: bool = False, weighted: bool = False
) -> Case:
    """Make random texts of some lengths."""
    generator = np.random.default_rng(seed)
    words, rows, ngrams = 7, 23, 2
    start_N1 = np.concatenate([[0], np.cumsum(lengths)])
    ids = generator.integers(words, size=start_N1[-1]).astype(np.int32)
    row_start_V1 = np.concatenate([[0], np.cumsum(generator.integers(0, 3, words))])
    word_rows = generator.integers(rows, size=row_start_V1[-1]).astype(np.int32)
    ngram_rows = generator.integers(-3, rows, size=(ngrams, len(ids))).clip(min=-1).astype(np.int32)
    if seed % 2:  # words are rows
        ids = generator.integers(-1, rows, size=len(ids)).astype(np.int32)
        row_start_V1, word_rows = np.empty(0, np.int64), np.empty(0, np.int32)
    found = []
    for first, last in pairwise(start_N1.tolist()):
        features: list[int] = []
        for at in range(first, last):
            word = int(ids[at])
            own = [word] if seed % 2 else word_rows[row_start_V1[word] : row_start_V1[word + 1]].tolist()
            features += [row for row in [*own, *ngram_rows[:, at].tolist()] if row >= 0]
        found.append(np.array(features, np.int64))
    targets_NC: Floats = np.eye(labels)[generator.integers(labels, size=len(lengths))]
    if one_vs_all:
        targets_NC = generator.integers(0, 2, (len(lengths), labels)).astype(np.float64)
    gold = [np.flatnonzero(y_C).astype(np.int32) for y_C in targets_NC]
    texts = ClassifiedTexts(
        start_N1,
        ids,
        row_start_V1,
        word_rows,
        ngram_rows.ravel(),
        np.concatenate([[0], np.cumsum([len(one) for one in gold])]).astype(np.int64),
        np.concatenate([np.empty(0, np.int32), *gold]),
    )
    inputs_RD, outputs_CD = (generator.normal(size=(count, dimension)) for count in (rows, labels))
    row_weight_R = generator.uniform(1, 50, rows).astype(np.float32).astype(np.float64) if weighted else None
    return Case(texts, found, targets_NC, inputs_RD, outputs_CD, row_weight_R)


def run_kernel(
    case: Case, order: NDArray[np.int64], rates: Floats, one_vs_all: bool, threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32], float, NDArray[np.float32]]:
    """Train; return input rows, output rows, the loss, and the scores of all texts afterwards."""
    dimension, labels = case.inputs_RD.shape[1], len(case.outputs_CD)
    stride = padded_dimension(dimension)
    inputs, outputs = (
        aligned_zeros(len(case.inputs_RD) * stride),
        aligned_zeros(-(-labels // LABEL_TILE) * LABEL_TILE * stride),
    )
    unpadded_rows(inputs, stride, dimension)[:] = case.inputs_RD
    unpadded_rows(outputs, stride, dimension)[:labels] = case.outputs_CD
    count_N = count_features(case.texts)
    assert count_N.tolist() == [len(rows) for rows in case.rows_of_texts]
    label_weight_C = np.ones(labels, np.float32)
    row_weight_R = None if case.row_weight_R is None else case.row_weight_R.astype(np.float32)
    shared: LinearTraining = share_training(inputs, stride, label_weight_C, one_vs_all, threads, row_weight_R)
    workers = [make_worker(shared, outputs, thread, int(count_N.max())) for thread in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        arguments = shared, case.texts, count_N, order, rates.astype(np.float32)
        losses = list(pool.map(lambda worker: train_texts(*arguments, worker), workers))
    assert len(set(losses)) == 1
    for worker in workers[1:]:
        assert np.array_equal(worker.outputs, workers[0].outputs)
    assert not inputs.reshape(-1, stride)[:, dimension:].any()
    score_NC = np.empty((len(count_N), labels), np.float32)
    alone = share_training(inputs, stride, label_weight_C, row_weight_R=row_weight_R)
    score_texts(alone, case.texts, 0, make_worker(alone, workers[0].outputs, 0, int(count_N.max())), score_NC)
    outputs_CD = unpadded_rows(workers[0].outputs, stride, dimension)
    assert not outputs_CD[labels:].any()
    return unpadded_rows(inputs, stride, dimension), outputs_CD[:labels], losses[0], score_NC


lengths = st.lists(st.sampled_from([0, 1, 3, 17]), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(
    lengths, st.sampled_from([1, 2, 6, 7]), st.sampled_from([3, 16, 17, 100]), st.integers(0, 99), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_kernel_equals_plain_loops(
    lengths: list[int], labels: int, dimension: int, seed: int, many: bool, weighted: bool
) -> None:
    assert_equals_reference(make_case(lengths, labels, dimension, seed, many, weighted), many)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lengths", [[2] * (2 * BATCH_TEXTS + 3), [BATCH_FEATURES // 3] * 7, [BATCH_FEATURES * 2, 5]])
def test_several_batches(lengths: list[int], weighted: bool) -> None:
    assert_equals_reference(make_case(lengths, 3, 5, 2, weighted=weighted), False)


def assert_equals_reference(case: Case, one_vs_all: bool) -> None:
    generator = np.random.default_rng(0)
    order = generator.permutation(len(case.rows_of_texts))
    fastest = 0.3 if case.row_weight_R is None else 0.003  # weighted sums of repeated rows are longer than means
    rates = generator.uniform(fastest / 3, fastest, len(order))
    inputs_RD, outputs_CD, loss, score_NC = run_kernel(case, order, rates, one_vs_all)
    texts = [case.rows_of_texts[text] for text in order]
    expected = reference.train_texts(
        case.inputs_RD, case.outputs_CD, texts, case.targets_NC[order], rates, one_vs_all, case.row_weight_R
    )
    assert loss == pytest.approx(expected, rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(inputs_RD, case.inputs_RD, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(outputs_CD, case.outputs_CD, rtol=1e-4, atol=1e-4)
    for rows, score_C in zip(case.rows_of_texts, score_NC, strict=True):
        right_C = case.outputs_CD @ (reference.share(rows, case.row_weight_R) @ case.inputs_RD[rows])
        np.testing.assert_allclose(score_C, right_C, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("one_vs_all", [False, True])
def test_update_is_the_gradient_of_the_loss(one_vs_all: bool, weighted: bool) -> None:
    """One text at a time: the updates are minus the learning rate times the numerical gradient."""
    case, rate, step = make_case([6], 3, 4, 4, one_vs_all, weighted), 1e-3, 1e-6

    def loss_of(weights: Floats) -> float:
        inputs_RD, outputs_CD = weights[:23].copy(), weights[23:].copy()
        none = np.zeros(1)
        return reference.train_texts(
            inputs_RD, outputs_CD, case.rows_of_texts, case.targets_NC, none, one_vs_all, case.row_weight_R
        )

    before = np.concatenate([case.inputs_RD, case.outputs_CD])
    reference.train_texts(
        case.inputs_RD, case.outputs_CD, case.rows_of_texts, case.targets_NC, np.array([rate]), one_vs_all,
        case.row_weight_R,
    )  # fmt: skip
    updates = np.concatenate([case.inputs_RD, case.outputs_CD]) - before
    for place in np.ndindex(*before.shape):
        change = np.zeros_like(before)
        change[place] = step
        slope = (loss_of(before + change) - loss_of(before - change)) / (2 * step)
        assert updates[place] == pytest.approx(-rate * slope, abs=1e-9)


@pytest.mark.parametrize(("one_vs_all", "weighted"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("dimension", [5, 100])
def test_threads_change_no_bit(dimension: int, one_vs_all: bool, weighted: bool) -> None:
    case = make_case([5, 0, 300, 17] * 40, 7, dimension, 3, one_vs_all, weighted)
    order, rates = np.arange(160), np.full(160, 0.2)
    vectors = padded_dimension(dimension) // 16
    results = [run_kernel(case, order, rates, one_vs_all, min(threads, vectors)) for threads in (1, 2, 3, 7)]
    for result in results[1:]:
        for part in (0, 1, 3):
            assert np.array_equal(np.asarray(result[part]), np.asarray(results[0][part]))
        assert result[2] == results[0][2]


@given(st.lists(st.lists(st.integers(-1, 5), max_size=7), min_size=1, max_size=5), st.sampled_from([-1, 9]))
def test_first_occurrences_are_kept(texts: list[list[int]], none: int) -> None:
    ids = np.array([one for text in texts for one in text], np.int32)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in texts])])
    keep_first(starts, ids, np.full(6, -1, np.int32), none)
    expected = [none if one >= 0 and one in text[:place] else one for text in texts for place, one in enumerate(text)]
    assert ids.tolist() == expected
