"""Line blocks against the line reader, and word blocks against `str.split`, for all block sizes."""

from __future__ import annotations

import gzip
import io
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.blocks import ASCII_SPACES, LineBlock, count_lines, read_line_blocks, read_word_blocks
from rnnkit.text.lines import BOM, STDIN, read_lines

LINES = st.lists(st.text(alphabet="aä\u2028\r\x85\f \ufeff", max_size=7), max_size=9)
SIZES = st.sampled_from([1, 2, 3, 5, 7, 64])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blocks")


def write(path: Path, content: bytes, pack: bool = False) -> Path:
    path.write_bytes(gzip.compress(content) if pack else content)
    return path


def lines_of(blocks: Iterator[tuple[LineBlock, ...]], max_bytes: int = 99) -> list[list[str]]:
    """Return the lines of each file, with every block decoded here and as in another process."""
    sides: dict[Path, list[str]] = {}
    for block in (block for each in blocks for block in each):
        lines = block.decode(max_bytes)
        assert block.for_other_process().decode(max_bytes) == lines
        assert len(lines) == block.lines
        assert block.first_line == len(sides.setdefault(block.path, [])) + 1
        sides[block.path] += lines
    return list(sides.values())


@given(LINES, st.booleans(), st.booleans(), st.booleans(), SIZES)
def test_blocks_are_the_lines_of_the_file(
    folder: Path, lines: list[str], ended: bool, mark: bool, pack: bool, size: int
) -> None:
    content = b"\xef\xbb\xbf" * mark + "\n".join(lines).encode() + b"\n" * ended
    path = write(folder / "text", content, pack)
    wanted = list(read_lines(path))
    assert lines_of(read_line_blocks([path], block_bytes=size)) == ([wanted] if wanted else [])
    assert count_lines(path) == len(wanted)


@given(LINES, LINES, SIZES)
def test_sides_stay_in_step(folder: Path, first: list[str], second: list[str], size: int) -> None:
    paths = [write(folder / name, "".join(f"{line}\n" for line in side).encode())
             for name, side in (("a", first), ("b", second))]  # fmt: skip
    if len(first) == len(second):
        expected = [list(read_lines(path)) for path in paths if first]
        assert lines_of(read_line_blocks(paths, block_bytes=size)) == expected
        return
    counts = f"{paths[0]} has {len(first)} lines, {paths[1]} has {len(second)}; "
    with raises(DataError, counts, line=min(len(first), len(second))):
        lines_of(read_line_blocks(paths, block_bytes=size))


@given(LINES, SIZES, st.integers(0, 9), st.integers(0, 9))
def test_a_span_of_lines(folder: Path, lines: list[str], size: int, start: int, more: int) -> None:
    path = write(folder / "span", "".join(f"{line}\n" for line in lines).encode())
    wanted = list(read_lines(path))[start : start + more]
    blocks = [block for (block,) in read_line_blocks([path], block_bytes=size, line_range=(start, start + more))]
    assert [line for block in blocks for line in block.decode()] == wanted
    assert not blocks or blocks[0].first_line == start + 1


FAULTS = {
    b"a\nb\nc\xff\n": ":3:2: not UTF-8 (byte 0xff)",
    b"a\n\0\n": ":2:1: NUL byte",
    b"a\nb\n" + b"c" * 12 + b"\nd\n": ":3: the line is longer than 11 bytes",
    b"a\nb\n" + b"c" * 12: ":3: the line is longer than 11 bytes",
    b"\xff\xfea\0\n\0": " is UTF-16, not UTF-8",
}


@pytest.mark.parametrize("size", [1, 2, 5, 64])
@pytest.mark.parametrize("content", FAULTS)
def test_faults_are_named_by_the_line_of_the_file(tmp_path: Path, content: bytes, size: int) -> None:
    path = write(tmp_path / "text", content)
    with pytest.raises(DataError) as caught:
        lines_of(read_line_blocks([path], 11, size), 11)
    assert caught.value.what == f"{path}{FAULTS[content]}"
    with pytest.raises(DataError) as reference:
        list(read_lines(path, 11))
    assert str(caught.value) == str(reference.value)


def test_a_damaged_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(b"a b\n" * 10_000)[:-40])
    with pytest.raises(DataError, match=r"cannot read .*text\.gz beyond line [0-9]+"):
        lines_of(read_line_blocks([path], block_bytes=100))
    with pytest.raises(DataError, match="cannot read"):
        count_lines(path)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path / "text", b"a\nb\n")
    (block,) = next(iter(read_line_blocks([path])))
    path.unlink()
    with pytest.raises(DataError, match=r"cannot read .*text beyond line 0"):
        block.for_other_process().decode()


SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
"""What `str.split` parts words at."""

NO_SPACES = "\u180e\u200b\u2060\ufeff"
"""Invisible too, but parts of words."""

_BETWEEN_WORDS = re.compile(b"[%b]+" % re.escape(ASCII_SPACES))

