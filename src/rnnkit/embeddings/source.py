"""A file of word vectors while it is read from start to end: unpacked where it is compressed, with places for messages.

A file may be a pipe: it is read once, from start to end, and its size is unknown before.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rnnkit.embeddings.unpacked import DAMAGE, Readable, unpack
from rnnkit.errors import DataError
from rnnkit.io.safe_reading import Repairs

BLOCK: Final = 1 << 22
"""Bytes read at a time."""

LONGEST_LINE: Final = 1 << 24
"""Longest line that is read, in bytes, so that a file without line ends cannot fill the memory."""

_MOST_PACKED = 1032  # deflate makes nothing smaller than a thousandth


class Source:
    """An open file.

    Attributes:
        name: Of the file, for messages.
        most: Bytes that can be in it, unpacked; None where nothing limits them, as in a pipe.
        editable: Whether it is an uncompressed file on a disk, which shell commands can change.
    """

    def __init__(self, file: Readable, name: str, most: int | None, editable: bool = True) -> None:
        self.name = name
        self.most = most
        self.editable = editable
        self._file = file
        self._buffer = b""
        self._place = 0
        self._before = 0

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._before + self._place

    def can_hold(self, size: int) -> bool:
        """Whether the file may have this many bytes: a header that promises more is wrong."""
        return self.most is None or size <= self.most

    def peek(self, size: int) -> bytes:
        """At most so many of the next bytes, without moving on."""
        while len(self._buffer) - self._place < size and self._fill():
            pass
        return self._buffer[self._place : self._place + size]

    def read(self, size: int) -> bytes:
        """The next so many bytes; fewer at the end of the file."""
        found = self.peek(size)
        self._place += len(found)
        return found

    def exactly(self, size: int, what: str) -> bytes:
        """The next so many bytes.

        Raises:
            DataError: The file ends before; `what` says what they would have been.
        """
        start = self.position
        found = self.read(size)
        if len(found) < size:
            raise self.cut_off(start + len(found), what)
        return found

    def skip(self, size: int, what: str) -> None:
        """Pass over the next so many bytes. Raises as `exactly`."""
        while size:
            size -= len(self.exactly(min(size, BLOCK), what))

    def until(self, end: bytes, limit: int) -> bytes | None:
        """The bytes before the next `end`, which is passed over; None where there is none within the limit."""
        while (stop := self._buffer.find(end, self._place, self._place + limit + 1)) < 0:
            if len(self._buffer) - self._place > limit or not self._fill():
                return None
        found = self._buffer[self._place : stop]
        self._place = stop + 1
        return found

    def lines(self, first: int, repairs: Repairs | None = None) -> Iterator[list[bytes]]:
        """The remaining lines without their ends, many at a time.

        Args:
            first: Number of the next line, for messages.
            repairs: Where a last line without an end is recorded; without it, such a line is an error.

        Raises:
            DataError: The last line has no end, or one is too long to be read.
        """
        rest = b""
        while block := self.read(BLOCK):
            whole, newline, tail = block.rpartition(b"\n")
            if newline:
                lines = (rest + whole).split(b"\n")
                yield lines
                first += len(lines)
                rest = tail
            else:
                rest += block
            if len(rest) > LONGEST_LINE:
                raise DataError(f"{self.name}:{first}: the line is longer than {LONGEST_LINE:,} bytes")
        if rest and repairs is None:
            mended = f"`echo >> {self.name}` ends the line, and " if self.editable else ""
            raise DataError(
                f"{self.name}:{first}: the last line has no end",
                "the file may have been cut off in the middle of a number",
                hint=f"copy it again; if it is whole, {mended}--repair reads the line as it is",
            )
        if rest and repairs is not None:
            repairs.add("missing final newlines", f"{self.name}:{first}", "the last line was read as it is")
            yield [rest]

    def cut_off(self, byte: int, what: str, hint: str = "copy the file again") -> DataError:
        """The error that the file ends too early."""
        return DataError(f"{self.name} ends at byte {byte:,}", f"{what} should follow: it was cut off", hint=hint)

    def _fill(self) -> bool:
        """Read on; False at the end of the file."""
        try:
            more = self._file.read(BLOCK)
        except DAMAGE as error:
            place = self._before + len(self._buffer)
            raise DataError(f"cannot read {self.name} beyond byte {place:,}", str(error)) from error
        if more:
            self._buffer, self._before, self._place = self._buffer[self._place :] + more, self.position, 0
        return bool(more)


@contextmanager
def open_source(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Open a file to be read once.

    Raises:
        DataError: It is missing or cannot be read.
    """
    path = Path(path)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error
    with file:
        status = os.fstat(file.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) and status.st_size else None
        try:
            stream, packed = unpack(file)
        except OSError as error:
            raise DataError(f"cannot read {path}", str(error.strerror)) from error
        ratio = {None: 1, "gzip": _MOST_PACKED}.get(packed)  # the others have no limit
        most = size * ratio if size is not None and ratio is not None else None
        yield Source(stream, str(path), most, editable=packed is None and size is not None)
