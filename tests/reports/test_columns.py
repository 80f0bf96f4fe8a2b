"""Columns that stand below each other, whatever the script."""

from __future__ import annotations

from rnnkit.reports.columns import display_width, format_columns


def test_cells_are_padded_on_the_side_that_is_asked_for() -> None:
    rows = [("section", "asked", ""), ("a", "17", "x"), ("longer name", "3", "y")]
    assert format_columns(rows, right=[1], indent="> ") == [
        "> section      asked",
        "> a               17  x",
        "> longer name      3  y",
    ]


def test_width_is_that_of_a_terminal() -> None:
    assert [display_width(text) for text in ("abc", "東京", "ｱ", "e\u0301", "")] == [3, 4, 1, 1, 0]
    assert format_columns([("東京", "1"), ("a", "2")]) == ["東京  1", "a     2"]


def test_no_rows_are_no_lines() -> None:
    assert format_columns([]) == []
