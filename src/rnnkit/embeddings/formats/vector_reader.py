"""A file of word vectors while it is read from start to end: unpacked where it is compressed, with places for messages.

A file may be a pipe: it is read once, from start to end, and its size is unknown before.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, cast

from rnnkit.errors import DataError
from rnnkit.io.safe_reading import Repairs

BLOCK_BYTES: Final = 1 << 22
"""Bytes read at a time."""

MAX_LINE_BYTES: Final = 1 << 24
"""Longest line that is read, in bytes, so that a file without line ends cannot fill the memory."""

_MAX_DEFLATE_RATIO = 1032  # deflate makes nothing smaller than a thousandth


class VectorReader:
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
            size -= len(self.exactly(min(size, BLOCK_BYTES), what))

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
        while block := self.read(BLOCK_BYTES):
            whole, newline, tail = block.rpartition(b"\n")
            if newline:
                lines = (rest + whole).split(b"\n")
                yield lines
                first += len(lines)
                rest = tail
            else:
                rest += block
            if len(rest) > MAX_LINE_BYTES:
                raise DataError(f"{self.name}:{first}: the line is longer than {MAX_LINE_BYTES:,} bytes")
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
            more = self._file.read(BLOCK_BYTES)
        except DECOMPRESSION_ERRORS as error:
            place = self._before + len(self._buffer)
            raise DataError(f"cannot read {self.name} beyond byte {place:,}", str(error)) from error
        if more:
            self._buffer, self._before, self._place = self._buffer[self._place :] + more, self.position, 0
        return bool(more)


@contextmanager
def open_vector_file(path: str | os.PathLike[str]) -> Iterator[VectorReader]:
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
            stream, packed = decompress(file)
        except OSError as error:
            raise DataError(f"cannot read {path}", str(error.strerror)) from error
        ratio = {None: 1, "gzip": _MAX_DEFLATE_RATIO}.get(packed)  # the others have no limit
        most = size * ratio if size is not None and ratio is not None else None
        yield VectorReader(stream, str(path), most, editable=packed is None and size is not None)


DECOMPRESSION_ERRORS: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What the unpackers raise while they read damaged or incomplete data."""

MAGIC_BYTES: Final = 10
"""Bytes that tell the kinds of compression apart."""

MAX_XZ_MEMORY: Final = 96 << 20
"""Bytes that the window of an xz file may take; `xz -9` takes 65 MiB."""

_GZIP = b"\x1f\x8b"
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", re.DOTALL)
_XZ = b"\xfd7zXZ\x00"
_COMPRESSED_BLOCK = 1 << 16


class Readable(Protocol):
    """The part of a binary file that is used here."""

    def read(self, size: int, /) -> bytes:
        """At most `size` of the next bytes; none at the end."""


class Decompressor(Protocol):
    """What `bz2` and `lzma` give for one compressed stream."""

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its end mark."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more can be unpacked from what was given."""

    @property
    def unused_data(self) -> bytes:
        """Bytes behind the end mark."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Unpack at most `max_length` bytes."""


class PrefixedStream:
    """A stream of which some bytes were read already, with these bytes in front again."""

    def __init__(self, start: bytes, stream: Readable) -> None:
        self._start = start
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` of the next bytes; none at the end."""
        if not self._start:
            return self._stream.read(size)
        stop = len(self._start) if size < 0 else size
        found, self._start = self._start[:stop], self._start[stop:]
        return found


class DecompressedStream:
    """Compressed streams, one behind the other, as one stream of what is in them.

    Args:
        stream: The compressed bytes.
        make: Makes the decompressor of one compressed stream.
    """

    def __init__(self, stream: Readable, make: Callable[[], Decompressor]) -> None:
        self._stream = stream
        self._make = make
        self._unpacker = make()

    def read(self, size: int, /) -> bytes:
        """At most `size` of the next bytes; none at the end.

        Raises:
            OSError, lzma.LZMAError: The data is damaged.
            EOFError: The data ends within a compressed stream.
        """
        while True:
            packed = b""
            if self._unpacker.eof:
                packed = self._behind()
                if not packed:
                    return b""
                self._unpacker = self._make()
            elif self._unpacker.needs_input:
                packed = self._stream.read(_COMPRESSED_BLOCK)
                if not packed:
                    raise EOFError("the compressed data ends before its end mark")
            found = self._unpacker.decompress(packed, size)
            if found:
                return found

    def _behind(self) -> bytes:
        """Bytes behind a compressed stream; zeros are padding."""
        rest = self._unpacker.unused_data.lstrip(b"\0")
        while not rest and (more := self._stream.read(_COMPRESSED_BLOCK)):
            rest = more.lstrip(b"\0")
        return rest


def decompress(stream: Readable) -> tuple[Readable, str | None]:
    """A stream of what is in a file, whether that is compressed or not.

    Returns:
        The stream, and the kind of compression, `gzip`, `bzip2` or `xz`; None where there is none.
    """
    start = b""
    while len(start) < MAGIC_BYTES and (more := stream.read(MAGIC_BYTES - len(start))):
        start += more
    whole = PrefixedStream(start, stream)
    if start.startswith(_GZIP):
        return cast(Readable, gzip.GzipFile(fileobj=cast("gzip._ReadableFileobj", whole), mode="rb")), "gzip"
    if _BZIP2.match(start):
        return DecompressedStream(whole, bz2.BZ2Decompressor), "bzip2"
    if start.startswith(_XZ):
        return DecompressedStream(whole, lambda: lzma.LZMADecompressor(memlimit=MAX_XZ_MEMORY)), "xz"
    return whole, None
