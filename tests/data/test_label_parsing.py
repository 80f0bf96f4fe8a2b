"""Label files: what has a label, how lines are read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.data.label_parsing import LabelForm, detect_level, parse_labels, parse_weight, read_in_step, split_words
from rnnkit.errors import DataError

HERE = Path("train.label")


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_words_end_at_blanks_and_tabs_only() -> None:
    assert split_words(" a\tb\u00a0c  d ") == ["a", "b\u00a0c", "d"]
    assert split_words("") == []


@pytest.mark.parametrize(
    ("labels", "level"),
    [
        (["X Y", "Z", "X X X"], "word"),
        (["X", "Z", "X"], "line"),
        (["very good", "Z", "a b c d"], "line"),
    ],
)
def test_level_is_detected(tmp_path: Path, labels: list[str], level: str) -> None:
    text = write(tmp_path, "text", "a b", "c", "d e f")
    assert detect_level(text, write(tmp_path, "labels", *labels)) == level


def test_one_wrong_line_of_many_tags_is_an_error(tmp_path: Path) -> None:
    text, labels = write(tmp_path, "text", *["a b"] * 30), write(tmp_path, "labels", *["X Y"] * 29, "X")
    assert detect_level(text, labels) == "word"


@pytest.mark.parametrize(
    ("form", "line", "labels", "shares"),
    [
        (LabelForm("line"), " very  good ", ("very good",), None),
        (LabelForm("word"), "X Y", ("X", "Y"), None),
        (LabelForm("line", many=True), "b a b", ("b", "a"), None),
        (LabelForm("line", many=True), "", (), None),
        (LabelForm("line", soft=True), "a=b=1 c=3 d=0", ("a=b", "c"), (0.25, 0.75)),
    ],
)
def test_parse(form: LabelForm, line: str, labels: tuple[str, ...], shares: tuple[float, ...] | None) -> None:
    found = parse_labels(line, 2, form, HERE, 1)
    assert (found.labels, found.shares) == (labels, shares)


@pytest.mark.parametrize(
    ("form", "line", "value"),
    [
        (LabelForm("line"), " ", ""),
        (LabelForm("word"), "X", 1),
        (LabelForm("word"), "X Y Z", 3),
        (LabelForm("line", soft=True), "a", "a"),
        (LabelForm("line", soft=True), "a=nan", "a=nan"),
        (LabelForm("line", soft=True), "a=-1", "a=-1"),
        (LabelForm("line", soft=True), "a=1 a=2", "a=2"),
        (LabelForm("line", soft=True), "a=0", ""),
    ],
)
def test_invalid_lines_are_named(form: LabelForm, line: str, value: object) -> None:
    with raises(DataError, "train.label:7", value, line=7, path=HERE):
        parse_labels(line, 2, form, HERE, 7)


@pytest.mark.parametrize("line", ["", "x", "nan", "inf", "-0.1"])
def test_invalid_weights_are_named(line: str) -> None:
    with raises(DataError, line=3, path=HERE):
        parse_weight(line, HERE, 3)


@pytest.mark.parametrize("missing", ["text", "labels"])
def test_different_numbers_of_lines(tmp_path: Path, missing: str) -> None:
    lines = {"text": ["a", "b", "c"], "labels": ["X", "Y", "Z"]}
    lines[missing].pop()
    paths = {name: write(tmp_path, name, *each) for name, each in lines.items()}
    with raises(DataError, 2, path=paths[missing]):
        list(read_in_step(paths["text"], [paths["labels"]]))
