"""Reading in pieces of any size, compressed or not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.embeddings.formats import vector_reader as module
from rnnkit.embeddings.formats.vector_reader import VectorReader, open_vector_file
from rnnkit.errors import DataError


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 5)
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 20)


def write(path: Path, content: bytes, packed: bool = False) -> Path:
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_pieces_of_a_file(tmp_path: Path, packed: bool) -> None:
    with open_vector_file(write(tmp_path / "f", b"one two\0three four five\n", packed)) as source:
        assert (source.peek(9), source.position) == (b"one two\0t", 0)
        assert (source.read_until(b"\0", 20), source.position) == (b"one two", 8)
        assert (source.read_until(b"\0", 20), source.position) == (None, 8)
        assert source.read_until(b" ", 4) is None
        assert source.read_until(b" ", 5) == b"three"
        source.skip(5, "nothing")
        assert (source.read(2), source.position) == (b"fi", 21)
        assert (source.read(99), source.read(1)) == (b"ve\n", b"")


@given(st.lists(st.binary(max_size=7).map(lambda line: line.replace(b"\n", b"")), min_size=1))
def test_lines_are_those_of_the_file(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = write(tmp_path_factory.mktemp("source") / "f", b"".join(line + b"\n" for line in lines))
    with open_vector_file(path) as source:
        assert [line for block in source.lines(1) for line in block] == lines


def test_a_last_line_without_an_end(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"a\nbb\nc 0.12")
    with open_vector_file(path) as source, raises(DataError, f"`echo >> {path}`", "--repair", path=path, line=3):
        list(source.lines(1))


def test_a_line_that_is_too_long(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"a\n" + b"x" * 30)
    with (
        open_vector_file(path) as source,
        raises(DataError, 20, path=path, line=2),
    ):
        list(source.lines(1))


def test_a_file_that_ends_too_early(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"0123456")
    with open_vector_file(path) as source:
        source.read(3)
        with raises(DataError, "byte 7", "a vector", path=path):
            source.read_exactly(9, "a vector")


def test_damaged_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(bytes(range(256)) * 9)
    for content in (packed[:40], packed[:30] + b"damage" + packed[36:]):
        path = write(tmp_path / "f.gz", content)
        with open_vector_file(path) as source, raises(DataError, "byte ", path=path):
            source.read(5000)


def test_more_than_fits_in_a_file_is_known(tmp_path: Path) -> None:
    with open_vector_file(write(tmp_path / "f", b"0123")) as source:
        assert source.max_size == 4
        assert source.can_hold(4)
        assert not source.can_hold(5)
    zeros = write(tmp_path / "f.gz", bytes(100_000), packed=True)
    with open_vector_file(zeros) as source:
        assert source.can_hold(100_000)
        assert not source.can_hold(1 << 40)


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with raises(DataError, path=tmp_path / "none"), open_vector_file(tmp_path / "none"):
        pass
    with raises(DataError, "Is a directory", path=tmp_path), open_vector_file(tmp_path):
        pass


def test_an_open_file_of_any_kind(tmp_path: Path) -> None:
    with write(tmp_path / "f", b"abc").open("rb") as file:
        assert VectorReader(file, "f", 3).read(2) == b"ab"
