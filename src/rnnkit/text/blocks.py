"""Text files in blocks: of whole lines for worker processes, of whole words for counting.

A line block of an uncompressed file is a byte range, found by looking at line ends only, which another process reads
from the file itself. A compressed file can only be read from its start, so its blocks carry their bytes. The rules and
the errors are those of the line reader: errors contain the line of the file, not of the block. A word block may end
within a line, as corpora that are one single line are common.
"""

from __future__ import annotations

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
    check_not_utf16,
    decode_lines,
    decode_text,
    display_name,
    line_too_long,
    open_text,
    unreadable_after,
)

LINE_BLOCK_BYTES: Final = 1_000_000
"""Approximate size of a line block; at most `MAX_LINE_BYTES`, so that no line in a block of several is too long."""

WORD_BLOCK_BYTES: Final = 1 << 20
"""Bytes read at a time for a word block, and about the maximum length of a word."""

ASCII_SPACES: Final = b" \t\n\v\f\r\x1c\x1d\x1e\x1f"
"""The ASCII bytes that `str.split` treats as white space."""

_OTHER_SPACES = tuple("\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") + tuple(map(chr, range(0x2000, 0x200B)))
_COUNT_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class LineBlock:
    """Consecutive whole lines of a text file.

    Attributes:
        path: The file.
        first_line: Line number of the first line, from 1.
        lines: Number of lines.
        size: Their bytes.
        start: Byte offset in the file; None if the file is compressed.
        raw: The bytes; None if they have to be read from the file.
    """

    path: Path
    first_line: int
    lines: int
    size: int
    start: int | None
    raw: bytes | None

    def for_other_process(self) -> LineBlock:
        """Return the block to send to another process: without its bytes if they can be read from the file."""
        return self if self.start is None else replace(self, raw=None)

    def decode(self, max_bytes: int = MAX_LINE_BYTES) -> list[str]:
        """Return the lines without their ends. Raises as `read_lines`."""
        raw = self._read()
        text = None if len(raw) > max_bytes or b"\0" in raw else _decode_or_none(raw)
        if text is None:  # line by line, which reports the line at fault
            return list(decode_lines(io.BytesIO(raw), str(self.path), max_bytes, self.first_line))
        if self.first_line == 1:
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
            raise DataError(
                f"cannot read {self.path} beyond line {self.first_line - 1}",
                str(error.strerror),
                path=self.path,
                line=self.first_line - 1,
            ) from error


def read_line_blocks(
    paths: Sequence[Path],
    max_bytes: int = MAX_LINE_BYTES,
    block_bytes: int | None = None,
    line_range: tuple[int, int] | None = None,
) -> Iterator[tuple[LineBlock, ...]]:
    """Read text files in step: yield one block of each file, all with the same number of lines.

    Args:
        paths: One file, or the sides of a parallel corpus.
        max_bytes: Maximum length of a line, in bytes.
        block_bytes: Bytes read of each file at a time, more for a longer line; default `LINE_BLOCK_BYTES`.
        line_range: Half-open range of line indices, from 0; default all lines.

    Raises:
        DataError: A file is missing or damaged, contains a line that is too long, or the files have different numbers
            of lines. The content of lines is checked by `LineBlock.decode`.
    """
    block_bytes = block_bytes or LINE_BLOCK_BYTES
    with ExitStack() as stack:
        readers = [_LineBlockReader(path, *stack.enter_context(open_text(path)), max_bytes) for path in paths]
        start, stop = line_range or (0, None)
        for reader in readers:
            reader.skip(start, block_bytes)
        while stop is None or readers[0].line <= stop:
            lines = min(reader.fill(block_bytes) for reader in readers)
            if stop is not None:
                lines = min(lines, stop - readers[0].line + 1)
            if not lines:
                break
            yield tuple(reader.take(lines) for reader in readers)
        if stop is None and len({bool(reader.rest) for reader in readers}) > 1:
            raise length_mismatch(paths, [reader.line - 1 + reader.count() for reader in readers])


def count_lines(path: Path) -> int:
    """Count lines as `wc -l` does, plus a last line without an end. Raises as `read_line_blocks`."""
    with open_text(path) as (file, compression):
        return _LineBlockReader(path, file, compression, MAX_LINE_BYTES).count()


def length_mismatch(paths: Sequence[Path], counts: Sequence[int]) -> DataError:
    """Return the error for two sides with different numbers of lines, `counts`."""
    return DataError(
        "source and target differ in length",
        f"{paths[0]} has {counts[0]} lines, {paths[1]} has {counts[1]}; line {min(counts)} is the last line in both",
        hint="a blank line at the end of one file is the usual cause; `rnnkit inspect FILE` counts lines",
        path=paths[0],
        line=min(counts),
    )


