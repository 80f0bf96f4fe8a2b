"""Text files in blocks of whole lines, which other processes can read by themselves.

A block of a plain file is a span of its bytes; what is read here looks only for line ends. A gzip file can be read
from its beginning only, so its blocks carry their bytes.

The rules are those of the line reader, and so are the errors: they name the line of the file, not of the block.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from rnnkit.errors import DataError
from rnnkit.text.lines import (
    BOM,
    MAX_LINE_BYTES,
    READ_ERRORS,
    STDIN,
    check_not_utf16,
    decode_lines,
    decode_text,
    line_too_long,
    open_text,
)

LINE_BLOCK_BYTES: Final = 1_000_000
"""Bytes of a block, about; not more than a line may have, so that a block of several lines holds none too long."""

_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class LineBlock:
    """Whole lines of a text file.

    Attributes:
        path: The file.
        first: Number of the first line, from 1.
        lines: Number of lines.
        size: Their bytes.
        start: Where they begin in the file; None where it is gzip.
        raw: The bytes; None where they are to be read from the file.
    """

    path: Path
    first: int
    lines: int
    size: int
    start: int | None
    raw: bytes | None

    def portable(self) -> LineBlock:
        """The same block for another process: without its bytes, where that can read them itself."""
        return self if self.start is None else replace(self, raw=None)

    def decode(self, max_bytes: int = MAX_LINE_BYTES) -> list[str]:
        """Its lines without their ends; all at once, where nothing is wrong. Raises as `read_lines`."""
        raw = self._read()
        text = None if len(raw) > max_bytes or b"\0" in raw else _decoded(raw)
        if text is None:
            return list(decode_lines(io.BytesIO(raw), str(self.path), max_bytes, self.first))
        if self.first == 1:
            text = text.removeprefix("\ufeff")
        lines = text.split("\n")
        if raw.endswith(b"\n"):
            lines.pop()
        return [line.removesuffix("\r") for line in lines] if "\r" in text else lines

    def _read(self) -> bytes:
        if self.raw is not None:
            return self.raw
        assert self.start is not None
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                return file.read(self.size)
        except OSError as error:
            raise DataError(f"cannot read {self.path} beyond line {self.first - 1}", str(error.strerror)) from error


def read_line_blocks(
    paths: Sequence[Path], max_bytes: int = MAX_LINE_BYTES, size: int | None = None, span: tuple[int, int] | None = None
) -> Iterator[tuple[LineBlock, ...]]:
    """Read text files in step: each time a block of every file, all of the same number of lines.

    Args:
        paths: One file, or the sides of a corpus.
        max_bytes: Longest line allowed, in bytes.
        size: Bytes that are read of each file at a time, more where a line is longer; `BLOCK` unless given.
        span: Lines wanted, from 0: the first, and the one behind the last. All of them unless given.

    Raises:
        DataError: A file is missing or damaged, has too long a line, or the files have different numbers of lines. What
            is inside the lines is looked at by `Block.decode`.
    """
    size = size or LINE_BLOCK_BYTES
    with ExitStack() as stack:
        sources = [_LineBlockReader(path, stack.enter_context(open_text(path)), max_bytes) for path in paths]
        start, stop = span or (0, None)
        for source in sources:
            source.skip(start, size)
        while stop is None or sources[0].line <= stop:
            lines = min(source.fill(size) for source in sources)
            if stop is not None:
                lines = min(lines, stop - sources[0].line + 1)
            if not lines:
                break
            yield tuple(source.take(lines) for source in sources)
        if stop is None and len({bool(source.rest) for source in sources}) > 1:
            raise length_mismatch(paths, [source.line - 1 + source.count() for source in sources])


def count_lines(path: Path) -> int:
    """Lines of a text file, as `wc -l` counts them; a last one without an end counts too. Raises as `read_blocks`."""
    with open_text(path) as file:
        return _LineBlockReader(path, file, MAX_LINE_BYTES).count()


def length_mismatch(paths: Sequence[Path], counts: Sequence[int]) -> DataError:
    """The error of two sides that do not fit; `counts` are their lines."""
    return DataError(
        "source and target differ in length",
        f"{paths[0]} has {counts[0]} lines, {paths[1]} has {counts[1]}; "
        f"the last pair that both have is line {min(counts)}",
        hint="a blank line at the end of one file is the usual cause; `rnnkit inspect FILE` counts lines",
    )


class _LineBlockReader:
    """An open file and what was read of it that no block has yet.

    Attributes:
        line: Number of the line that `rest` begins with.
        rest: Bytes that were read ahead.
        ends: Line ends in them, as `fill` has counted.
    """

    def __init__(self, path: Path, file: IO[bytes], max_bytes: int) -> None:
        self.path = path
        self.line = 1
        self.rest = b""
        self.ends = 0
        self._file = file
        self._max_bytes = max_bytes
        self._start = 0
        self._plain = not isinstance(file, gzip.GzipFile)
        self._over = False

    def fill(self, size: int) -> int:
        """Read on, to about `size` bytes or a whole line; returns how many whole lines are there."""
        while not self._over and (len(self.rest) < size or b"\n" not in self.rest):
            if len(self.rest) > self._max_bytes + len(BOM) + 1 and b"\n" not in self.rest:
                raise line_too_long(str(self.path), self.line, self._max_bytes)
            self.rest += self._read(size - len(self.rest) if len(self.rest) < size else size)
        self.ends = self.rest.count(b"\n")
        return self.ends + (self._over and not self.rest.endswith(b"\n") and bool(self.rest))

    def take(self, lines: int) -> LineBlock:
        """The next so many lines; `fill` has said that there are as many."""
        if lines > self.ends:
            end = len(self.rest)
        elif lines == self.ends:
            end = self.rest.rfind(b"\n") + 1
        else:
            end = 0
            for _ in range(lines):
                end = self.rest.index(b"\n", end) + 1
        raw, self.rest = self.rest[:end], self.rest[end:]
        block = LineBlock(self.path, self.line, lines, len(raw), self._start if self._plain else None, raw)
        self.line += lines
        self._start += len(raw)
        return block

    def skip(self, lines: int, size: int) -> None:
        """Leave lines out."""
        while lines and (there := self.fill(size)):
            lines -= self.take(min(lines, there)).lines

    def count(self) -> int:
        """Lines that are left, read to the end."""
        ends, last = self.rest.count(b"\n"), self.rest[-1:]
        while piece := self._read(_PIECE):
            ends, last = ends + piece.count(b"\n"), piece[-1:]
        return ends + (last not in (b"", b"\n"))

    def _read(self, size: int) -> bytes:
        try:
            piece = self._file.read(size)
        except READ_ERRORS as error:
            before = self.line - 1 + self.rest.count(b"\n")
            raise DataError(f"cannot read {self.path} beyond line {before}", str(error)) from error
        self._over = not piece
        return piece


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


WORD_BLOCK_BYTES: Final = 1 << 20
"""Bytes that are read at a time, and about the longest word."""

ASCII_SPACES: Final = b" \t\n\v\f\r\x1c\x1d\x1e\x1f"
"""Bytes that `str.split` takes for white space."""

_OTHER_SPACES = tuple("\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") + tuple(map(chr, range(0x2000, 0x200B)))


def read_word_blocks(path: Path, size: int = WORD_BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the text of a file in blocks that end where a word ends.

    White space beyond ASCII becomes a blank, so that words stand between `ASCII_SPACES`; a line ends with LF.

    Args:
        path: The file; `-` is standard input.
        size: Bytes to read at a time.

    Raises:
        DataError: The file is missing, unreadable, UTF-16 or not UTF-8, holds a NUL byte, or a word longer than
            `size`; the message names the line.
    """
    name = "standard input" if path == STDIN else str(path)
    line, column = 1, 0
    with open_text(path) as file:
        for raw in _cut_blocks(file, name, size):
            text = decode_text(raw, name, line, column)
            ends = raw.count(b"\n")
            line += ends
            column = len(raw) - raw.rfind(b"\n") - 1 if ends else column + len(raw)
            yield raw if text.isascii() else _blank_spaces(text).encode()


