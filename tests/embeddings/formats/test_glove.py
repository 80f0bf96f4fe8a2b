"""GloVe's text has no header."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.embeddings.samples import make_table

from rnnkit.embeddings import formats
from rnnkit.embeddings.formats import GLOVE, WRITERS
from rnnkit.errors import DataError


def load(path: Path, text: str) -> list[str]:
    path.write_bytes(text.encode())
    return list(formats.load(path).words)


def test_bytes_of_a_file(tmp_path: Path) -> None:
    WRITERS[GLOVE](tmp_path / "f", make_table(2).first(2))
    rows = (tmp_path / "f").read_text().split("\n")
    assert [row.split(" ")[0] for row in rows] == ["the", "straße", ""]


def test_the_first_row_says_how_many_numbers_there_are(tmp_path: Path) -> None:
    assert load(tmp_path / "f", "12 1 2\n. 3 4\n") == ["12", "."]
    assert load(tmp_path / "f", "\ufeffa 1 2 3 \r\nb\u00a0c 4 5 6\r\n") == ["a", "b\u00a0c"]
    with pytest.raises(DataError, match="f:2: 3 numbers behind the word, 2 are wanted"):
        load(tmp_path / "f", "a 1 2\nb 1 2 3\n")
    with pytest.raises(DataError, match="f:1: nan among the numbers"):
        load(tmp_path / "f", "a 1 nan\nb 1 2\n")
