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
from rnnkit.text.lines import BOM, DAMAGE, MAX_BYTES, decode_lines, opened, too_long

BLOCK: Final = 1_000_000
"""Bytes of a block, about; not more than a line may have, so that a block of several lines holds none too long."""

_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class Block:
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

    def portable(self) -> Block:
        """The same block for another process: without its bytes, where that can read them itself."""
        return self if self.start is None else replace(self, raw=None)

    def decode(self, max_bytes: int = MAX_BYTES) -> list[str]:
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


def read_blocks(
    paths: Sequence[Path], max_bytes: int = MAX_BYTES, size: int | None = None, span: tuple[int, int] | None = None
) -> Iterator[tuple[Block, ...]]:
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
    size = size or BLOCK
    with ExitStack() as stack:
        sources = [_Source(path, stack.enter_context(opened(path)), max_bytes) for path in paths]
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
            raise unequal(paths, [source.line - 1 + source.count() for source in sources])


def count_lines(path: Path) -> int:
    """Lines of a text file, as `wc -l` counts them; a last one without an end counts too. Raises as `read_blocks`."""
    with opened(path) as file:
        return _Source(path, file, MAX_BYTES).count()


def unequal(paths: Sequence[Path], counts: Sequence[int]) -> DataError:
    """The error of two sides that do not fit; `counts` are their lines."""
    return DataError(
        "source and target differ in length",
        f"{paths[0]} has {counts[0]} lines, {paths[1]} has {counts[1]}; "
        f"the last pair that both have is line {min(counts)}",
        hint="a blank line at the end of one file is the usual cause; `rnnkit inspect FILE` counts lines",
    )


class _Source:
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
                raise too_long(str(self.path), self.line, self._max_bytes)
            self.rest += self._read(size - len(self.rest) if len(self.rest) < size else size)
        self.ends = self.rest.count(b"\n")
        return self.ends + (self._over and not self.rest.endswith(b"\n") and bool(self.rest))

    def take(self, lines: int) -> Block:
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
        block = Block(self.path, self.line, lines, len(raw), self._start if self._plain else None, raw)
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
        except DAMAGE as error:
            before = self.line - 1 + self.rest.count(b"\n")
            raise DataError(f"cannot read {self.path} beyond line {before}", str(error)) from error
        self._over = not piece
        return piece


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
