"""Rows of words from the text files in `words`."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "words"


def table(name: str) -> list[dict[str, list[str]]]:
    """The rows of a file in `words`. Columns are separated by a bar, alternatives within one by commas."""
    head, *rows = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    columns = [column.strip() for column in head.split("|")]
    split_rows = [[[item.strip() for item in cell.split(",")] for cell in row.split("|")] for row in rows]
    return [dict(zip(columns, cells, strict=True)) for cells in split_rows]
