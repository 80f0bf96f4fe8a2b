"""Plain-text tables with aligned columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

GAP = "  "


def format_columns(rows: Sequence[Sequence[str]], right: Collection[int] = (), indent: str = "") -> list[str]:
    """Format rows as lines with aligned columns.

    Args:
        rows: Rows of equally many cells.
        right: Indices of right-aligned columns, such as numbers.
        indent: Prefix of each line.
    """
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    return [
        (indent + GAP.join(_pad(cell, widths[place], ahead=place in right) for place, cell in enumerate(row))).rstrip()
        for row in rows
    ]


def display_width(text: str) -> int:
    """Compute the width of a text in terminal cells: wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "FW" else 1
        for character in text
    )


def _pad(cell: str, wanted: int, ahead: bool) -> str:
    blank = " " * (wanted - display_width(cell))
    return blank + cell if ahead else cell + blank
