"""The line reader that all text goes through.

UTF-8 is decoded strictly: an invalid byte is reported by file, line and byte. LF ends a line, and one CR before it is
dropped; U+2028, U+0085, form feeds and the like are ordinary characters, so every command counts the same lines as
`wc -l`. A byte order mark at the start is dropped. A limit on the length of a line bounds memory for files without line
ends.

Files compressed with gzip, bzip2 or xz are detected by their magic bytes. Streams are read forward only, so a pipe
works like a file, and memory does not depend on the content.
"""

from __future__ import annotations

import gzip
import io
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from rnnkit.errors import DataError

if TYPE_CHECKING:  # Python may be built without these modules
    from bz2 import BZ2Decompressor
    from lzma import LZMADecompressor

MAX_LINE_BYTES = 1_000_000
"""Maximum length of a line, in bytes."""

STDIN = Path("-")
BOM = b"\xef\xbb\xbf"
READ_ERRORS: Final = (OSError, EOFError, zlib.error)
"""Errors that reads from a file of `open_text` may raise; damaged compression shows only then."""

MAGIC_BYTES: Final = 6
"""Bytes needed to detect every format."""

_GZIP: Final = b"\x1f\x8b"
_BZIP2: Final = re.compile(rb"BZh[1-9](?!\s)")
"""Header of a stream, which a block follows directly: a word of a text may be `BZh9`."""
_XZ: Final = b"\xfd7zXZ\x00"

_XZ_MEMORY: Final = 1 << 27
"""Memory limit of the xz decoder in bytes; `xz -9` needs half of it."""

_CHUNK: Final = 1 << 18

_STDIN_NAME = "standard input"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LINE_END_PICTURES = str.maketrans({"\n": "␊", "\r": "␍"})


def replace_line_ends(text: str) -> str:
    """Return text as one line, with `␊` for LF and `␍` for CR, which some programs take for a line end.

    Only tokens that a model predicts or a user types spell LF; a line that was read contains none.
    """
    return text.translate(_LINE_END_PICTURES) if "\n" in text or "\r" in text else text


def read_lines(path: Path, max_bytes: int = MAX_LINE_BYTES) -> Iterator[str]:
    """Yield the lines of a text file without their ends.

    Args:
        path: The file; `-` is standard input.
        max_bytes: Maximum length of a line, in bytes.

    Raises:
        DataError: The file is missing or unreadable, is UTF-16, or a line is not UTF-8, contains a NUL byte or is
            too long; the message contains line and byte.
    """
    with open_text(path) as (file, _):
        yield from decode_lines(file, display_name(path), max_bytes)


def decode_lines(file: IO[bytes], name: str, max_bytes: int = MAX_LINE_BYTES, first: int = 1) -> Iterator[str]:
    """Yield the lines of an open binary stream. Raises as `read_lines`.

    Args:
        file: The stream.
        name: Name of the file for messages.
        max_bytes: Maximum length of a line, in bytes.
        first: Line number of the stream's first line within the file.
    """
    number = first - 1
    while True:
        try:
            raw = file.readline(max_bytes + 2)
        except READ_ERRORS as error:
            raise unreadable_after(name, number, error) from error
        if not raw:
            return
        number += 1
        if number == 1:
            check_not_utf16(raw, name)
            raw = raw.removeprefix(BOM)
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        if len(raw) > max_bytes:
            raise line_too_long(name, number, max_bytes)
        yield decode_text(raw, name, number)