class _LineBlockReader:
    """An open file and the bytes read ahead of the last block.

    Attributes:
        line: Line number at which `rest` begins.
        rest: Bytes read ahead.
        ends: Line ends in `rest`, as counted by `fill`.
    """

    def __init__(self, path: Path, file: IO[bytes], compression: str | None, max_bytes: int) -> None:
        self.path = path
        self.line = 1
        self.rest = b""
        self.ends = 0
        self._file = file
        self._max_bytes = max_bytes
        self._start = 0
        self._compressed = compression is not None
        self._at_end = False

    def fill(self, size: int) -> int:
        """Read ahead to about `size` bytes or one whole line; return the number of whole lines in `rest`."""
        while not self._at_end and (len(self.rest) < size or b"\n" not in self.rest):
            if len(self.rest) > self._max_bytes + len(BOM) + 1 and b"\n" not in self.rest:
                raise line_too_long(str(self.path), self.line, self._max_bytes)
            self.rest += self._read(size - len(self.rest) if len(self.rest) < size else size)
        self.ends = self.rest.count(b"\n")
        return self.ends + (self._at_end and not self.rest.endswith(b"\n") and bool(self.rest))

    def take(self, lines: int) -> LineBlock:
        """Return the next lines as a block; at most as many as the last `fill` returned."""
        if lines > self.ends:
            end = len(self.rest)
        elif lines == self.ends:
            end = self.rest.rfind(b"\n") + 1
        else:
            end = 0
            for _ in range(lines):
                end = self.rest.index(b"\n", end) + 1
        raw, self.rest = self.rest[:end], self.rest[end:]
        block = LineBlock(self.path, self.line, lines, len(raw), None if self._compressed else self._start, raw)
        self.line += lines
        self._start += len(raw)
        return block

    def skip(self, lines: int, size: int) -> None:
        """Skip lines."""
        while lines and (available := self.fill(size)):
            lines -= self.take(min(lines, available)).lines

    def count(self) -> int:
        """Read to the end and return the number of remaining lines."""
        ends, last = self.rest.count(b"\n"), self.rest[-1:]
        while chunk := self._read(_COUNT_CHUNK):
            ends, last = ends + chunk.count(b"\n"), chunk[-1:]
        return ends + (last not in (b"", b"\n"))

    def _read(self, size: int) -> bytes:
        try:
            chunk = self._file.read(size)
        except READ_ERRORS as error:
            raise unreadable_after(str(self.path), self.line - 1 + self.rest.count(b"\n"), error) from error
        self._at_end = not chunk
        return chunk


def _decode_or_none(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def read_word_blocks(path: Path, size: int = WORD_BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the text of a file in blocks that end after a word.

    White space beyond ASCII is replaced by a space, so that `ASCII_SPACES` separate the words; LF ends a line.

    Args:
        path: The file; `-` is standard input.
        size: Bytes to read at a time.

    Raises:
        DataError: The file is missing, unreadable, UTF-16 or not UTF-8, contains a NUL byte, or a word longer than
            `size`; the message contains the line.
    """
    name = display_name(path)
    line, column = 1, 0
    with open_text(path) as (file, _):
        for raw in _split_after_space(file, name, size):
            text = decode_text(raw, name, line, column)
            ends = raw.count(b"\n")
            line += ends
            column = len(raw) - raw.rfind(b"\n") - 1 if ends else column + len(raw)
            yield raw if text.isascii() else _replace_spaces(text).encode()


def _replace_spaces(text: str) -> str:
    for space in _OTHER_SPACES:
        if space in text:  # a search for each is faster than one loop over all characters
            text = text.replace(space, " ")
    return text


def _split_after_space(file: IO[bytes], name: str, size: int) -> Iterator[bytes]:
    """Yield the bytes of an open file in blocks that end with white space."""
    rest, lines = _read(file, len(BOM), name, 0), 0
    check_not_utf16(rest, name)
    rest = rest.removeprefix(BOM)
    while chunk := _read(file, size, name, lines):
        block = rest + chunk
        end = 1 + max(block.rfind(bytes([space])) for space in ASCII_SPACES)
        if end == 0 and len(block) > size:
            raise DataError(
                f"{name}:{lines + 1}: a word is longer than {size:,} bytes",
                hint="words are separated by spaces; check that this is a text file",
                path=name,
                line=lines + 1,
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
        raise unreadable_after(name, lines, error) from error
