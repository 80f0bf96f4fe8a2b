"""Scores of labels against their definitions; `test_label_reports.py` compares with scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation.label_metrics import (
    LabelCounts,
    accuracy,
    confusion_matrix,
    count_labels,
    f1,
    f1_of_rates,
    macro_f1,
    matthews_correlation,
    micro_f1,
    score_table,
)

LABELS = ("A", "B", "C")
PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30)


def counted(pairs: list[tuple[int, int]]) -> LabelCounts:
    reference_N, hypothesis_N = np.array(pairs, dtype=np.int64).T
    return count_labels(reference_N, hypothesis_N, len(LABELS))


@given(PAIRS)
def test_accuracy_is_micro_f1_of_single_labels(pairs: list[tuple[int, int]]) -> None:
    counts = counted(pairs)
    right = sum(one == other for one, other in pairs) / len(pairs)
    assert accuracy(counts) == pytest.approx(right)
    assert micro_f1(counts) == pytest.approx(right)
    table = score_table(LABELS, counts)
    assert table.average("weighted").recall == pytest.approx(right)
    assert {each.name for each in table.labels} == {LABELS[label] for pair in pairs for label in pair}


@given(PAIRS)
def test_both_roundings_of_f1_agree(pairs: list[tuple[int, int]]) -> None:
    assert f1(counted(pairs)) == pytest.approx(f1_of_rates(counted(pairs)))


@given(PAIRS)
def test_matthews_correlation_is_that_of_indicators(pairs: list[tuple[int, int]]) -> None:
    """R_K is the correlation of both label indicators, over all labels and items."""
    indicators = np.eye(len(LABELS))[np.array(pairs)]
    centered = indicators - indicators.mean(axis=0)
    products = np.einsum("nic,njc->ij", centered, centered)
    spread = math.sqrt(products[0, 0] * products[1, 1])
    expected = products[0, 1] / spread if spread > 1e-9 else 0.0
    assert matthews_correlation(counted(pairs)) == pytest.approx(expected, abs=1e-9)


@given(PAIRS, PAIRS)
def test_leading_axes(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    both = [counted(first), counted(second)]
    stacked = LabelCounts(*(np.stack([getattr(each, name) for each in both]) for name in vars(both[0])))
    for metric in (accuracy, micro_f1, macro_f1, matthews_correlation):
        assert metric(stacked) == pytest.approx([float(metric(each)) for each in both])


def test_labels_of_one_side_only() -> None:
    table = score_table(LABELS, counted([(0, 0), (0, 2), (1, 0)]))
    assert [(each.name, each.precision, each.recall) for each in table.labels] == [
        ("A", 0.5, 0.5),
        ("B", 0, 0),
        ("C", 0, 0),
    ]
    assert dict(table.undefined) == {"recall": ["C"], "precision": ["B"]}
    assert table.average("macro").f1 == pytest.approx(1 / 6)


def test_nothing_to_score() -> None:
    empty = np.zeros(0, dtype=np.int64)
    table = score_table((), LabelCounts(empty, empty, empty))
    assert table.labels == ()
    assert {(each.precision, each.recall, each.f1, each.support) for each in table.averages} == {(0, 0, 0, 0)}


def test_confusion_matrix_has_no_empty_cells() -> None:
    cells = confusion_matrix(np.array([0, 0, 2, 2]), np.array([0, 1, 0, 0]), LABELS)
    assert [(each.reference, each.hypothesis, each.count) for each in cells] == [
        ("A", "A", 1),
        ("A", "B", 1),
        ("C", "A", 2),
    ]
