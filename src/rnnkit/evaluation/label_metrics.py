"""Accuracy, precision, recall, F1, Matthews correlation and confusion matrix of labels.

All of them are functions of three counts for each label: predictions that are correct, predictions, and references
(the support). Counts may have leading axes, such as one for bootstrap resamples.

    precision = correct / predicted      recall = correct / support      F1 = 2 precision recall / (precision + recall)

A zero denominator gives 0.0, as in scikit-learn and seqeval. Micro averages are those of the summed counts, macro
averages the means over the labels, weighted averages the means weighted by support. Figures equal those of
`classification_report` of scikit-learn (labels) and seqeval (spans) to the last digit: the two round F1 differently,
as scikit-learn computes 2 correct / (predicted + support).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.json_types import JsonObject

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class LabelCounts:
    """Counts by label; the last axis is that of the labels.

    Attributes:
        correct: Predictions that equal the reference.
        predicted: Predictions.
        support: Occurrences in the reference.
    """

    correct: Counts
    predicted: Counts
    support: Counts

    @property
    def occurring(self) -> NDArray[np.bool]:
        """Labels that occur in the reference or the predictions."""
        return self.predicted + self.support > 0

    def sum(self) -> LabelCounts:
        """Sum over labels, as if there were only one."""
        parts = (self.correct, self.predicted, self.support)
        return LabelCounts(*(part.sum(axis=-1, keepdims=True) for part in parts))


def count_labels(reference_N: Ids, hypothesis_N: Ids, labels: int) -> LabelCounts:
    """Count labels where each item has one label in the reference and one prediction.

    Args:
        reference_N: Label ids of the reference.
        hypothesis_N: Predicted label ids.
        labels: Number of labels.
    """
    correct_N = reference_N[reference_N == hypothesis_N]
    return LabelCounts(*(np.bincount(ids, minlength=labels) for ids in (correct_N, hypothesis_N, reference_N)))


def divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> Scores:
    """Divide; zero where the denominator is zero."""
    zero = denominator == 0
    return np.where(zero, 0.0, numerator / np.where(zero, 1, denominator))


def precision(counts: LabelCounts) -> Scores:
    """Compute the share of the predictions that are correct."""
    return divide(counts.correct, counts.predicted)


def recall(counts: LabelCounts) -> Scores:
    """Compute the share of the references that are predicted."""
    return divide(counts.correct, counts.support)


def f1(counts: LabelCounts) -> Scores:
    """Compute the harmonic mean of precision and recall, from counts as scikit-learn does."""
    return divide(2.0 * counts.correct, counts.predicted + counts.support)


def f1_of_rates(counts: LabelCounts) -> Scores:
    """Compute the harmonic mean of precision and recall, from these as seqeval does."""
    precisions, recalls = precision(counts), recall(counts)
    return divide(2 * precisions * recalls, precisions + recalls)


def micro_f1(counts: LabelCounts, score: Callable[[LabelCounts], Scores] = f1) -> Scores:
    """Compute F1 of the summed counts."""
    return score(counts.sum())[..., 0]


def macro_f1(counts: LabelCounts, score: Callable[[LabelCounts], Scores] = f1) -> Scores:
    """Compute the mean F1 of the labels that occur."""
    values, occurring = score(counts), counts.occurring
    if values.ndim == 1:  # added up in the order of scikit-learn
        values, occurring = values[occurring], occurring[occurring]
    return divide(np.where(occurring, values, 0).sum(axis=-1), occurring.sum(axis=-1))


def accuracy(counts: LabelCounts) -> Scores:
    """Compute the share of items whose label is predicted, for one label per item."""
    return recall(counts.sum())[..., 0]


def matthews_correlation(counts: LabelCounts) -> Scores:
    """Compute the Matthews correlation of several classes (Gorodkin 2004, R_K), for one label per item.

    With c correct predictions of n, p_k predictions and t_k references of class k:

        (c n - sum_k p_k t_k) / sqrt((n^2 - sum_k p_k^2) (n^2 - sum_k t_k^2))

    It is zero if the predictions or the references have a single class.
    """
    correct = counts.correct.sum(axis=-1).astype(np.float64)
    predicted, support = counts.predicted.astype(np.float64), counts.support.astype(np.float64)
    total = support.sum(axis=-1)
    covariance = correct * total - (predicted * support).sum(axis=-1)
    spreads = [total**2 - (each**2).sum(axis=-1) for each in (predicted, support)]
    return divide(covariance, np.sqrt(spreads[0] * spreads[1]))


@dataclass(frozen=True)
class LabelScore:
    """Precision, recall and F1 of one label, or averages.

    Attributes:
        name: The label, or `micro average` and so on.
        precision: Share of the predictions that are correct.
        recall: Share of the references that are predicted.
        f1: Their harmonic mean.
        predicted: Predictions.
        support: References.
    """

    name: str
    precision: float
    recall: float
    f1: float
    predicted: int
    support: int

    def as_dict(self, width: int) -> JsonObject:
        """JSON form, rounded to `width` decimal places."""
        return {
            "name": self.name,
            "precision": round(self.precision, width),
            "recall": round(self.recall, width),
            "f1": round(self.f1, width),
            "predicted": self.predicted,
            "support": self.support,
        }


@dataclass(frozen=True)
class ScoreTable:
    """Scores of every label, and averages over labels.

    Attributes:
        labels: One per label that occurs, in alphabetical order.
        averages: Micro, macro and weighted averages, and others of the task.
    """

    labels: tuple[LabelScore, ...]
    averages: tuple[LabelScore, ...]

    def average(self, name: str) -> LabelScore:
        """Return an average by the first word of its name, such as `micro`."""
        return next(each for each in self.averages if each.name.startswith(name))

    @property
    def undefined(self) -> Iterator[tuple[str, list[str]]]:
        """Yield scores whose denominator is zero, and the labels for which it is."""
        missing = [each.name for each in self.labels if not each.support]
        unpredicted = [each.name for each in self.labels if not each.predicted]
        if missing:
            yield "recall", missing
        if unpredicted:
            yield "precision", unpredicted

    def as_dict(self, width: int) -> JsonObject:
        """JSON form, rounded to `width` decimal places."""
        return {
            "labels": [each.as_dict(width) for each in self.labels],
            "averages": [each.as_dict(width) for each in self.averages],
        }


def score_table(labels: Sequence[str], counts: LabelCounts, of_rates: bool = False) -> ScoreTable:
    """Compute the scores of `classification_report`.

    Args:
        labels: The labels, in alphabetical order.
        counts: Counts without leading axes.
        of_rates: Whether F1 is rounded as in seqeval instead of scikit-learn.
    """
    occurring = counts.occurring
    names = [label for label, occurs in zip(labels, occurring, strict=True) if occurs]
    counts = LabelCounts(*(part[occurring] for part in (counts.correct, counts.predicted, counts.support)))
    harmonic_mean = f1_of_rates if of_rates else f1
    columns = precision(counts), recall(counts), harmonic_mean(counts)
    totals = counts.sum()
    sums = int(totals.predicted[0]), int(totals.support[0])
    averages = {
        "micro average": (precision(totals)[0], recall(totals)[0], harmonic_mean(totals)[0]),
        "macro average": [_mean(column, None) for column in columns],
        "weighted average": [_mean(column, counts.support) for column in columns],
    }
    rows = zip(names, zip(*columns, strict=True), counts.predicted, counts.support, strict=True)
    return ScoreTable(
        tuple(make_score(name, rates, int(predicted), int(support)) for name, rates, predicted, support in rows),
        tuple(make_score(name, rates, *sums) for name, rates in averages.items()),
    )


def make_score(name: str, rates: Sequence[float], predicted: int, support: int) -> LabelScore:
    """Combine precision, recall and F1 with a name and counts."""
    first, second, third = map(float, rates)
    return LabelScore(name, first, second, third, predicted, support)


def _mean(values: Scores, weights: Counts | None) -> float:
    """Average scores; zero without scores or weights. NumPy's order of additions is that of scikit-learn."""
    if not len(values) or (weights is not None and not weights.any()):
        return 0.0
    return float(np.average(values, weights=weights))


@dataclass(frozen=True)
class Confusion:
    """A cell of the confusion matrix.

    Attributes:
        reference: Label in the reference.
        hypothesis: Predicted label.
        count: Number of items.
    """

    reference: str
    hypothesis: str
    count: int

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {"reference": self.reference, "hypothesis": self.hypothesis, "count": self.count}


def confusion_matrix(reference_N: Ids, hypothesis_N: Ids, labels: Sequence[str]) -> tuple[Confusion, ...]:
    """Return the cells of the confusion matrix that are not zero, by reference and hypothesis.

    Args:
        reference_N: Label ids of the reference.
        hypothesis_N: Predicted label ids.
        labels: The labels.
    """
    cells, counts = np.unique(reference_N * len(labels) + hypothesis_N, return_counts=True)
    rows, columns = np.divmod(cells, len(labels))
    return tuple(
        Confusion(labels[row], labels[column], int(count))
        for row, column, count in zip(rows, columns, counts, strict=True)
    )
