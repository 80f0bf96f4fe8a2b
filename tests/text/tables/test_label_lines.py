"""fastText's label lines: labels anywhere in a line, and how they are replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.text.tables.records import ReplacementError, RowError

from .reading import read_values, replace_values


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "train.txt"


def test_labels_anywhere(table: Path) -> None:
    table.write_bytes(b"__label__a __label__b  x y\r\nx __label__c y __label__\nx__label__d __label__e\n\n")
    assert read_values(table) == [["x y", "a b"], ["x y", "c _"], ["x__label__d", "e"]]


@pytest.mark.parametrize(
    ("old", "labels", "new"),
    [
        ("__label__a  x y", "b", "__label__b  x y"),
        ("__label__a x", "b c", "__label__b __label__c x"),
        ("__label__a __label__b x", "c", "__label__c x"),
        ("x __label__a y __label__b", "c", "x __label__c y"),
        ("x __label__a y __label__b", "c d", "x __label__c y __label__d"),
    ],
)
def test_replaced_labels(table: Path, old: str, labels: str, new: str) -> None:
    table.write_text(f"{old}\n", encoding="utf-8")
    assert replace_values(table, ["label"], [labels]) == f"{new}\n".encode()
    table.write_text(f"{new}\n", encoding="utf-8")
    assert [line for (line,) in read_values(table, ["label"])] == [labels]


def test_replaced_text(table: Path) -> None:
    table.write_bytes(b"__label__a  x y \n__label__b\n")
    assert replace_values(table, ["text"], ["z", "z"]) == b"__label__a  z \n__label__b z\n"
    table.write_bytes(b"x __label__a y\n")
    for column, line in (("text", "z"), ("text", "__label__b"), ("label", " ")):
        with pytest.raises(ReplacementError):
            replace_values(table, [column], [line])


def test_lines_without_labels(table: Path) -> None:
    table.write_bytes(b"__label__a x\ny\n")
    assert read_values(table, ["text"]) == [["x"], ["y"]]
    with raises(RowError, "__label__", f"{table}:2", line=2):
        read_values(table)
