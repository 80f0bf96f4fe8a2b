"""Streams that are compressed, recognized by their first bytes: gzip, bzip2 and xz.

Every stream is read forward only, so a pipe is as good as a file, and in memory that does not depend on its content.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

GZIP: Final = b"\x1f\x8b"
BZIP2: Final = b"BZh"
XZ: Final = b"\xfd7zXZ\x00"

_XZ_MEMORY: Final = 1 << 27
"""Bytes that a decoder of xz may take: `xz -9` needs half of it."""

_CHUNK: Final = 1 << 18


@contextmanager
def decompressed(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The bytes of an open file, decompressed where it is gzip, bzip2 or xz.

    Args:
        file: The file, at its start. A read gives fewer bytes than it asks for only at the end.

    Yields:
        A stream whose reads raise OSError, EOFError or zlib.error where the compressed data is damaged.
    """
    start = file.read(len(XZ))
    whole = io.BufferedReader(_Joined(start, file))
    if start.startswith(GZIP):
        with gzip.GzipFile(fileobj=whole) as stream:
            yield stream  # type: ignore[misc]
    elif start.startswith(BZIP2):
        yield io.BufferedReader(_Unpacked(whole, _bzip2))
    elif start.startswith(XZ):
        yield io.BufferedReader(_Unpacked(whole, _xz))
    else:
        yield whole


def _bzip2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _Joined(io.RawIOBase):
    """A file whose first bytes have been read."""

    def __init__(self, start: bytes, file: IO[bytes]) -> None:
        self._start = start
        self._file = file

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        data = self._start[: len(buffer)] or self._file.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class _Unpacked(io.RawIOBase):
    """One compressed stream after the other, as `cat a.xz b.xz` joins them.

    Args:
        file: The compressed bytes.
        make: Makes a decompressor for the next stream.
    """

    def __init__(self, file: IO[bytes], make: Callable[[], Any]) -> None:
        self._file = file
        self._make = make
        self._decoder = make()
        self._rest = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end. Raises OSError or EOFError where the data is damaged or cut short."""
        while True:
            if self._decoder.eof and not self._next():
                return 0
            raw = self._file.read(_CHUNK) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not raw and not self._rest:
                raise EOFError("the compressed data ends before its end marker")
            if data := self._decode(raw, len(buffer)):
                buffer[: len(data)] = data
                return len(data)

    def _next(self) -> bool:
        """Start the next stream; False where nothing follows. xz pads streams with NUL bytes."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest and (more := self._file.read(_CHUNK)):
            rest = more.lstrip(b"\0")
        if not rest:
            return False
        self._decoder = self._make()
        self._rest = rest
        return True

    def _decode(self, raw: bytes, most: int) -> bytes:
        raw, self._rest = self._rest + raw, b""
        try:
            data: bytes = self._decoder.decompress(raw, most)
        except (ValueError, EOFError) as error:
            raise OSError(str(error)) from error
        except Exception as error:
            if type(error).__name__ != "LZMAError":  # naming the class would need the module, which Python may lack
                raise
            raise OSError(str(error)) from error
        return data