def _blank_spaces(text: str) -> str:
    for space in _OTHER_SPACES:
        if space in text:  # a search for each is quicker than one pass that looks at every character
            text = text.replace(space, " ")
    return text


def _cut_blocks(file: IO[bytes], name: str, size: int) -> Iterator[bytes]:
    """The bytes of an open file, cut behind white space."""
    rest, lines = _read(file, len(BOM), name, 0), 0
    check_not_utf16(rest, name)
    rest = rest.removeprefix(BOM)
    while read := _read(file, size, name, lines):
        block = rest + read
        end = _last_space(block)
        if end == 0 and len(block) > size:
            raise DataError(
                f"{name}:{lines + 1}: a word is longer than {size:,} bytes",
                hint="words are expected with blanks between them; is this a text file?",
            )
        rest = block[end:]
        lines += block.count(b"\n", 0, end)
        if end:
            yield block[:end]
    if rest:
        yield rest


def _read(file: IO[bytes], size: int, name: str, lines: int) -> bytes:
    try:
        return file.read(size)
    except READ_ERRORS as error:
        raise DataError(f"cannot read {name} beyond line {lines}", str(error)) from error


def _last_space(block: bytes) -> int:
    """Bytes up to the last white space, that one counted; 0 where there is none."""
    return 1 + max(block.rfind(bytes([space])) for space in ASCII_SPACES)
