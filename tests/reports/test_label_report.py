"""Tables of labels: the confusion matrix where it fits, the most frequent errors where it does not."""

from __future__ import annotations

import pytest

from rnnkit.evaluation.label_evaluation import SystemScores
from rnnkit.evaluation.label_metrics import Confusion, LabelScore, ScoreTable
from rnnkit.reports.label_report import MAX_ERRORS, MAX_ROWS, BootstrapSettings, LabelReport, StrayTags, confusion_lines


def test_a_matrix_that_fits() -> None:
    cells = [Confusion("東京", "a", 1_000), Confusion("a", "a", 2)]
    assert list(confusion_lines(cells))[1:] == ["          a  東京", "a         2     0", "東京  1,000     0"]


def test_a_matrix_that_is_too_wide() -> None:
    labels = [f"label-{number:02}" for number in range(12)]
    cells = [Confusion(label, labels[place - 1], place + 1) for place, label in enumerate(labels)]
    cells.append(Confusion("label-00", "label-00", 99))
    title, head, *lines = confusion_lines(cells)
    assert "--json" in title
    assert head.split() == ["reference", "prediction", "count"]
    assert len(lines) == MAX_ERRORS
    assert lines[0].split() == ["label-11", "label-10", "12"]


def test_a_wide_matrix_without_errors() -> None:
    assert list(confusion_lines([Confusion(f"label-{n:02}", f"label-{n:02}", 1) for n in range(20)])) == []


def test_many_labels_are_counted() -> None:
    rows = tuple(LabelScore(f"l{n:03}", 1, 1, 1, n, n) for n in range(MAX_ROWS + 5))
    table = ScoreTable(rows, (LabelScore("macro average", 1, 1, 1, 9, 9),))
    scores = SystemScores((), table, None, ())
    report = LabelReport("ref", ("hyp",), "line", 9, scores, BootstrapSettings(0, 1), width=2)
    shown = [line.split()[0] for line in report.lines if line.startswith("l0")]
    assert shown == [f"l{n:03}" for n in range(5, 100)]
    assert "5 labels with less support are not shown; --json has all" in report.lines
    assert len(report.as_dict()["labels"]) == MAX_ROWS + 5


@pytest.mark.parametrize(
    ("count", "lines", "text"),
    [
        (1, (7,), "1 stray tag that BIO does not allow, on line 7"),
        (1_234, (1, 2, 3, 4, 5, 6, 9), "1,234 stray tags that BIO does not allow, on lines 1, 2, 3, 4, 5 and 2 more"),
    ],
)
def test_stray_tags(count: int, lines: tuple[int, ...], text: str) -> None:
    assert StrayTags("hyp", count, lines).describe("BIO") == f"hyp has {text}"
