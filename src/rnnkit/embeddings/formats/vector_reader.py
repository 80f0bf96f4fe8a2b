"""Reading a file of word vectors from start to end, decompressed if necessary, with positions for messages.

The file may be a pipe: it is read once and forward only, and its size may be unknown.
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
"""Longest line that is read, which bounds the memory for a file without line ends."""

DECOMPRESSION_ERRORS: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What reading damaged or incomplete compressed data raises."""

MAGIC_BYTES: Final = 10
"""Bytes that identify the compression."""

MAX_XZ_MEMORY: Final = 96 << 20
"""Memory limit of the xz decoder in bytes; `xz -9` needs 65 MiB."""

_MAX_DEFLATE_RATIO = 1032  # upper limit of the compression ratio of deflate

_GZIP = b"\x1f\x8b"
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", re.DOTALL)
_XZ = b"\xfd7zXZ\x00"
_COMPRESSED_BLOCK = 1 << 16


class Readable(Protocol):
    """The part of a binary file that is used here."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end."""


class Decompressor(Protocol):
    """The interface of `bz2.BZ2Decompressor` and `lzma.LZMADecompressor`."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed stream was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether more output requires more input."""

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end of the compressed stream."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Decompress at most `max_length` bytes."""


class VectorReader:
    """An open file of word vectors.

    Args:
        file: The decompressed stream, at its start.
        name: Name of the file, for messages.
        max_size: Upper limit of the decompressed size in bytes; None if unknown, as for a pipe.
        editable: Whether it is an uncompressed file on disk, which shell commands can change.
    """

    def __init__(self, file: Readable, name: str, max_size: int | None, editable: bool = True) -> None:
        self.name = name
        self.max_size = max_size
        self.editable = editable
        self._file = file
        self._buffer = b""
        self._buffer_start = 0
        self._offset = 0

    @property
    def position(self) -> int:
        """Number of bytes consumed."""
        return self._buffer_start + self._offset

    def can_hold(self, size: int) -> bool:
        """Return whether the file may have `size` bytes; otherwise a header that promises them is wrong."""
        return self.max_size is None or size <= self.max_size

    def peek(self, size: int) -> bytes:
        """Return up to `size` of the next bytes without consuming them."""
        while len(self._buffer) - self._offset < size and self._fill():
            pass
        return self._buffer[self._offset : self._offset + size]

    def read(self, size: int) -> bytes:
        """Read `size` bytes; fewer at the end of the file."""
        found = self.peek(size)
        self._offset += len(found)
        return found

    def read_exactly(self, size: int, what: str) -> bytes:
        """Read `size` bytes.

        Raises:
            DataError: The file ends before; `what` describes the bytes in the message.
        """
        start = self.position
        found = self.read(size)
        if len(found) < size:
            raise self.truncated(start + len(found), what)
        return found

    def skip(self, size: int, what: str) -> None:
        """Skip `size` bytes. Raises like `read_exactly`."""
        while size:
            size -= len(self.read_exactly(min(size, BLOCK_BYTES), what))

    def read_until(self, end: bytes, limit: int) -> bytes | None:
        """Read up to the next `end`, which is consumed but not returned; None if it is not within `limit` bytes."""
        while (stop := self._buffer.find(end, self._offset, self._offset + limit + 1)) < 0:
            if len(self._buffer) - self._offset > limit or not self._fill():
                return None
        found = self._buffer[self._offset : stop]
        self._offset = stop + 1
        return found

    def lines(self, first: int, repairs: Repairs | None = None) -> Iterator[list[bytes]]:
        """Yield the remaining lines without their ends, in blocks.

        Args:
            first: Number of the next line, for messages.
            repairs: Records a last line without an end; without it, such a line is an error.

        Raises:
            DataError: The last line has no end, or a line is too long.
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
                raise DataError(
                    f"{self.name}:{first}: the line is longer than {MAX_LINE_BYTES:,} bytes", path=self.name, line=first
                )
        if rest and repairs is None:
            add = f"`echo >> {self.name}` adds the line end, and " if self.editable else ""
            raise DataError(
                f"{self.name}:{first}: the last line has no line end",
                "the file may have been truncated in the middle of a number",
                hint=f"copy the file again; if it is complete, {add}--repair reads the line as it is",
                path=self.name,
                line=first,
            )
        if rest and repairs is not None:
            repairs.add("missing final newlines", f"{self.name}:{first}", "the last line was read as it is")
            yield [rest]

    def truncated(self, byte: int, what: str, hint: str = "copy the file again") -> DataError:
        """Make the error for a file that ends too early, where `what` was expected."""
        return DataError(f"{self.name} is truncated at byte {byte:,}", f"expected {what}", hint=hint, path=self.name)

    def _fill(self) -> bool:
        """Read the next block; returns False at the end of the file."""
        try:
            block = self._file.read(BLOCK_BYTES)
        except DECOMPRESSION_ERRORS as error:
            byte = self._buffer_start + len(self._buffer)
            raise DataError(f"cannot read {self.name} beyond byte {byte:,}", str(error), path=self.name) from error
        if block:
            self._buffer, self._buffer_start = self._buffer[self._offset :] + block, self.position
            self._offset = 0
        return bool(block)


@contextmanager
def open_vector_file(path: str | os.PathLike[str]) -> Iterator[VectorReader]:
    """Open a file to be read once.

    Raises:
        DataError: It does not exist or cannot be read.
    """
    path = Path(path)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"file not found: {path}", path=path) from None
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error
    with file:
        status = os.fstat(file.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) and status.st_size else None
        try:
            stream, compression = decompress(file)
        except OSError as error:
            raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error
        max_ratio = {None: 1, "gzip": _MAX_DEFLATE_RATIO}.get(compression)  # unlimited for bzip2 and xz
        max_size = size * max_ratio if size is not None and max_ratio is not None else None
        yield VectorReader(stream, str(path), max_size, editable=compression is None and size is not None)


class PrefixedStream:
    """A stream with bytes that have already been read put back in front."""

    def __init__(self, start: bytes, stream: Readable) -> None:
        self._start = start
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """Read at most `size` bytes; none at the end."""
        if not self._start:
            return self._stream.read(size)
        stop = len(self._start) if size < 0 else size
        found, self._start = self._start[:stop], self._start[stop:]
        return found


class DecompressedStream:
    """The content of one or several concatenated compressed streams.

    Args:
        stream: The compressed bytes.
        make: Makes the decompressor of one compressed stream.
    """

    def __init__(self, stream: Readable, make: Callable[[], Decompressor]) -> None:
        self._stream = stream
        self._make = make
        self._decompressor = make()

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end.

        Raises:
            OSError, lzma.LZMAError: The data is damaged.
            EOFError: The data ends within a compressed stream.
        """
        while True:
            data = b""
            if self._decompressor.eof:
                data = self._next_stream()
                if not data:
                    return b""
                self._decompressor = self._make()
            elif self._decompressor.needs_input:
                data = self._stream.read(_COMPRESSED_BLOCK)
                if not data:
                    raise EOFError("the compressed data ends before its end mark")
            found = self._decompressor.decompress(data, size)
            if found:
                return found

    def _next_stream(self) -> bytes:
        """Return bytes after the end of a compressed stream, without padding zeros; none at the end."""
        rest = self._decompressor.unused_data.lstrip(b"\0")
        while not rest and (more := self._stream.read(_COMPRESSED_BLOCK)):
            rest = more.lstrip(b"\0")
        return rest


def decompress(stream: Readable) -> tuple[Readable, str | None]:
    """Return a stream of the content of a file, which may be compressed.

    Returns:
        The stream, and the compression: `gzip`, `bzip2` or `xz`; None for an uncompressed file.
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
