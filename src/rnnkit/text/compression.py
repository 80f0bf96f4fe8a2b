"""Transparent decompression: gzip, bzip2 and xz, detected by magic bytes.

Streams are read forward only, so a pipe works like a file, and memory does not depend on the content.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, Protocol

DECOMPRESSION_ERRORS: Final = (OSError, EOFError, zlib.error)
"""Errors raised while damaged or truncated compressed data is read."""

MAGIC_BYTES: Final = 6
"""Bytes needed to detect every format."""

_GZIP: Final = b"\x1f\x8b"
_BZIP2: Final = re.compile(rb"BZh[1-9](?!\s)")
"""Header of a stream, which a block follows directly: a word of a text may be `BZh9`."""
_XZ: Final = b"\xfd7zXZ\x00"

_XZ_MEMORY: Final = 1 << 27
"""Memory limit of the xz decoder in bytes; `xz -9` needs half of it."""

_CHUNK: Final = 1 << 18


class SupportsRead(Protocol):
    """The part of a binary file that decompression uses."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""


def decompress(file: SupportsRead) -> tuple[IO[bytes], str | None]:
    """Detect the compression of a stream and decompress it.

    Args:
        file: Binary stream at its start; a read may return fewer bytes than requested, as from a pipe.

    Returns:
        A buffered stream whose reads raise `DECOMPRESSION_ERRORS` for damaged data, and the compression: `gzip`,
        `bzip2`, `xz`, or None for uncompressed data.
    """
    start = b""
    while len(start) < MAGIC_BYTES and (more := file.read(MAGIC_BYTES - len(start))):
        start += more
    whole = io.BufferedReader(_Prefixed(start, file))
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=whole), "gzip"  # type: ignore[return-value]
    if _BZIP2.match(start):
        return io.BufferedReader(_DecompressedStream(whole, _bzip2_decoder)), "bzip2"
    if start.startswith(_XZ):
        return io.BufferedReader(_DecompressedStream(whole, _xz_decoder)), "xz"
    return whole, None


@contextmanager
def decompressed(file: SupportsRead) -> Iterator[IO[bytes]]:
    """Yield the stream of `decompress`. The given file stays open."""
    stream, _ = decompress(file)
    with stream:
        yield stream


def _bzip2_decoder() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz_decoder() -> Any:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _Prefixed(io.RawIOBase):
    """A stream with bytes that were already read put back in front."""

    def __init__(self, start: bytes, file: SupportsRead) -> None:
        self._start = start
        self._file = file

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer and return the number of bytes; 0 at the end."""
        data = self._start[: len(buffer)] or self._file.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class _DecompressedStream(io.RawIOBase):
    """Concatenated compressed streams, as `cat a.xz b.xz` writes them, decompressed to one.

    Args:
        file: The compressed bytes.
        make_decoder: Creates the decoder of one compressed stream.
    """

    def __init__(self, file: SupportsRead, make_decoder: Callable[[], Any]) -> None:
        self._file = file
        self._make_decoder = make_decoder
        self._decoder = make_decoder()
        self._rest = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer and return the number of bytes; 0 at the end.

        Raises:
            OSError: The data is damaged.
            EOFError: The data ends within a compressed stream.
        """
        while True:
            if self._decoder.eof and not self._start_next():
                return 0
            raw = self._file.read(_CHUNK) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not raw and not self._rest:
                raise EOFError("the compressed data ends before its end marker")
            if data := self._decode(raw, len(buffer)):
                buffer[: len(data)] = data
                return len(data)

    def _start_next(self) -> bool:
        """Start the next compressed stream; return False at the end. xz pads streams with NUL bytes."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest and (more := self._file.read(_CHUNK)):
            rest = more.lstrip(b"\0")
        if not rest:
            return False
        self._decoder = self._make_decoder()
        self._rest = rest
        return True

    def _decode(self, raw: bytes, max_bytes: int) -> bytes:
        raw, self._rest = self._rest + raw, b""
        try:
            data: bytes = self._decoder.decompress(raw, max_bytes)
        except (ValueError, EOFError) as error:
            raise OSError(str(error)) from error
        except Exception as error:
            if type(error).__name__ != "LZMAError":  # Python may be built without the module that defines the class
                raise
            raise OSError(str(error)) from error
        return data
