"""Report on labels: scores, tables by label and type, confusion matrix and reliability, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnnkit.json_types import JsonObject
from rnnkit.reports.figures import display_width, format_columns

if TYPE_CHECKING:
    from rnnkit.evaluation.calibration import Calibration
    from rnnkit.evaluation.label_evaluation import EstimatedScore, SystemComparison, SystemScores
    from rnnkit.evaluation.label_metrics import Confusion, LabelScore, ScoreTable

MAX_ROWS = 100
"""Maximum number of labels in a table of text; JSON has all."""

MAX_MATRIX_WIDTH = 100
"""Maximum width of a confusion matrix in columns of a terminal; a wider one is a list of the most frequent errors."""

MAX_ERRORS = 10
"""Length of that list."""

SIGNIFICANT = 0.05
"""Level of significance that a star marks."""

CALIBRATION_ERROR = "calibration error"


@dataclass(frozen=True)
class StrayTags:
    """Tags that may not follow the tag before them.

    Attributes:
        file: Name of the file.
        count: Number of such tags; the end of a line after an unfinished span counts as one.
        lines: Lines that have any, counted from 1.
    """

    file: str
    count: int
    lines: tuple[int, ...]

    def describe(self, scheme: str, limit: int = 5) -> str:
        """Describe them in one line."""
        named = ", ".join(f"{line:,}" for line in self.lines[:limit])
        more = f" and {len(self.lines) - limit:,} more" if len(self.lines) > limit else ""
        tags = "1 stray tag" if self.count == 1 else f"{self.count:,} stray tags"
        lines = "line" if len(self.lines) == 1 else "lines"
        return f"{self.file} has {tags} that {scheme} does not allow, on {lines} {named}{more}"

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {"file": self.file, "count": self.count, "lines": list(self.lines)}


@dataclass(frozen=True)
class SpanDefinition:
    """What counts as a span.

    Attributes:
        scheme: Name of the scheme.
        detected: Whether the scheme was detected.
        strict: Whether spans must follow the scheme.
        strays: Files with tags that the scheme does not allow.
    """

    scheme: str
    detected: bool
    strict: bool
    strays: tuple[StrayTags, ...]

    @property
    def title(self) -> str:
        """Heading of the table of spans."""
        found = "detected" if self.detected else "given"
        rules = "strict, as seqeval" if self.strict else "as conlleval and seqeval"
        return f"spans: {self.scheme} ({found}), {rules}"

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {
            "scheme": self.scheme,
            "detected": self.detected,
            "strict": self.strict,
            "stray_tags": [each.as_dict() for each in self.strays],
        }


@dataclass(frozen=True)
class BootstrapSettings:
    """Resamples of the intervals and of the comparison."""

    samples: int
    seed: int


@dataclass(frozen=True)
class LabelReport:
    """Everything that was computed, ready to print.

    Attributes:
        reference: Name of the reference.
        systems: Names of the hypotheses, and of the baseline if there is one.
        form: `line`, `word` or `set`.
        lines_read: Number of lines.
        scores: Scores of the system.
        known: Accuracy on known and unknown words.
        spans: What counts as a span, if there are spans.
        calibration: Calibration, if there are probabilities.
        resampling: Resamples.
        width: Decimal places.
    """

    reference: str
    systems: tuple[str, ...]
    form: str
    lines_read: int
    scores: SystemScores
    resampling: BootstrapSettings
    width: int
    known: tuple[EstimatedScore, ...] = ()
    spans: SpanDefinition | None = None
    calibration: Calibration | None = None

    @property
    def summary(self) -> tuple[EstimatedScore, ...]:
        """All scores with intervals."""
        return (*self.scores.summary, *self.known)

    @property
    def lines(self) -> tuple[str, ...]:
        """Printed form."""
        parts = [
            [self._title],
            [*self._summary_table(), *self._interval_note()],
            _score_rows("label", self.scores.labels, self.width),
            self._span_table(),
            list(confusion_lines(self.scores.confusions)),
            self._reliability_table(),
            self._comparison_table(),
        ]
        return tuple(line for part in parts if part for line in ["", *part])[1:]

    @property
    def brief(self) -> tuple[str, ...]:
        """Printed form with `--quiet`: a line per score, its name and value separated by a tab."""
        scores = [(each.name, self._number(each.value)) for each in self.summary]
        if self.calibration is not None:
            scores.append((CALIBRATION_ERROR, self._number(self.calibration.error)))
        comparison = self.scores.comparison
        if comparison is None:
            return tuple(f"{name}\t{value}" for name, value in scores)
        found = {
            each.name: f"\tbaseline {self._number(each.baseline)}\t{_p_value(each.p_value)}"
            for each in comparison.differences
        }
        lines = [f"{name}\t{value}{found.get(name, '')}" for name, value in scores]
        return *lines, f"McNemar's test\t{_p_value(comparison.p_value)}"

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {
            "reference": self.reference,
            "hypotheses": self.systems[0],
            "form": self.form,
            "lines": self.lines_read,
            "scores": [_estimate(each, self.width) for each in self.summary],
            **self.scores.labels.as_dict(self.width),
            "spans": self._spans_as_dict(),
            "confusion_matrix": [each.as_dict() for each in self.scores.confusions],
            "calibration": None if self.calibration is None else self.calibration.as_dict(self.width),
            "comparison": self._comparison_as_dict(),
            "bootstrap_samples": self.resampling.samples,
            "seed": self.resampling.seed,
        }

    def _number(self, value: float) -> str:
        return f"{value:.{self.width}f}"

    @property
    def _title(self) -> str:
        """What was read."""
        labels, lines = f"{len(self.scores.labels.labels):,} labels", f"{self.lines_read:,} lines"
        if self.form == "set":
            return f"a set of labels per line: {lines}, {labels}"
        if self.form == "line":
            return f"one label per line: {lines}, {labels}"
        _, words = self.scores.summary[0].counts or (0, 0)
        return f"one label per word: {words:,} words in {lines}, {labels}"

    def _summary_table(self) -> list[str]:
        items = "words" if self.form == "word" else "lines"
        rows = [("", "score", "95 % interval", "")]
        for each in self.summary:
            interval = "" if each.interval is None else f"[{', '.join(map(self._number, each.interval))}]"
            counts = "" if each.counts is None else f"{each.counts[0]:,} of {each.counts[1]:,} {items}"
            rows.append((each.name, self._number(each.value), interval, counts))
        if self.calibration is not None:
            mean = f"mean probability {self._number(self.calibration.probability)}"
            rows.append((CALIBRATION_ERROR, self._number(self.calibration.error), "", mean))
        return format_columns(rows, right=(1, 2))

    def _interval_note(self) -> Iterator[str]:
        """Yield how the intervals were computed."""
        methods = {method: [each.name for each in self.summary if each.method == method and each.interval]
                   for method in ("Wilson", "bootstrap")}  # fmt: skip
        notes = []
        if methods["Wilson"]:
            notes.append(f"Wilson for {', '.join(methods['Wilson'])}")
        if methods["bootstrap"]:
            others = "the others" if notes else "all scores"
            settings = f"{self.resampling.samples:,} resamples, seed {self.resampling.seed}"
            notes.append(f"bootstrap over lines for {others} ({settings})")
        if notes:
            yield f"intervals: {'; '.join(notes)}"

    def _span_table(self) -> list[str]:
        if self.spans is None or self.scores.spans is None:
            return []
        table = _score_rows("type", self.scores.spans, self.width)
        return [self.spans.title, *(table or ["there are no spans"])]

    def _reliability_table(self) -> list[str]:
        if self.calibration is None:
            return []
        rows: list[Sequence[str]] = [("probability", "mean", "accuracy", "count")]
        rows += [
            (
                f"{each.low:.3f} - {each.high:.3f}",
                *map(self._number, (each.probability, each.accuracy)),
                f"{each.count:,}",
            )
            for each in self.calibration.bins
            if each.count
        ]
        return [f"reliability in {len(self.calibration.bins)} bins", *format_columns(rows, right=(1, 2, 3))]

    def _comparison_table(self) -> list[str]:
        comparison = self.scores.comparison
        if comparison is None:
            return []
        rows: list[Sequence[str]] = [("", "baseline", "system", "difference", "95 % interval", "")]
        for each in comparison.differences:
            scores = map(self._number, (each.baseline, each.system))
            change = f"{each.system - each.baseline:+.{self.width}f}"
            interval = ", ".join(f"{bound:+.{self.width}f}" for bound in each.interval)
            rows.append((each.name, *scores, change, f"[{interval}]", _p_value(each.p_value)))
        table = format_columns(rows, right=(1, 2, 3, 4)) if comparison.differences else []
        title = f"comparison of {self.systems[0]} with the baseline {self.systems[1]}: paired bootstrap"
        return [title, *table, self._mcnemar(comparison)]

    def _mcnemar(self, comparison: SystemComparison) -> str:
        items = "words" if self.form == "word" else "lines"
        return (
            f"McNemar's exact test: only the system is right on {comparison.only_system:,} {items}, only the baseline "
            f"on {comparison.only_baseline:,}; {_p_value(comparison.p_value)}"
        )

    def _spans_as_dict(self) -> JsonObject | None:
        if self.spans is None or self.scores.spans is None:
            return None
        return {**self.spans.as_dict(), **self.scores.spans.as_dict(self.width)}

    def _comparison_as_dict(self) -> JsonObject | None:
        comparison = self.scores.comparison
        if comparison is None:
            return None
        differences = [
            {
                "name": each.name,
                "baseline": round(each.baseline, self.width),
                "system": round(each.system, self.width),
                "low": round(each.interval.low, self.width),
                "high": round(each.interval.high, self.width),
                "p_value": each.p_value,
            }
            for each in comparison.differences
        ]
        return {
            "baseline": self.systems[1],
            "differences": differences,
            "mcnemar": {
                "only_baseline": comparison.only_baseline,
                "only_system": comparison.only_system,
                "p_value": comparison.p_value,
            },
        }


def _p_value(value: float) -> str:
    """Format a p-value, with a star if the difference is significant."""
    shown = "p < 0.0001" if value < 1e-4 else f"p = {value:.4f}"
    return f"{shown}{' *' if value < SIGNIFICANT else ''}"


def _estimate(score: EstimatedScore, width: int) -> JsonObject:
    """JSON form of a score."""
    result: JsonObject = {"name": score.name, "score": round(score.value, width)}
    if score.interval is not None:
        bounds = {"low": round(score.interval.low, width), "high": round(score.interval.high, width)}
        result |= {**bounds, "method": score.method}
    if score.counts is not None:
        result |= {"correct": score.counts[0], "total": score.counts[1]}
    return result


def _score_rows(name: str, table: ScoreTable, width: int) -> list[str]:
    """Format precision, recall and F1 of each label, and the averages; of many labels those with most support."""
    if not table.labels:
        return []
    shown = set(sorted(table.labels, key=lambda each: (-each.support, each.name))[:MAX_ROWS])
    rows: list[Sequence[str]] = [(name, "precision", "recall", "F1", "support")]
    rows += [_score_row(each, width) for each in table.labels if each in shown]
    rows += [_score_row(each, width) for each in table.averages]
    lines = format_columns(rows, right=range(1, 5))
    count = len(table.averages)
    more = len(table.labels) - len(shown)
    omitted = [f"{more:,} labels with less support are not shown; --json has all"] if more else []
    return [*lines[:-count], *omitted, "", *lines[-count:]]


def _score_row(score: LabelScore, width: int) -> Sequence[str]:
    figures = (f"{value:.{width}f}" for value in (score.precision, score.recall, score.f1))
    return (score.name, *figures, f"{score.support:,}")


def confusion_lines(confusions: Sequence[Confusion]) -> Iterator[str]:
    """Yield the confusion matrix as a table, or as a list of the most frequent errors if the table is too wide."""
    labels = sorted({label for each in confusions for label in (each.reference, each.hypothesis)})
    if not labels or sum(len(label) + 2 for label in labels) > MAX_MATRIX_WIDTH:
        yield from _frequent_errors(confusions)
        return
    counts = {(each.reference, each.hypothesis): f"{each.count:,}" for each in confusions}
    rows = [("", *labels), *((row, *(counts.get((row, column), "0") for column in labels)) for row in labels)]
    table = format_columns(rows, right=range(1, len(labels) + 1))
    if max(map(display_width, table)) > MAX_MATRIX_WIDTH:
        yield from _frequent_errors(confusions)
        return
    yield "confusion matrix: a row for each label of the reference, a column for each prediction"
    yield from table


def _frequent_errors(confusions: Sequence[Confusion]) -> Iterator[str]:
    errors = [each for each in confusions if each.reference != each.hypothesis]
    errors.sort(key=lambda each: (-each.count, each.reference, each.hypothesis))
    if errors:
        yield "most frequent errors; --json has the whole confusion matrix"
        rows = [("reference", "prediction", "count")]
        rows += [(each.reference, each.hypothesis, f"{each.count:,}") for each in errors[:MAX_ERRORS]]
        yield from format_columns(rows, right=(2,))
