"""Reports equal those of seqeval and scikit-learn to the last digit: recorded ones, and random ones if installed.

`label_reports.json` has what `classification_report(digits=4)` of both printed, with the versions that it names.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnkit.evaluation.label_evaluation import LabelTask, SystemScores, evaluate_labels, score_spans
from rnnkit.evaluation.label_files import LINE, SET, LabelRows, encode_labels
from rnnkit.evaluation.label_metrics import ScoreTable
from rnnkit.options.declare import STDIN
from rnnkit.text.span_schemes import SAME_ROLE, SpanScheme

RECORDED = json.loads(Path(__file__).with_name("label_reports.json").read_text(encoding="utf-8"))
CLASSES = {"iob1": "IOB1", "bio": "IOB2", "bioes": "IOBES", "bilou": "BILOU"}
"""Names of the schemes in seqeval."""

Rows = list[list[str]]


def printed(table: ScoreTable, without: str = "") -> dict[str, str]:
    """The rows of a report with four digits, by name."""
    return {
        name: f"{each.precision:.4f} {each.recall:.4f} {each.f1:.4f} {each.support}"
        for each in (*table.labels, *table.averages)
        if (name := each.name.replace("average", "avg")) != without
    }


def parsed(report: str) -> dict[str, str]:
    """The rows of a printed report, by name."""
    cells = [line.rsplit(None, 4) for line in report.splitlines()[1:] if line.strip()]
    return {name.strip(): " ".join(figures) for name, *figures in cells if name.strip() != "accuracy"}


def evaluate(form: str, reference: Rows, hypotheses: Rows) -> SystemScores:
    labels, (one, other) = encode_labels([LabelRows(STDIN, rows) for rows in (reference, hypotheses)])
    return evaluate_labels(LabelTask(form, labels, one), other, None, 0, 1)


def split(lines: Sequence[str]) -> Rows:
    return [line.split() for line in lines]


@pytest.mark.parametrize("case", RECORDED["spans"])
def test_recorded_spans(case: dict[str, Any]) -> None:
    reference, hypotheses = split(case["reference"]), split(case["hypotheses"])
    assert printed(score_spans(reference, hypotheses)) == case["lenient"]
    assert printed(score_spans(reference, hypotheses, SpanScheme(case["scheme"]))) == case["strict"]


@pytest.mark.parametrize("case", RECORDED["labels"])
def test_recorded_labels(case: dict[str, Any]) -> None:
    reference, hypotheses = ([[label] for label in case[side].split()] for side in ("reference", "hypotheses"))
    scores = evaluate(LINE, reference, hypotheses)
    assert printed(scores.labels, without="micro avg") == case["report"]
    found = {each.name: each.value for each in scores.summary}
    assert found["Matthews correlation"] == pytest.approx(case["matthews_correlation"], abs=1e-9)


@pytest.mark.parametrize("case", RECORDED["sets"])
def test_recorded_sets(case: dict[str, Any]) -> None:
    scores = evaluate(SET, split(case["reference"]), split(case["hypotheses"]))
    assert printed(scores.labels) == case["report"]


def random_tags(generator: random.Random, prefixes: str) -> Rows:
    types = generator.sample(["PER", "LOC", "a-b", "X", "D1"], generator.randint(1, 5))
    tags = ["O", "O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in types)]
    return [generator.choices(tags, k=generator.randint(1, 12)) for _ in range(generator.randint(1, 20))]


def as_bioes(rows: Rows) -> Rows:
    """Tags of BILOU in BIOES: seqeval's default knows no L and U."""
    return [[SAME_ROLE.get(label[0], label[0]) + label[1:] for label in row] for row in rows]


@pytest.mark.parametrize("scheme", list(SpanScheme))
def test_random_spans_by_seqeval(scheme: SpanScheme) -> None:
    seqeval = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed")
    strict = getattr(pytest.importorskip("seqeval.scheme"), CLASSES[scheme])
    compared = 0
    for seed in range(50):
        generator = random.Random(f"{scheme} {seed}")
        reference = random_tags(generator, scheme.prefixes)
        tags = sorted({label for row in reference for label in row})
        hypotheses = [
            [label if generator.random() < 0.8 else generator.choice(tags) for label in row] for row in reference
        ]
        lenient = seqeval.classification_report(as_bioes(reference), as_bioes(hypotheses), digits=4)
        assert printed(score_spans(reference, hypotheses)) == parsed(lenient)
        found = score_spans(reference, hypotheses, scheme)
        if found.labels:  # seqeval's report fails without spans
            report = seqeval.classification_report(reference, hypotheses, digits=4, mode="strict", scheme=strict)
            assert printed(found) == parsed(report)
            compared += 1
    assert compared > 10


def test_random_labels_by_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    for seed in range(50):
        generator = random.Random(seed)
        names = [f"L{number}" for number in range(generator.choice([1, 2, 5, 30]))]
        reference = generator.choices(names, k=generator.randint(1, 200))
        hypotheses = [label if generator.random() < 0.6 else generator.choice([*names, "new"]) for label in reference]
        scores = evaluate(LINE, [[label] for label in reference], [[label] for label in hypotheses])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = metrics.classification_report(reference, hypotheses, digits=4)
            correlation = metrics.matthews_corrcoef(reference, hypotheses)
        assert printed(scores.labels, without="micro avg") == parsed(report)
        assert np.isclose({each.name: each.value for each in scores.summary}["Matthews correlation"], correlation)
