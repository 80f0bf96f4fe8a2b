"""Which columns of a table are extracted, and under which names: `text`, `text=1`, `tag=-1`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rnnkit.errors import DataError, UsageError
from rnnkit.io.manifest import is_safe_name
from rnnkit.options.declare import did_you_mean
from rnnkit.text.token_files import TRAIN, CorpusName, parse_name

_NUMBER: Final = re.compile(r"[+-]?\d{1,9}")
_MAX_LISTED: Final = 20


@dataclass(frozen=True)
class ColumnSelection:
    """A column and the name of its line files.

    Attributes:
        name: The name, which follows that of the split: `train.NAME`.
        column: Name of the column, or its number: 1 is the first, -1 the last.
    """

    name: str
    column: str | int

    def __str__(self) -> str:
        """Return the selection as it is typed."""
        return self.name if self.name == self.column else f"{self.name}={self.column}"


def parse_columns(texts: Sequence[str]) -> list[ColumnSelection]:
    """Parse selections such as `text` or `text=1`.

    Raises:
        UsageError: A selection is malformed, or two have the same name.
    """
    found: list[ColumnSelection] = []
    for text in texts:
        selection = _parse_column(text)
        if selection.name in [other.name for other in found]:
            raise UsageError(
                f"--columns has the name {selection.name!r} twice",
                hint="NAME=COLUMN gives a column another name",
                option="--columns",
            )
        found.append(selection)
    return found


def _parse_column(text: str) -> ColumnSelection:
    name, equals, column = text.partition("=")
    if not equals:
        name, column = text, text
    if not column:
        raise UsageError(f"--columns {text!r}: the column is missing", option="--columns")
    if not equals and _NUMBER.fullmatch(column):
        raise UsageError(
            f"--columns {text}: a number needs a name for the files", hint=f"such as text={text}", option="--columns"
        )
    if not _names_files(name):
        raise UsageError(
            f"--columns {text!r}: {name!r} cannot be part of a file name such as train.NAME",
            hint=f"give it another name: NAME={column}",
            option="--columns",
        )
    return ColumnSelection(name, parse_column(column, "--columns"))


def parse_column(text: str, option: str) -> str | int:
    """Return the name or number of a column.

    Args:
        text: The column.
        option: The option that names it.

    Raises:
        UsageError: The number is 0.
    """
    if not _NUMBER.fullmatch(text):
        return text
    if not int(text):
        raise UsageError(f"{option} {text}: columns are numbered from 1", option=option)
    return int(text)


def _names_files(name: str) -> bool:
    """Return whether the name of a corpus file that ends in this name is parsed as such."""
    file = f"{TRAIN}.{name}"
    return is_safe_name(file) and parse_name(Path(file)) == CorpusName(TRAIN, name, TRAIN)


def resolve_columns(
    selections: Sequence[ColumnSelection], names: Sequence[str], width: int, path: Path, numbered: bool = False
) -> list[int]:
    """Return the index of each column, from 0; negative numbers stay negative.

    Args:
        selections: The columns.
        names: Names of the columns, if the file has any.
        width: Number of columns.
        path: The file, for messages.
        numbered: Whether names are missing because the file has no header.

    Raises:
        DataError: A column does not exist, or its name is ambiguous.
    """
    return [_resolve_column(selection.column, names, width, path, numbered) for selection in selections]


def _resolve_column(column: str | int, names: Sequence[str], width: int, path: Path, numbered: bool) -> int:
    if isinstance(column, int):
        if not -width <= column <= width:
            raise DataError(f"{path} has no column {column}", f"it has {width:,}", path=path, option="--columns")
        return column - 1 if column > 0 else column
    if numbered:
        raise DataError(
            f"{path} is read without a header, and {column!r} is the name of a column",
            hint=f"give the number of the column, such as {column}=1",
            path=path,
            option="--columns",
        )
    places = [place for place, name in enumerate(names) if name == column]
    if len(places) > 1:
        numbers = " and ".join(str(place + 1) for place in places)
        raise DataError(
            f"{path} has {len(places)} columns named {column!r}: {numbers}",
            hint=f"give the number of the column, such as {column}={places[0] + 1}",
            path=path,
            option="--columns",
        )
    if not places:
        raise unknown_column(column, names, path)
    return places[0]


def unknown_column(column: str, names: Sequence[str], path: Path, line: int | None = None) -> DataError:
    """Return the error for a column that does not exist."""
    where = f"{path}:{line}" if line else f"{path}"
    return DataError(
        f"{where} has no column {column!r}",
        f"its columns are {list_names(names)}",
        hint=did_you_mean(column, names),
        path=path,
        line=line,
        option="--columns",
    )


def list_names(names: Sequence[str]) -> str:
    """Return names for messages; the last of many are left out."""
    shown = ", ".join(name[:60] for name in names[:_MAX_LISTED])
    return f"{shown} and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else shown
