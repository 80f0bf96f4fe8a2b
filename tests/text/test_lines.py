"""The line reader and its errors."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.lines import MAX_LINE_BYTES, STDIN, batch_lines, decode_lines, read_lines


def refused(path: Path) -> str:
    """Return the error of the reader for a file."""
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    return str(caught.value)


def made(folder: Path, content: bytes) -> Path:
    path = folder / "text.de"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one", ["one"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"one\rtwo\r\r\n", ["one\rtwo\r"]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n", ["one", "\ufefftwo"]),
        ("a\u2028b\u0085c\x0bd\x0ce\n".encode(), ["a\u2028b\u0085c\x0bd\x0ce"]),
    ],
    ids=["empty", "blank", "no end", "CR LF", "stray CR", "byte order mark", "other separators"],
)
def test_lines_end_with_lf_alone(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    path = made(tmp_path, content)
    assert list(read_lines(path)) == lines
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        compressed = tmp_path / "compressed"  # detected by its magic bytes, not by its name
        compressed.write_bytes(compress(content))
        assert list(read_lines(compressed)) == lines


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0\ufeff", exclude_categories=["Cs"]))))
def test_any_text_comes_back(lines: list[str]) -> None:
    stream = io.BytesIO("".join(f"{line}\n" for line in lines).encode())
    assert list(decode_lines(stream, "text")) == lines


def test_missing_folder_and_damaged_files(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.de") == f"file not found: {tmp_path / 'none.de'}"
    assert refused(tmp_path).startswith(f"{tmp_path} is a folder")
    whole = gzip.compress(b"some line\n" * 1000, mtime=0)
    path = made(tmp_path, whole[:-20])
    assert refused(path).startswith(f"cannot read {path} beyond line ")
    flipped = bytearray(whole)
    flipped[12] ^= 0xFF
    path = made(tmp_path, bytes(flipped))
    assert refused(path).startswith(f"cannot read {path} beyond line 0")


def test_bytes_that_are_no_text_are_named_by_line_and_byte(tmp_path: Path) -> None:
    path = made(tmp_path, "gut\nschön\n".encode("latin-1"))
    assert refused(path) == (
        f"{path}:2:4: not UTF-8 (byte 0xf6)\n"
        "  hint: `iconv -f LATIN1 -t UTF-8 FILE` converts, if that is the file's encoding"
    )
    path = made(tmp_path, b"gut\nab\0c\n")
    assert refused(path).splitlines()[0] == f"{path}:2:3: NUL byte"
    path = made(tmp_path, "gut\n".encode("utf-16"))
    with raises(DataError, "UTF-16", "iconv -f UTF-16 -t UTF-8", path=path):
        list(read_lines(path))


def test_a_long_line_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = made(tmp_path, b"a" * MAX_LINE_BYTES + b"\r\n" + b"b" * 50_000_000)
    with raises(DataError, f"{path}:2: ", 1_000_000, path=path, line=2):
        list(read_lines(path))


def test_standard_input_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"one\nt\xffo\n"))
    monkeypatch.setattr(sys, "stdin", stream)
    lines = read_lines(STDIN)
    assert next(lines) == "one"
    with pytest.raises(DataError, match=r"standard input:2:2: not UTF-8 \(byte 0xff\)"):
        next(lines)
    assert not stream.buffer.closed


@given(st.lists(st.text(max_size=5)), st.integers(1, 4), st.integers(1, 12))
def test_batches_hold_every_line_in_order(lines: list[str], most: int, characters: int) -> None:
    batches = list(batch_lines(lines, most, characters))
    assert [line for batch in batches for line in batch] == lines
    assert all(0 < len(batch) <= most for batch in batches)
    assert all(sum(map(len, batch[:-1])) < characters for batch in batches)
