"""Line blocks against the line reader, for all block sizes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError
from rnnkit.text.blocks import LineBlock, count_lines, read_line_blocks
from rnnkit.text.lines import read_lines

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
