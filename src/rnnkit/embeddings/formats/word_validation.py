"""Validation of words and vectors, after reading and before writing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from rnnkit.embeddings.vector_table import Matrix, VectorTable
from rnnkit.errors import DataError

Locator = Callable[[int], str]
"""Maps a row to its position in the file, `file:line` or `file: ...`, for messages."""

REPLACEMENT_CHARACTER: Final = "\ufffd"
"""Replaces bytes that are not UTF-8, as Unicode recommends."""

FORBIDDEN_BYTES: Final = b"\t\n\0"
"""Bytes that no word contains in any format: tab and newline are separators in a vocabulary, NUL in fastText models."""

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
"""Half of a surrogate pair encoded as a character, as some converters to UTF-8 write it."""

_LINE = re.compile(r"(.*):(\d+)", re.DOTALL)


def check_words(words: Sequence[bytes], locate: Locator, text: str = "") -> None:
    """Check that all formats can represent the words that were read.

    Args:
        words: The words.
        locate: Their positions.
        text: Path of the file if it is text that `iconv` can convert; empty for binary and compressed files.

    Raises:
        DataError: A word is empty, duplicated or not UTF-8, or contains a tab, a newline or a NUL byte.
    """
    joined = b"\x01".join(words)
    is_valid = is_utf8(joined)
    is_clean = is_valid and not any(bytes([byte]) in joined for byte in FORBIDDEN_BYTES)
    distinct = set(words)
    if is_clean and len(distinct) == len(words) and b"" not in distinct:
        return
    hint = "" if is_valid else _encoding_hint(words, text)
    seen: dict[bytes, int] = {}
    for row, word in enumerate(words):
        _check_word(word, locate(row), hint)
        if seen.setdefault(word, row) != row:
            raise located_error(
                locate(row),
                f"duplicate word {word.decode()!r}",
                f"it first occurs at {locate(seen[word])}",
                hint=("remove one of the two, or " if text else "") + "--repair keeps the first",
            )


def located_error(where: str, what: str, *details: str, hint: str | None = None) -> DataError:
    """Make the error for an entry at a position that a locator returned."""
    found = _LINE.fullmatch(where)
    path, line = (found[1], int(found[2])) if found else (where.rpartition(": ")[0] or where, None)
    return DataError(f"{where}: {what}", *details, hint=hint, path=Path(path), line=line)


def is_utf8(word: bytes) -> bool:
    """Return whether bytes are valid UTF-8."""
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def looks_like_floats(word: bytes) -> bool:
    """Return whether bytes read as a word are probably float32 numbers: a binary file read from a wrong offset."""
    return b"\0" in word or (_CONTROL.search(word) is not None and not is_utf8(word))


def _encoding_hint(words: Sequence[bytes], text: str) -> str:
    """Make the hint for words that are not UTF-8: damaged UTF-8, or text in another encoding."""
    repair = f"--repair reads the file with {REPLACEMENT_CHARACTER!r} in place of invalid bytes"
    if not text or any(_has_utf8(word) for word in words):
        return repair
    return f"`iconv -f LATIN1 -t UTF-8 {text}` converts the text, if that is its encoding; {repair}"


def _has_utf8(word: bytes) -> bool:
    """Return whether a word contains a UTF-8 character beyond ASCII, ignoring invalid bytes."""
    return not word.isascii() and (not word.decode("utf-8", "ignore").isascii() or bool(_SURROGATE.search(word)))


def check_vectors(matrix_VD: Matrix, words: Sequence[bytes], locate: Locator) -> None:
    """Check that the vectors of valid words are finite.

    Raises:
        DataError: A vector contains NaN or infinity; the message names its word and position.
    """
    row = first_nonfinite_row(matrix_VD)
    if row is not None:
        raise located_error(
            locate(row),
            f"the vector of {words[row].decode()!r} contains NaN or infinity",
            hint="--repair skips such vectors",
        )


def check_writable(table: VectorTable, format: str, forbidden: bytes) -> list[bytes]:
    """Check that a format can represent a table, and return its words in UTF-8.

    Args:
        table: The table to write.
        format: Name of the format, for messages.
        forbidden: Separators of the format, which words must not contain.

    Raises:
        DataError: A word is empty or contains a separator.
        FormatError: A vector is not finite.
    """
    words = table.words.encoded()
    separators = [bytes([byte]) for byte in {*forbidden, *FORBIDDEN_BYTES}]
    for word in words:
        if not word or any(byte in word for byte in separators):
            why = "is empty" if not word else "contains white space or a control character"
            raise DataError(
                f"{word.decode('utf-8', 'backslashreplace')!r} cannot be written as {format}",
                f"the word {why}; nothing was written",
                hint="other formats may support it: see --to" if word else None,
            )
    row = first_nonfinite_row(table.matrix_VD)
    if row is not None:
        raise table.not_finite(table.words[row])
    return words


def first_nonfinite_row(matrix_VD: Matrix, block: int = 8192) -> int | None:
    """Return the index of the first row with NaN or infinity; None if all rows are finite."""
    for start in range(0, len(matrix_VD), block):
        finite = np.isfinite(matrix_VD[start : start + block]).all(axis=1)
        if not finite.all():
            return start + int(np.argmin(finite))
    return None


def _check_word(word: bytes, where: str, hint: str) -> None:
    if not word:
        raise located_error(
            where, "the word is missing", "the entry begins with its numbers", hint="--repair skips such entries"
        )
    try:
        word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise located_error(
            where,
            f"the word '{word.decode('utf-8', 'backslashreplace')}' is not UTF-8",
            f"byte {error.start + 1} of it is 0x{word[error.start]:02x}",
            hint=hint,
        ) from None
    for byte in FORBIDDEN_BYTES:
        if byte in word:
            raise located_error(
                where,
                f"the word {word.decode()!r} contains the character {chr(byte)!r}",
                hint=f"--repair reads it with {REPLACEMENT_CHARACTER!r} in its place",
            )
