"""word2vec's text: the header, and the rows that it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.embeddings.samples import make_table
from tests.raising import raises

from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import WORD2VEC, WRITERS
from rnnkit.errors import DataError


def load(path: Path, text: str) -> list[str]:
    path.write_bytes(text.encode())
    return list(formats.load(path).words)


def test_bytes_of_a_file(tmp_path: Path) -> None:
    WRITERS[WORD2VEC](tmp_path / "f", make_table(1).first(2))
    header, *rows = (tmp_path / "f").read_text().split("\n")
    assert (header, [row.split(" ")[0] for row in rows]) == ("2 1", ["the", "straße", ""])


def test_headers_of_other_programs(tmp_path: Path) -> None:
    for header in ("2 2", "2 2 ", "2 2\r", "\ufeff2 2"):
        assert load(tmp_path / "f", f"{header}\n5 1 2\n7 3 4\n") == ["5", "7"]


@pytest.mark.parametrize(
    ("text", "values", "line"),
    [
        ("3 2\na 1 2\nb 1 2\n", ["2 words", "promises 3"], None),
        ("1 2\na 1 2\nb 1 2\n", ["one row more than the 1 "], 3),
        ("2 3\na 1 2\nb 1 2\n", ["2 numbers", "expected 3"], 2),
        ("0 2\n", ["0 words"], 1),
        ("2 0\na\nb\n", ["dimension 0"], 1),
        ("2 2", ["`words dimension`"], 1),
        ("2 2\na 1 2\nb 1 x\n", ["'x'"], 3),
        ("2 2\na 1 x\nb 1 2\n", ["'x'"], 2),
    ],
)
def test_rows_must_match_the_header(tmp_path: Path, text: str, values: list[str], line: int | None) -> None:
    with raises(DataError, *values, path=tmp_path / "f") as raised:
        load(tmp_path / "f", text)
    assert raised.value.line == line
