"""Evaluation of labels: from the labels of reference and hypotheses to all scores, with intervals and comparison.

The label scores of a tagger are those of its tags; if the tags mark spans, there are span scores beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rnnkit.evaluation.label_bootstrap import Metric, Occurrences, UnitCounts, bootstrap, distinct_units
from rnnkit.evaluation.label_files import LINE, SET, WORD, EncodedLabels, LabelRows, encode_labels
from rnnkit.evaluation.label_metrics import (
    Confusion,
    Counts,
    Ids,
    LabelScore,
    Scores,
    ScoreTable,
    accuracy,
    confusion_matrix,
    divide,
    f1_of_rates,
    macro_f1,
    make_score,
    matthews_correlation,
    micro_f1,
    score_table,
)
from rnnkit.evaluation.significance import (
    Interval,
    bootstrap_p_value,
    mcnemar_p_value,
    percentile_interval,
    wilson_interval,
)
from rnnkit.evaluation.span_metrics import FoundSpans, TagSteps, TagTable, count_spans, find_spans
from rnnkit.options.declare import STDIN
from rnnkit.text.span_schemes import LENIENT_RULES, STRICT_RULES, SpanRules, SpanScheme

ACCURACY, SUBSET_ACCURACY = "accuracy", "subset accuracy"
SINGLE_METRICS: Mapping[str, Metric] = {
    ACCURACY: accuracy,
    "macro F1": macro_f1,
    "Matthews correlation": matthews_correlation,
}
SET_METRICS: Mapping[str, Metric] = {"micro F1": micro_f1, "macro F1": macro_f1}
SPAN_METRICS: Mapping[str, Metric] = {
    "span F1": partial(micro_f1, score=f1_of_rates),
    "span macro F1": partial(macro_f1, score=f1_of_rates),
}

WILSON, BOOTSTRAP = "Wilson", "bootstrap"


@dataclass(frozen=True)
class EstimatedScore:
    """A score with its confidence interval.

    Attributes:
        name: Name of the metric.
        value: Its value.
        interval: 95 % confidence interval; None if there is none.
        method: How the interval was computed, `WILSON` or `BOOTSTRAP`.
        counts: Number of correct items and of items, if the score is their ratio.
    """

    name: str
    value: float
    interval: Interval | None = None
    method: str = BOOTSTRAP
    counts: tuple[int, int] | None = None


@dataclass(frozen=True)
class ScoreDifference:
    """A difference between two systems under one metric.

    Attributes:
        name: Name of the metric.
        baseline: Score of the baseline.
        system: Score of the system.
        interval: 95 % confidence interval of the difference, system minus baseline.
        p_value: Of the paired bootstrap test.
    """

    name: str
    baseline: float
    system: float
    interval: Interval
    p_value: float


@dataclass(frozen=True)
class SystemComparison:
    """Comparison of a system with a baseline.

    Attributes:
        differences: One per metric.
        only_baseline: Items that only the baseline has right.
        only_system: Items that only the system has right.
        p_value: Of McNemar's exact test.
    """

    differences: tuple[ScoreDifference, ...]
    only_baseline: int
    only_system: int
    p_value: float


@dataclass(frozen=True)
class SpanTask:
    """How spans are found.

    Attributes:
        table: The labels, parsed as tags.
        rules: Rules of the definition.
    """

    table: TagTable
    rules: SpanRules

    def find(self, encoded: EncodedLabels) -> FoundSpans:
        """Find the spans of a file."""
        return find_spans(TagSteps.make(encoded.ids_N, encoded.lengths_U, self.table), self.rules)


@dataclass(frozen=True)
class LabelTask:
    """What systems are compared with.

    Attributes:
        form: Form of the files.
        labels: All labels, in alphabetical order.
        reference: The reference.
        spans: How spans are found; None if there are none.
    """

    form: str
    labels: tuple[str, ...]
    reference: EncodedLabels
    spans: SpanTask | None = None

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Metrics of labels by name."""
        return SET_METRICS if self.form == SET else SINGLE_METRICS

    def correct(self, hypothesis: EncodedLabels) -> NDArray[np.bool]:
        """Return whether each predicted label is correct."""
        if self.form != SET:
            return np.equal(self.reference.ids_N, hypothesis.ids_N)
        return np.isin(self._keys(hypothesis), self._keys(self.reference))

    def correct_items(self, hypothesis: EncodedLabels) -> NDArray[np.bool]:
        """Return whether each word, or each line of classification, is entirely correct."""
        correct_N = self.correct(hypothesis)
        if self.form != SET:
            return correct_N
        found = np.bincount(hypothesis.units_N, correct_N, minlength=len(hypothesis.lengths_U))
        return np.equal(found, self.reference.lengths_U) & np.equal(found, hypothesis.lengths_U)

    def _keys(self, encoded: EncodedLabels) -> Ids:
        return encoded.units_N * len(self.labels) + encoded.ids_N

    def count(self, hypothesis: EncodedLabels) -> UnitCounts:
        """Count the labels of each line."""
        correct_N = self.correct(hypothesis)
        units_N = hypothesis.units_N
        return UnitCounts.count(
            Occurrences(units_N[correct_N], hypothesis.ids_N[correct_N]),
            Occurrences(units_N, hypothesis.ids_N),
            Occurrences(self.reference.units_N, self.reference.ids_N),
            len(self.labels),
        )

    def select(self, lines: Ids) -> LabelTask:
        """Return the task on some of its lines, for one label per line."""
        return LabelTask(self.form, self.labels, _select(self.reference, lines))


