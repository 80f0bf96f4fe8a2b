"""The one line reader.

UTF-8, strictly: a bad byte is named by file, line and byte. LF ends a line and one CR before it is dropped;
U+2028, U+0085, form feeds and their like are ordinary characters, so that every tool here counts the same
lines as `wc -l`. A byte order mark at the start is dropped. `.gz` is recognised by its first bytes. A cap on the
length of a line keeps a file without line ends from filling the memory.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rnnkit.errors import DataError

MAX_LINE_BYTES = 1_000_000
"""Longest line that is read, in bytes."""

STDIN = Path("-")
_GZIP = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
READ_ERRORS = (OSError, EOFError, zlib.error)
"""What reading an opened file may raise; gzip reports damage only then."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SIGNS = str.maketrans({"\n": "␊", "\r": "␍"})


def replace_line_ends(text: str) -> str:
    """Text that a file can hold as one line: `␊` stands for LF and `␍` for CR, which some programs take for a line end.

    Only tokens that a model chose or a user typed spell an LF; a line that was read has none.
    """
    return text.translate(_SIGNS) if "\n" in text or "\r" in text else text


def read_lines(path: Path, max_bytes: int = MAX_LINE_BYTES) -> Iterator[str]:
    """Yield the lines of a text file without their ends.

    Args:
        path: The file; `-` is standard input.
        max_bytes: Longest line allowed, in bytes.

    Raises:
        DataError: The file is missing or unreadable, is UTF-16, or a line is not UTF-8, holds a NUL byte or is
            longer than allowed; the message names the line and the byte.
    """
    name = "standard input" if path == STDIN else str(path)
    with open_text(path) as file:
        yield from decode_lines(file, name, max_bytes)


def decode_lines(file: IO[bytes], name: str, max_bytes: int = MAX_LINE_BYTES, first: int = 1) -> Iterator[str]:
    """Yield the lines of an open binary stream. Raises as `read_lines`.

    Args:
        file: The stream.
        name: Stands for it in messages.
        max_bytes: Longest line allowed, in bytes.
        first: Number of its first line, where lines of the same file stand before it.
    """
    number = first - 1
    while True:
        try:
            raw = file.readline(max_bytes + 2)
        except READ_ERRORS as error:
            raise DataError(f"cannot read {name} beyond line {number}", str(error)) from error
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
        raw: The bytes; may hold line ends.
        name: What stands for the file in messages.
        line: Number of the line that they begin in.
        column: Bytes of that line before them.

    Raises:
        DataError: They are not UTF-8, or hold a NUL byte; the message names line and byte.
    """
    if b"\0" in raw:
        raise DataError(
            f"{name}:{_place(raw, raw.index(0), line, column)}: NUL byte",
            "text files hold none",
            hint="`tr -d '\\000' < FILE` removes them, if it is text after all",
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}:{_place(raw, error.start, line, column)}: not UTF-8 (byte 0x{raw[error.start]:02x})",
            hint="`iconv -f LATIN1 -t UTF-8 FILE` converts, if that is the file's encoding",
        ) from None


def line_too_long(name: str, line: int, max_bytes: int) -> DataError:
    """The error of a line that passes the cap."""
    return DataError(
        f"{name}:{line}: the line is longer than {max_bytes:,} bytes",
        hint="one sentence a line is expected; is this a text file?",
    )


def _place(raw: bytes, index: int, line: int, column: int) -> str:
    """`line:byte` of a byte, both from 1."""
    ends = raw.count(b"\n", 0, index)
    start = raw.rfind(b"\n", 0, index) if ends else -column - 1
    return f"{line + ends}:{index - start}"


def batch_lines(lines: Iterable[str], most: int = 4096, characters: int = 1 << 20) -> Iterator[list[str]]:
    """Lines in groups, for work that is cheaper in bulk.

    Args:
        lines: The lines.
        most: Most lines a group.
        characters: A group ends with the line that brings it to so many characters.
    """
    batch: list[str] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) >= most or size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@contextmanager
def open_text(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed where it is gzip. Standard input stays open afterwards.

    Raises:
        DataError: The file is missing or unreadable.
    """
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, a text file is wanted") from None
    except OSError as error:
        raise DataError(f"cannot read {path}", str(error.strerror)) from error
    with file:
        if file.peek(2)[:2] != _GZIP:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield unpacked  # type: ignore[misc]


def check_not_utf16(first: bytes, name: str) -> None:
    """Raise DataError where a file's first bytes are those of UTF-16."""
    if first.startswith(_UTF16):
        raise DataError(f"{name} is UTF-16, UTF-8 is wanted", hint="`iconv -f UTF-16 -t UTF-8 FILE` converts it")
