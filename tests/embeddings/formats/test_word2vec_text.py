"""The header of word2vec's text, and the rows it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.embeddings.samples import make_table

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
    ("text", "message"),
    [
        ("3 2\na 1 2\nb 1 2\n", "f has 2 words, its header says 3\n  it was cut off, or the header is wrong"),
        ("1 2\na 1 2\nb 1 2\n", "f:3: one row more than the header says \\(1\\)\n  hint: mend the header's first"),
        ("2 3\na 1 2\nb 1 2\n", "f:2: 2 numbers behind the word, 3 are wanted"),
        ("0 2\n", "f:1: the header says 0 words of dimension 2: there is nothing"),
        ("2 0\na\nb\n", "f:1: the header says 2 words of dimension 0: there is nothing"),
        ("2 2", "f:1: no header\n  the first line is `words dimension`"),
        ("2 2\na 1 2\nb 1 x\n", "f:3: 'x' is not a number"),
        ("2 2\na 1 x\nb 1 2\n", "f:2: 'x' is not a number"),
    ],
)
def test_what_a_header_promises_is_held(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path / "f", text)