def decode_text(raw: bytes, name: str, line: int, column: int = 0) -> str:
    """Decode bytes of a text file.

    Args:
        raw: The bytes; may contain line ends.
        name: Name of the file for messages.
        line: Line number in which the bytes begin.
        column: Bytes of that line before them.

    Raises:
        DataError: They are not UTF-8, or contain a NUL byte; the message contains line and byte.
    """
    if b"\0" in raw:
        number, byte = _location(raw, raw.index(0), line, column)
        raise DataError(
            f"{name}:{number}:{byte}: NUL byte",
            "text files contain none",
            hint="`tr -d '\\000' < FILE` removes them, if the file is text otherwise",
            path=_path(name),
            line=number,
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        number, byte = _location(raw, error.start, line, column)
        raise DataError(
            f"{name}:{number}:{byte}: not UTF-8 (byte 0x{raw[error.start]:02x})",
            hint="`iconv -f LATIN1 -t UTF-8 FILE` converts, if that is the file's encoding",
            path=_path(name),
            line=number,
        ) from None


def line_too_long(name: str, line: int, max_bytes: int) -> DataError:
    """Return the error for a line that exceeds the limit."""
    return DataError(
        f"{name}:{line}: the line is longer than {max_bytes:,} bytes",
        hint="the input format is one sentence per line; check that this is a text file",
        path=_path(name),
        line=line,
    )


def unreadable_after(name: str, line: int, cause: BaseException) -> DataError:
    """Return the error for a file that cannot be read after this line."""
    return DataError(f"cannot read {name} beyond line {line}", str(cause), path=_path(name), line=line)


def batch_lines(lines: Iterable[str], max_lines: int = 4096, max_characters: int = 1 << 20) -> Iterator[list[str]]:
    """Group lines for work that is cheaper in batches.

    Args:
        lines: The lines.
        max_lines: Maximum lines per batch.
        max_characters: A batch ends with the line that reaches this number of characters.
    """
    batch: list[str] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) >= max_lines or size >= max_characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextmanager
def open_text(path: Path) -> Iterator[tuple[IO[bytes], str | None]]:
    """Open a file and decompress it if it is compressed. Standard input is read as it is and stays open afterwards.

    Yields:
        The bytes, and the compression as in `decompress`.

    Raises:
        DataError: The file is missing or unreadable.
    """
    if path == STDIN:
        yield sys.stdin.buffer, None
        return
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"file not found: {path}", path=path) from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a text file", path=path) from None
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error
    with file:
        try:
            stream, compression = decompress(file)
        except OSError as error:
            raise DataError(f"cannot read {path}", str(error.strerror), path=path) from error
        if compression is None and file.seekable():
            file.seek(0)  # a plain file needs no second buffer
            yield file, None
            return
        with stream:
            yield stream, compression


def check_not_utf16(first: bytes, name: str) -> None:
    """Raise DataError if the first bytes of a file are a UTF-16 byte order mark."""
    if first.startswith(_UTF16):
        raise DataError(
            f"{name} is UTF-16, not UTF-8", hint="`iconv -f UTF-16 -t UTF-8 FILE` converts it", path=_path(name)
        )


def display_name(path: Path) -> str:
    """Return the name of a file for messages."""
    return _STDIN_NAME if path == STDIN else str(path)


def split_location(where: str) -> tuple[str | None, int | None]:
    """Return path and line of a location such as `train.de:7`; None if it has no path, as for standard input."""
    name, _, number = where.rpartition(":")
    return _path(name) or None, int(number) if number.isdecimal() else None


def _path(name: str) -> str | None:
    return None if name == _STDIN_NAME else name


def _location(raw: bytes, index: int, line: int, column: int) -> tuple[int, int]:
    """Return line and byte within the line of `raw[index]`, both counted from 1."""
    ends = raw.count(b"\n", 0, index)
    start = raw.rfind(b"\n", 0, index) if ends else -column - 1
    return line + ends, index - start


class SupportsRead(Protocol):
    """The part of a binary file that decompression uses."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""


def decompress(file: SupportsRead) -> tuple[IO[bytes], str | None]:
    """Detect the compression of a stream and decompress it.

    Args:
        file: Binary stream at its start; a read may return fewer bytes than requested, as from a pipe.

    Returns:
        A buffered stream whose reads raise `READ_ERRORS` for damaged data, and the compression: `gzip`,
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


def _bzip2_decoder() -> BZ2Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _xz_decoder() -> LZMADecompressor:
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

    def __init__(self, file: SupportsRead, make_decoder: Callable[[], BZ2Decompressor | LZMADecompressor]) -> None:
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
            data = self._decoder.decompress(raw, max_bytes)
        except (ValueError, EOFError) as error:
            raise OSError(str(error)) from error
        except Exception as error:
            if type(error).__name__ != "LZMAError":  # Python may be built without the module that defines the class
                raise
            raise OSError(str(error)) from error
        return data
