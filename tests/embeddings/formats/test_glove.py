"""GloVe's text, which has no header."""

from __future__ import annotations

from pathlib import Path

from tests.embeddings.samples import make_table
from tests.raising import raises

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


def test_the_first_row_determines_the_dimension(tmp_path: Path) -> None:
    assert load(tmp_path / "f", "12 1 2\n. 3 4\n") == ["12", "."]
    assert load(tmp_path / "f", "\ufeffa 1 2 3 \r\nb\u00a0c 4 5 6\r\n") == ["a", "b\u00a0c"]
    with raises(DataError, "3 numbers", "expected 2", path=tmp_path / "f", line=2):
        load(tmp_path / "f", "a 1 2\nb 1 2 3\n")
    with raises(DataError, "nan", path=tmp_path / "f", line=1):
        load(tmp_path / "f", "a 1 nan\nb 1 2\n")
