"""The stage on small files: each form of labels, what is reported of each, and what is refused."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.raising import raises

from rnnkit.errors import ArtefactError, DataError, UsageError
from rnnkit.events import Event, Note, WarningEvent
from rnnkit.options.declare import STDIN
from rnnkit.reports.label_report import LabelReport
from rnnkit.stages.evaluation.evaluate_labels import EvaluateLabelsOptions, run


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def make(folder: Path, right: str, predicted: str, **values: Any) -> EvaluateLabelsOptions:
    """Options for two files and 20 resamples."""
    one, other = write(folder, "ref", right), write(folder, "hyp", predicted)
    return EvaluateLabelsOptions(**{"reference": one, "hypotheses": other, "bootstrap_samples": 20, **values})


def scores(report: LabelReport) -> dict[str, float]:
    return {each["name"]: each["score"] for each in report.as_dict()["scores"]}


def heard(options: EvaluateLabelsOptions) -> list[str]:
    events: list[Event] = []
    run(options, events.append)
    return [event.text for event in events if isinstance(event, WarningEvent | Note)]


def test_classification(tmp_path: Path) -> None:
    options = make(tmp_path, "good\nbad\ngood\nbad\n", "good\nbad\nbad\nbad\n")
    report = run(options)
    assert report.lines == (
        "one label per line: 4 lines, 2 labels",
        "",
        "                       score     95 % interval",
        "accuracy              0.7500  [0.3006, 0.9544]  3 of 4 lines",
        *report.lines[4:6],
        "intervals: Wilson for accuracy; bootstrap over lines for the others (20 resamples, seed 12345)",
        "",
        "label             precision  recall      F1  support",
        "bad                  0.6667  1.0000  0.8000        2",
        "good                 1.0000  0.5000  0.6667        2",
        "",
        "micro average        0.7500  0.7500  0.7500        4",
        "macro average        0.8333  0.7500  0.7333        4",
        "weighted average     0.8333  0.7500  0.7333        4",
        "",
        "confusion matrix: a row for each label of the reference, a column for each prediction",
        "      bad  good",
        "bad     2     0",
        "good    1     1",
    )
    assert report.lines[4].startswith("macro F1              0.7333  [")
    assert report.brief == ("accuracy\t0.7500", "macro F1\t0.7333", "Matthews correlation\t0.5774")
    assert heard(options) == []


def test_tagging(tmp_path: Path) -> None:
    report = run(make(tmp_path, "O B-A I-A\n\nB-A O\n", "O B-A O\n\nB-A I-B\n", width=2))
    assert report.lines[0] == "one label per word: 5 words in 3 lines, 4 labels"
    assert scores(report) == {
        "accuracy": 0.6, "macro F1": 0.38, "Matthews correlation": 0.44, "span F1": 0.4, "span macro F1": 0.25,
    }  # fmt: skip
    [at] = [place for place, line in enumerate(report.lines) if line.startswith("spans:")]
    assert report.lines[at : at + 8] == (
        "spans: BIO (detected), as conlleval and seqeval",
        "type              precision  recall    F1  support",
        "A                      0.50    0.50  0.50        2",
        "B                      0.00    0.00  0.00        0",
        "",
        "micro average          0.33    0.50  0.40        2",
        "macro average          0.25    0.25  0.25        2",
        "weighted average       0.50    0.50  0.50        2",
    )


def test_stray_tags_are_counted(tmp_path: Path) -> None:
    options = make(tmp_path, "O B-A\nO O\nB-A O\nI-A B-A\n", "O I-A\nO O\nI-A O\nB-A I-A\n")
    stray = run(options).as_dict()["spans"]["stray_tags"]
    assert [(Path(each["file"]).name, each["count"], each["lines"]) for each in stray] == [
        ("ref", 1, [4]),
        ("hyp", 2, [1, 3]),
    ]
    warnings = [text for text in heard(options) if "stray" in text]
    assert [text.partition(" has ")[2] for text in warnings] == [
        "1 stray tag that BIO does not allow, on line 4",
        "2 stray tags that BIO does not allow, on lines 1, 3",
    ]


def test_strict_spans(tmp_path: Path) -> None:
    options = make(tmp_path, "O B-A\nB-A I-A\n", "O I-A\nB-A I-A\n")
    assert scores(run(options))["span F1"] == 1
    report = run(replace(options, strict=True))
    assert scores(report)["span F1"] == 0.6667
    assert "spans: BIO (detected), strict, as seqeval" in report.lines


@pytest.mark.parametrize(("scheme", "name"), [("iob2", "BIO"), ("bio", "BIO"), ("iob1", "IOB1"), ("bioes", "BIOES")])
def test_scheme_is_given(tmp_path: Path, scheme: str, name: str) -> None:
    spans = run(make(tmp_path, "O B-A\n", "O B-A\n", scheme=scheme)).as_dict()["spans"]
    assert (spans["scheme"], spans["detected"]) == (name, False)


def test_no_scores_of_spans(tmp_path: Path) -> None:
    assert run(make(tmp_path, "O B-A\n", "O B-A\n", scheme="none")).as_dict()["spans"] is None
    options = make(tmp_path, "DET NOUN\n", "DET VERB\n")
    assert run(options).as_dict()["spans"] is None
    assert not any("span" in text for text in heard(options))
    assert any("'X' is not a tag" in text for text in heard(make(tmp_path, "O B-A X B-B I-B\n", "O O X O O\n")))


def test_scheme_of_the_hypotheses_if_the_reference_has_no_span(tmp_path: Path) -> None:
    spans = run(make(tmp_path, "O O\n", "S-A O\n")).as_dict()["spans"]
    assert (spans["scheme"], spans["labels"][0]["precision"]) == ("BIOES", 0)
    assert run(make(tmp_path, "O O\n", "O O\n")).as_dict()["spans"] is None


def test_sets_of_labels(tmp_path: Path) -> None:
    report = run(make(tmp_path, "a b\nb\n\nc\n", "b a\nb c\n\n\n", multi_label=True))
    assert scores(report) == {"subset accuracy": 0.5, "micro F1": 0.75, "macro F1": 0.6667}
    assert [each.name for each in report.scores.labels.averages][-1] == "samples average"
    assert report.as_dict()["confusion_matrix"] == []


@pytest.mark.parametrize(
    ("values", "reference", "hypotheses", "level"),
    [
        ({"label_level": "word"}, "A\nB\n", "A\nC\n", "one label per word: 2 words in 2 lines, 3 labels"),
        ({"label_level": "line"}, "New York\nB\n", "New York\nRome\n", "one label per line: 2 lines, 3 labels"),
        ({}, "A\nB C\n", "A\nC C\n", "one label per word: 3 words in 2 lines, 3 labels"),
    ],
)
def test_levels(tmp_path: Path, values: dict[str, str], reference: str, hypotheses: str, level: str) -> None:
    report = run(make(tmp_path, reference, hypotheses, **values))
    assert report.lines[0] == level
    assert scores(report)["accuracy"] == pytest.approx(2 / 3 if not values else 0.5, abs=1e-4)


RECORDS = '{"label": "a", "probability": 0.9}\n{"label": "b", "probability": 0.6, "line": 2}\n'


def test_records_of_classification(tmp_path: Path) -> None:
    options = make(tmp_path, "a\na\n", RECORDS)
    report = run(options)
    assert report.calibration is not None
    assert report.calibration.error == pytest.approx((0.1 + 0.6) / 2)
    assert "calibration error\t0.3500" in report.brief
    plain = write(tmp_path, "plain", "a\nb\n")
    for content in (RECORDS, "0.9\n0.6\n"):
        path = write(tmp_path, "probabilities", content)
        assert run(replace(options, hypotheses=plain, probabilities=path)).calibration == report.calibration


def test_records_of_tags_and_sets(tmp_path: Path) -> None:
    tags = '{"tags": ["O", "B-A"], "probabilities": [0.5, 1.0]}\n{"tags": [], "probabilities": []}\n'
    found = run(make(tmp_path, "O B-A\n\n", tags)).calibration
    assert found is not None
    assert (found.probability, found.accuracy) == (0.75, 1)
    sets = (
        '{"labels": ["b", "a"], "probabilities": {"a": 1.0, "b": 0.5, "c": 0}}\n{"labels": [], "probabilities": []}\n'
    )
    found = run(make(tmp_path, "a\nb\n", sets, multi_label=True)).calibration
    assert found is not None
    assert [each.accuracy for each in found.bins if each.count] == [0, 1]


def test_records_without_probabilities(tmp_path: Path) -> None:
    assert run(make(tmp_path, "a\nb\n", '{"label": "a"}\n{"label": "b"}\n')).calibration is None


def test_labels_that_look_like_records(tmp_path: Path) -> None:
    assert scores(run(make(tmp_path, "{\n}\n", "{\n{\n")))["accuracy"] == 0.5


def test_known_and_unknown_words(tmp_path: Path) -> None:
    options = make(tmp_path, "A B\nA A\n", "A A\nA B\n")
    text, train = write(tmp_path, "text", "the cat\nthe dog\n"), write(tmp_path, "train", "the dog\n")
    found = scores(run(replace(options, text=text, train_text=train)))
    assert (found["known words"], found["unknown words"]) == (0.6667, 0)
    assert "unknown words" not in scores(run(replace(options, text=text, train_text=text)))


def test_comparison_with_a_baseline(tmp_path: Path) -> None:
    options = make(tmp_path, "a\nb\n" * 20, "a\nb\n" * 20, bootstrap_samples=99)
    worse = replace(options, baseline=write(tmp_path, "worse", "a\na\n" * 20))
    report = run(worse)
    found = report.as_dict()["comparison"]
    assert [each["p_value"] for each in found["differences"]] == [0.01] * 3
    assert found["mcnemar"] == {"only_baseline": 0, "only_system": 20, "p_value": pytest.approx(2**-19)}
    assert report.brief[0] == "accuracy\t1.0000\tbaseline 0.5000\tp = 0.0100 *"
    assert report.lines[-1].endswith("right on 20 lines, only the baseline on 0; p < 0.0001 *")
    same = run(replace(options, baseline=options.hypotheses)).as_dict()["comparison"]
    assert [each["p_value"] for each in same["differences"]] == [1] * 3
    assert same["mcnemar"]["p_value"] == 1


def test_without_resamples(tmp_path: Path) -> None:
    options = make(tmp_path, "A B\n", "A A\n", bootstrap_samples=0)
    report = run(replace(options, baseline=options.hypotheses))
    assert all(each.interval is None for each in report.summary)
    assert report.scores.comparison is not None
    assert report.scores.comparison.differences == ()
    assert not any(line.startswith("intervals") for line in report.lines)


def test_the_seed_decides(tmp_path: Path) -> None:
    options = make(tmp_path, "A B C\nB C\nA A\nC\n", "A B B\nC C\nA B\nC\n")
    assert run(options).lines == run(options).lines != run(replace(options, seed=1)).lines


def test_pictures(tmp_path: Path) -> None:
    options = make(tmp_path, "a\na\n", RECORDS, figure=tmp_path / "c.svg", reliability=tmp_path / "r.svg")
    assert heard(options)[-2:] == [f"{tmp_path / 'c.svg'} drawn", f"{tmp_path / 'r.svg'} drawn"]
    assert "calibration error 0.3500" in (tmp_path / "r.svg").read_text(encoding="utf-8")
    with raises(ArtefactError, "already exists", path=tmp_path / "c.svg"):
        run(options)
    run(replace(options, overwrite=True))
    with raises(ArtefactError, "another output"):
        run(replace(options, figure=tmp_path / "x.svg", reliability=tmp_path / "x.svg"))


def test_scores_that_are_zero_by_definition(tmp_path: Path) -> None:
    assert heard(make(tmp_path, "a\nb\n", "a\nc\n")) == [
        "recall is 0.0 for labels that are missing in the reference: c",
        "precision is 0.0 for labels that are never predicted: b",
    ]
    single = make(tmp_path, "a\na\n", "a\na\n")
    assert heard(single) == ["all labels are 'a', which makes every score trivial"]
    assert scores(run(single))["Matthews correlation"] == 0


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
    assert scores(run(replace(make(tmp_path, "a\nb\n", ""), hypotheses=STDIN)))["accuracy"] == 1


DATA_ERRORS: dict[str, tuple[str | bytes, str | bytes, dict[str, Any], str, int | None, tuple[object, ...]]] = {
    "no reference": ("", "a\n", {}, "ref", None, ("empty",)),
    "no hypotheses": ("a\n", "", {}, "hyp", None, ("empty", "label")),
    "only blank lines": ("\n\n", "a\nb\n", {}, "ref", None, ("blank",)),
    "fewer lines": ("a\nb\nc\n", "a\n", {}, "ref", 2, ("hyp has 1 lines", "has 3", "ref:2")),
    "more lines": ("a\n", "a\nb\n", {}, "hyp", 2, ("hyp:2",)),
    "no label": ("a\n\nb\n", "a\nb\nc\n", {}, "ref", 2, ("ref:2", "rnnkit extract")),
    "no prediction": ("a\nb\n", "a\n \n", {"label_level": "line"}, "hyp", 2, ("hyp:2",)),
    "several predictions": ("a\nb\n", "a\nb c\n", {}, "hyp", 2, ("hyp:2: 2 labels", "--multi-label")),
    "fewer words": ("A B\nA B C\n", "A B\nA B\n", {}, "hyp", 2, ("hyp:2: 2 labels", "ref:2 has 3")),
    "not a tag": ("O B-A\n", "O X\n", {}, "hyp", 1, ("'X'", "BIO", "--scheme none")),
    "not a tag of the reference": ("O B-A\nE-A O\n", "O B-A\nO O\n", {"scheme": "bio"}, "ref", 2, ("'E-A'", "BIO")),
    "not a tag of the scheme": ("O B-A\n", "O S-A\n", {"strict": True}, "hyp", 1, ("'S-A'", "BIO")),
    "UTF-16": (b"\xff\xfea\x00\n\x00", "a\n", {}, "ref", None, ("UTF-16",)),
    "lone surrogate": ("a\nb\n", b"a\n\xed\xa0\x80\n", {}, "hyp", 2, ("hyp:2:1", "0xed")),
    "NUL": ("a\nb\n", b"a\nb\0\n", {}, "hyp", 2, ("hyp:2:2", "NUL")),
    "surrogate in JSON": ("a\nb\n", '{"label": "a"}\n{"label": "\\ud800"}\n', {}, "hyp", 2, ("hyp:2", "surrogate")),
    "not JSON": ("a\nb\n", '{"label": "a"}\nb\n', {}, "hyp", 2, ("hyp:2", "JSON")),
    "not an object": ("a\nb\n", '{"label": "a"}\n["b"]\n', {}, "hyp", 2, ("hyp:2", "JSON")),
    "deep JSON": ("a\nb\n", '{"label": "a"}\n' + "[" * 100_000, {}, "hyp", 2, ("hyp:2", "nested")),
    "record of another form": ("a\nb\n", '{"tags": ["a"]}\n{"tags": ["b"]}\n', {}, "hyp", 1, ('"label"',)),
    "empty label": ("a\n", '{"label": ""}\n', {}, "hyp", 1, ('"label"',)),
    "label twice": ("a\n", '{"labels": ["a", "a"]}\n', {"multi_label": True}, "hyp", 1, ("twice",)),
    "NaN": ("a\n", '{"label": "a", "probability": NaN}\n', {}, "hyp", 1, ("nan", "from 0 to 1")),
    "a label missing": ("a\n", '{"labels": ["a"], "probabilities": {}}\n', {"multi_label": True}, "hyp", 1, ("None",)),
    "no number": ("a\n", '{"label": "a", "probability": true}\n', {}, "hyp", 1, ("True", "from 0 to 1")),
    "fewer probabilities": ("A B\n", '{"tags": ["A", "B"], "probabilities": [1]}\n', {}, "hyp", 1, ("1 prob",)),
}  # fmt: skip
"""By name reference, hypotheses, options, the file at fault, its line, and what the message names."""


@pytest.mark.parametrize("name", DATA_ERRORS)
def test_labels_that_are_refused(tmp_path: Path, name: str) -> None:
    reference, hypotheses, values, file, line, named = DATA_ERRORS[name]
    options = make(tmp_path, "", "", **values)
    for path, content in ((options.reference, reference), (options.hypotheses, hypotheses)):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with raises(DataError, *named, path=tmp_path / file, line=line):
        run(options)


@pytest.mark.parametrize(
    ("content", "line", "named"),
    [
        ("0.5\nnan\n", 2, "'nan'"),
        ("0.5\n1.5\n", 2, "'1.5'"),
        ("-0.1\n1\n", 1, "'-0.1'"),
        ("0.5\nx\n", 2, "'x'"),
        ("0.5\n0.5 0.5\n", 2, "2 probabilities for 1 labels"),
        ("0.5\n", 2, "has no counterpart"),
        ('{"label": "a", "probability": 1}\n{"label": "a", "probability": 1}\n', 2, "other labels than"),
        ('{"label": "a", "probability": 1}\n{"label": "b"}\n', None, 'without "probability"'),
    ],
)
def test_probabilities_that_are_refused(tmp_path: Path, content: str, line: int | None, named: str) -> None:
    options = make(tmp_path, "a\nb\n", "a\nb\n", probabilities=write(tmp_path, "probabilities", content))
    with raises(DataError, named, line=line):
        run(options)


@pytest.mark.parametrize(("text", "line"), [("the cat\nthe\n", 2), ("the cat\n", 2), ("the\nthe cat\n", 1)])
def test_text_that_does_not_match(tmp_path: Path, text: str, line: int) -> None:
    path = write(tmp_path, "text", text)
    with raises(DataError, line=line):
        run(make(tmp_path, "A B\nA A\n", "A B\nA A\n", text=path, train_text=path))


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"text": Path("x")}, "--text"),
        ({"train_text": Path("x")}, "--train-text"),
        ({"text": Path("hyp"), "train_text": Path("hyp")}, "--text"),
        ({"multi_label": True, "label_level": "word"}, "--multi-label"),
        ({"multi_label": True, "figure": Path("x.png")}, "--figure"),
        ({"strict": True, "scheme": "none"}, "--strict"),
        ({"strict": True, "label_level": "word"}, "--strict"),
        ({"scheme": "bio"}, "--scheme"),
        ({"reliability": Path("x.png")}, "--reliability"),
        ({"reference": STDIN, "hypotheses": STDIN}, "--hypotheses"),
    ],
)
def test_incompatible_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with raises(UsageError, option=option):
        run(make(tmp_path, "a\nb\n", "a\nb\n", **values))


def test_json_has_everything(tmp_path: Path) -> None:
    options = make(tmp_path, "O B-A\nB-A I-A\n", "O B-A\nB-A O\n")
    found = json.loads(json.dumps(run(replace(options, baseline=options.reference)).as_dict()))
    assert set(found) == {
        "reference", "hypotheses", "form", "lines", "scores", "labels", "averages", "spans", "confusion_matrix",
        "calibration", "comparison", "bootstrap_samples", "seed",
    }  # fmt: skip
    assert found["confusion_matrix"][-1] == {"reference": "O", "hypothesis": "O", "count": 1}
    assert found["scores"][0] == {**found["scores"][0], "correct": 3, "total": 4, "method": "bootstrap"}
