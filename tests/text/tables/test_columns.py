"""Selected columns: how they are typed, and how they are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.raising import raises

from rnnkit.errors import DataError, UsageError
from rnnkit.text.tables.columns import ColumnSelection, parse_columns, resolve_columns

PATH = Path("t.csv")


def test_names_and_numbers() -> None:
    found = parse_columns(["text", "x=1", "last=-1", "Große Liebe", "z=a=b", "y=1st"])
    assert [(each.name, each.column) for each in found] == [
        ("text", "text"), ("x", 1), ("last", -1), ("Große Liebe", "Große Liebe"), ("z", "a=b"), ("y", "1st"),
    ]  # fmt: skip
    assert [str(each) for each in found[:2]] == ["text", "x=1"]


@pytest.mark.parametrize(
    "text", ["1", "-1", "x=", "=1", "x=0", "a.b", "a/b", "gz", "tok", "..", "x\n", "x.=1", ""], ids=repr
)
def test_invalid_selections(text: str) -> None:
    with raises(UsageError, option="--columns"):
        parse_columns([text])


def test_names_are_unique() -> None:
    with raises(UsageError, "'x'", option="--columns"):
        parse_columns(["x=1", "x=2"])


def resolve(*texts: str, numbered: bool = False) -> list[int]:
    return resolve_columns(parse_columns(texts), ["id", "text", "stars", "text"], 4, PATH, numbered)


def test_resolved_columns() -> None:
    assert resolve("id", "x=4", "y=-4", "stars") == [0, 3, -4, 2]
    for text, value in (("x=5", 5), ("x=-5", -5), ("star", "did you mean 'stars'?"), ("text", "2 and 4")):
        with raises(DataError, value, path=PATH, option="--columns"):
            resolve(text)
    with raises(DataError, "text=1", option="--columns"):
        resolve("text", numbered=True)


def test_long_lists_of_columns_are_cut() -> None:
    with raises(DataError, "and 80 more"):
        resolve_columns([ColumnSelection("x", "x")], [f"c{number}" for number in range(100)], 100, PATH)