pieces = st.sampled_from(["a", "b", "é", "語", "🙂", "\n", " ", "\r\n", *NO_SPACES, *SPACES])
texts = st.lists(pieces, max_size=40).map("".join)
sizes = st.integers(1, 7)


def written(content: bytes, folder: str, name: str = "text") -> Path:
    path = Path(folder) / name
    path.write_bytes(content)
    return path


def longest_word(content: bytes) -> int:
    return max(map(len, _BETWEEN_WORDS.split(content)))


def words_of(path: Path, size: int) -> list[list[bytes]]:
    """Return the words of each line; every block except the last ends after a word."""
    blocks = list(read_word_blocks(path, size))
    assert all(block and block[-1] in ASCII_SPACES for block in blocks[:-1])
    lines = b"".join(blocks).split(b"\n")
    return [[word for word in _BETWEEN_WORDS.split(line) if word] for line in lines]


def refused(path: Path, size: int = 100) -> str:
    with pytest.raises(DataError) as caught:
        list(read_word_blocks(path, size))
    return str(caught.value)


@given(texts, sizes)
def test_words_are_those_of_split_line_by_line(text: str, size: int) -> None:
    content = text.encode()
    expected = [[word.encode() for word in line.split()] for line in text.removeprefix("\ufeff").split("\n")]
    with tempfile.TemporaryDirectory() as folder:
        size = max(size, longest_word(content))
        assert words_of(written(content, folder), size) == expected
        assert words_of(written(gzip.compress(content), folder, "packed"), size) == expected


@pytest.mark.parametrize("space", SPACES, ids=ascii)
def test_white_space_of_every_kind(tmp_path: Path, space: str) -> None:
    path = written(f"één{space}語{space}".encode(), str(tmp_path))
    assert [word for line in words_of(path, 20) for word in line] == ["één".encode(), "語".encode()]


@pytest.mark.parametrize("size", range(3, 8))
@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", [[]]),
        (b"\n\n", [[], [], []]),
        (BOM, [[]]),
        (BOM + b"one\r\ntwo\r\n", [[b"one"], [b"two"], []]),
        (BOM + BOM + b"\n", [[BOM], []]),
        (b"one two", [[b"one", b"two"]]),
        (b"a\rb c", [[b"a", b"b", b"c"]]),
    ],
    ids=["empty", "blank", "byte order mark alone", "byte order mark", "two marks", "no end", "stray CR"],
)
def test_ends_of_lines_and_files(tmp_path: Path, content: bytes, lines: list[list[bytes]], size: int) -> None:
    assert words_of(written(content, str(tmp_path)), size) == lines


@given(texts, texts, sizes, st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0"]))
def test_a_bad_byte_is_where_the_line_reader_finds_it(before: str, after: str, size: int, bad: bytes) -> None:
    content = before.encode() + bad + b" " + after.encode()
    with tempfile.TemporaryDirectory() as folder:
        path = written(content, folder)
        with pytest.raises(DataError) as expected:
            list(read_lines(path))
        assert refused(path, max(size, longest_word(content))) == str(expected.value)


def test_a_bad_byte_is_named_by_line_and_byte(tmp_path: Path) -> None:
    path = written("ein Satz\nund noch einer, sehr schön\n".encode("latin-1"), str(tmp_path))
    for size in (7, 8, 11, 100):
        assert refused(path, size) == (
            f"{path}:2:25: not UTF-8 (byte 0xf6)\n"
            "  hint: `iconv -f LATIN1 -t UTF-8 FILE` converts, if that is the file's encoding"
        )
    path = written(b"a b\nc d e\0f\n", str(tmp_path))
    assert refused(path, 5).splitlines()[0] == f"{path}:2:6: NUL byte"
    path = written("a ü".encode()[:-1], str(tmp_path))
    assert refused(path).splitlines()[0] == f"{path}:1:3: not UTF-8 (byte 0xc3)"


def test_a_word_longer_than_a_block(tmp_path: Path) -> None:
    path = written(b"one\ntwo " + b"three" * 5 + b"\nfour\n", str(tmp_path))
    assert refused(path, 7).startswith(f"{path}:2: a word is longer than 7 bytes\n")
    assert words_of(path, 25)[1] == [b"two", b"three" * 5], "a word may fill a block"


def test_other_files(tmp_path: Path) -> None:
    path = written("gut\n".encode("utf-16"), str(tmp_path))
    for size in (1, 7):
        assert refused(path, size).startswith(f"{path} is UTF-16")
    assert refused(tmp_path / "none") == f"file not found: {tmp_path / 'none'}"
    assert refused(tmp_path).startswith(f"{tmp_path} is a folder")
    path = written(gzip.compress(b"some line\n" * 1000, mtime=0)[:-20], str(tmp_path))
    assert re.match(rf"cannot read {path} beyond line \d+\n", refused(path))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfone two\nthr\xff\n")))
    blocks = read_word_blocks(STDIN, 5)
    assert [next(blocks), next(blocks)] == [b"one ", b"two\n"]
    with pytest.raises(DataError, match=r"standard input:2:4: not UTF-8 \(byte 0xff\)"):
        next(blocks)