def _select(encoded: EncodedLabels, lines: Ids) -> EncodedLabels:
    return EncodedLabels(encoded.ids_N[lines], encoded.lengths_U[lines])


@dataclass(frozen=True)
class SystemScores:
    """Scores of a system.

    Attributes:
        summary: Scores with confidence intervals; those of spans last.
        labels: Scores by label.
        spans: Scores by type of span; None if there are no spans.
        confusions: Cells of the confusion matrix; none for sets of labels.
        comparison: Comparison with a baseline, if there is one.
    """

    summary: tuple[EstimatedScore, ...]
    labels: ScoreTable
    spans: ScoreTable | None
    confusions: tuple[Confusion, ...]
    comparison: SystemComparison | None = None


def evaluate_labels(
    task: LabelTask, hypothesis: EncodedLabels, baseline: EncodedLabels | None, samples: int, seed: int
) -> SystemScores:
    """Compute all scores of a system.

    Args:
        task: The reference.
        hypothesis: Output of the system.
        baseline: Output of a system to compare with.
        samples: Number of bootstrap resamples; 0 for no intervals by bootstrap.
        seed: Random seed of the resamples.
    """
    systems = [hypothesis] if baseline is None else [hypothesis, baseline]
    counted = [_count_metrics(task, each) for each in systems]
    resampled = _resample(task, systems, counted, samples, seed)
    labels = score_table(task.labels, counted[0][0].counts.totals)
    spans = None
    if task.spans is not None:
        spans = score_table(task.spans.table.types, counted[0][1].counts.totals, of_rates=True)
    if task.form == SET:
        labels = ScoreTable(labels.labels, (*labels.averages, _samples_average(task, hypothesis)))
    confusions = confusion_matrix(task.reference.ids_N, hypothesis.ids_N, task.labels) if task.form != SET else ()
    comparison = None
    if baseline is not None:
        differences = _differences(counted, resampled)
        comparison = _compare(task, hypothesis, baseline, differences)
    return SystemScores(_summarize(task, hypothesis, counted[0], resampled), labels, spans, confusions, comparison)


@dataclass(frozen=True)
class CountedMetrics:
    """Counts of a system, and the metrics that are computed from them."""

    counts: UnitCounts
    metrics: Mapping[str, Metric]

    @property
    def values(self) -> dict[str, float]:
        """Scores on the data."""
        return {name: float(metric(self.counts.totals)) for name, metric in self.metrics.items()}


def _count_metrics(task: LabelTask, system: EncodedLabels) -> list[CountedMetrics]:
    """Count the labels of a system, and its spans if there are any."""
    found = [CountedMetrics(task.count(system), task.metrics)]
    if task.spans is not None:
        spans = count_spans(task.spans.find(task.reference), task.spans.find(system), len(task.spans.table.types))
        found.append(CountedMetrics(spans, SPAN_METRICS))
    return found


def _resample(
    task: LabelTask, systems: list[EncodedLabels], counted: list[list[CountedMetrics]], samples: int, seed: int
) -> list[dict[str, Scores]]:
    """Compute the metrics of each system on resamples; none without resamples."""
    if not samples:
        return [{} for _ in systems]
    multiplicity_U: Counts = np.ones(len(task.reference.lengths_U), dtype=np.int64)
    if task.form == LINE:  # lines with the same labels are one unit
        lines, multiplicity_U = distinct_units(task.reference.ids_N, *(each.ids_N for each in systems))
        distinct = task.select(lines)
        counted = [[CountedMetrics(distinct.count(_select(each, lines)), task.metrics)] for each in systems]
    parts = [(each.counts, each.metrics) for system in counted for each in system]
    found = iter(bootstrap(parts, multiplicity_U, samples, seed))
    return [{name: values for _ in system for name, values in next(found).items()} for system in counted]


