"""The line reader that all text goes through.

UTF-8 is decoded strictly: an invalid byte is reported by file, line and byte. LF ends a line, and one CR before it is
dropped; U+2028, U+0085, form feeds and the like are ordinary characters, so every command counts the same lines as
`wc -l`. A byte order mark at the start is dropped. Compressed files are detected by their magic bytes. A limit on the
length of a line bounds memory for files without line ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rnnkit.errors import DataError
from rnnkit.text.compression import DECOMPRESSION_ERRORS, decompress

MAX_LINE_BYTES = 1_000_000
"""Maximum length of a line, in bytes."""

STDIN = Path("-")
BOM = b"\xef\xbb\xbf"
READ_ERRORS = DECOMPRESSION_ERRORS
"""Errors that reads from a file of `open_text` may raise; damaged compression shows only then."""

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
