"""Streams that are compressed with gzip, bzip2 or xz, told by their first bytes and unpacked a piece at a time."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from typing import Final, Protocol, cast

DAMAGE: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What the unpackers raise while they read damaged or incomplete data."""

LONGEST_MARK: Final = 10
"""Bytes that tell the kinds of compression apart."""

MOST_MEMORY: Final = 96 << 20
"""Bytes that the window of an xz file may take; `xz -9` takes 65 MiB."""

_GZIP = b"\x1f\x8b"
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", re.DOTALL)
_XZ = b"\xfd7zXZ\x00"
_BLOCK = 1 << 16


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


class Prefixed:
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


class Unpacked:
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
                packed = self._stream.read(_BLOCK)
                if not packed:
                    raise EOFError("the compressed data ends before its end mark")
            found = self._unpacker.decompress(packed, size)
            if found:
                return found

    def _behind(self) -> bytes:
        """Bytes behind a compressed stream; zeros are padding."""
        rest = self._unpacker.unused_data.lstrip(b"\0")
        while not rest and (more := self._stream.read(_BLOCK)):
            rest = more.lstrip(b"\0")
        return rest


def unpack(stream: Readable) -> tuple[Readable, str | None]:
    """A stream of what is in a file, whether that is compressed or not.

    Returns:
        The stream, and the kind of compression, `gzip`, `bzip2` or `xz`; None where there is none.
    """
    start = b""
    while len(start) < LONGEST_MARK and (more := stream.read(LONGEST_MARK - len(start))):
        start += more
    whole = Prefixed(start, stream)
    if start.startswith(_GZIP):
        return cast(Readable, gzip.GzipFile(fileobj=cast("gzip._ReadableFileobj", whole), mode="rb")), "gzip"
    if _BZIP2.match(start):
        return Unpacked(whole, bz2.BZ2Decompressor), "bzip2"
    if start.startswith(_XZ):
        return Unpacked(whole, lambda: lzma.LZMADecompressor(memlimit=MOST_MEMORY)), "xz"
    return whole, None