def _summarize(
    task: LabelTask, hypothesis: EncodedLabels, counted: list[CountedMetrics], resampled: list[dict[str, Scores]]
) -> tuple[EstimatedScore, ...]:
    """Combine scores and intervals; the accuracy comes first."""
    items = task.correct_items(hypothesis)
    counts = int(items.sum()), len(items)
    intervals = {name: percentile_interval(values) for name, values in resampled[0].items()}
    values = {name: value for part in counted for name, value in part.values.items()}
    if task.form == WORD:
        first = EstimatedScore(ACCURACY, values.pop(ACCURACY), intervals.get(ACCURACY), BOOTSTRAP, counts)
    else:
        name = SUBSET_ACCURACY if task.form == SET else ACCURACY
        values.pop(ACCURACY, None)
        first = EstimatedScore(name, counts[0] / counts[1], wilson_interval(*counts), WILSON, counts)
    return first, *(EstimatedScore(name, value, intervals.get(name)) for name, value in values.items())


def _differences(counted: list[list[CountedMetrics]], resampled: list[dict[str, Scores]]) -> list[ScoreDifference]:
    """Compare system and baseline under each metric that was resampled."""
    system, baseline = ({name: value for part in each for name, value in part.values.items()} for each in counted)
    return [
        ScoreDifference(
            name,
            baseline[name],
            system[name],
            percentile_interval(values - resampled[1][name]),
            bootstrap_p_value(values - resampled[1][name], system[name] - baseline[name]),
        )
        for name, values in resampled[0].items()
    ]


def _compare(
    task: LabelTask, hypothesis: EncodedLabels, baseline: EncodedLabels, differences: list[ScoreDifference]
) -> SystemComparison:
    system_N, baseline_N = task.correct_items(hypothesis), task.correct_items(baseline)
    only_baseline, only_system = int((baseline_N & ~system_N).sum()), int((system_N & ~baseline_N).sum())
    p_value = mcnemar_p_value(only_baseline, only_system)
    return SystemComparison(tuple(differences), only_baseline, only_system, p_value)


def _samples_average(task: LabelTask, hypothesis: EncodedLabels) -> LabelScore:
    """Average precision, recall and F1 over lines, as the `samples avg` of scikit-learn."""
    lines = len(task.reference.lengths_U)
    correct_U = np.bincount(hypothesis.units_N, task.correct(hypothesis), minlength=lines)
    predicted_U, support_U = hypothesis.lengths_U, task.reference.lengths_U
    scores = (
        divide(correct_U, predicted_U),
        divide(correct_U, support_U),
        divide(2 * correct_U, predicted_U + support_U),
    )
    means = [float(np.average(each)) for each in scores]
    return make_score("samples average", means, int(predicted_U.sum()), int(support_U.sum()))


def count_known(correct_N: NDArray[np.bool], known_N: NDArray[np.bool]) -> tuple[EstimatedScore, ...]:
    """Compute the accuracy on known and on unknown words; a kind that does not occur has no score.

    Args:
        correct_N: Whether each word is correct.
        known_N: Whether its word occurs in the training text.
    """
    found = []
    for name, which_N in (("known words", known_N), ("unknown words", ~known_N)):
        correct, total = int(correct_N[which_N].sum()), int(which_N.sum())
        if total:
            interval = wilson_interval(correct, total)
            found.append(EstimatedScore(name, correct / total, interval, WILSON, (correct, total)))
    return tuple(found)


def score_spans(
    reference: Sequence[Sequence[str]], hypothesis: Sequence[Sequence[str]], scheme: SpanScheme | None = None
) -> ScoreTable:
    """Compute the span scores of sequences of tags, as `evaluate-labels` does.

    Args:
        reference: Tags of each sentence.
        hypothesis: Predicted tags.
        scheme: The scheme for the strict definition; None for the lenient one.
    """
    rows = [LabelRows(STDIN, [list(row) for row in side]) for side in (reference, hypothesis)]
    labels, encoded = encode_labels(rows)
    task = SpanTask(TagTable.make(labels), LENIENT_RULES if scheme is None else STRICT_RULES[scheme])
    first, second = map(task.find, encoded)
    counts = count_spans(first, second, len(task.table.types)).totals
    return score_table(task.table.types, counts, of_rates=True)
