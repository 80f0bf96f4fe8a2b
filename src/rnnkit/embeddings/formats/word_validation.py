"""What a word may be in a file: checked when one is read, and before one is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from rnnkit.embeddings.vector_table import Matrix, VectorTable
from rnnkit.errors import DataError

Locator = Callable[[int], str]
"""The place of a row in its file, as messages name it."""

REPLACEMENT_CHARACTER: Final = "\ufffd"
"""Stands for bytes that are not UTF-8, as in Unicode's own recommendation."""

FORBIDDEN_BYTES: Final = b"\t\n\0"
"""Bytes that no word holds in any file: the first two part words in a vocabulary, the last ends them in fastText's."""


_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
"""Half a surrogate pair as if it were a character: what broken converters to UTF-8 write."""


def check_words(words: Sequence[bytes], where: Locator, text: str = "") -> None:
    """Hold the words that were read against what all formats can carry.

    Args:
        words: The words.
        where: Their places.
        text: Path of the file where it is a text that `iconv` can convert; empty for binary and compressed files.

    Raises:
        DataError: One is empty, not UTF-8, there twice, or holds a tab, a newline or a NUL byte.
    """
    joined = b"\x01".join(words)
    try:
        joined.decode("utf-8")
        whole = True
    except UnicodeDecodeError:
        whole = False
    fit = whole and not any(byte in joined for byte in (b"\t", b"\n", b"\0"))
    distinct = set(words)
    if fit and len(distinct) == len(words) and b"" not in distinct:
        return
    hint = "" if whole else _encoding_hint(words, text)
    seen: dict[bytes, int] = {}
    for row, word in enumerate(words):
        _check_word(word, where(row), hint)
        if seen.setdefault(word, row) != row:
            raise DataError(
                f"{where(row)}: {word.decode()!r} has a vector already",
                f"the first is at {where(seen[word])}",
                hint=("keep one of the two, or " if text else "") + "--repair keeps the first",
            )


def is_utf8(word: bytes) -> bool:
    """Whether bytes are whole UTF-8."""
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def looks_like_floats(word: bytes) -> bool:
    """Whether bytes that should be a word are float32 numbers: a binary file that is read from a wrong place."""
    return b"\0" in word or (_CONTROL.search(word) is not None and not is_utf8(word))


def _encoding_hint(words: Sequence[bytes], text: str) -> str:
    """What to do about words that are not UTF-8: most files are damaged UTF-8, some texts are in another encoding."""
    repair = f"--repair reads the file with {REPLACEMENT_CHARACTER!r} in place of such bytes"
    if not text or any(_has_utf8(word) for word in words):
        return repair
    return f"`iconv -f LATIN1 -t UTF-8 {text}` converts the text, if that is its encoding; {repair}"


def _has_utf8(word: bytes) -> bool:
    """Whether a word has a character in UTF-8 beyond ASCII, other bytes aside."""
    return not word.isascii() and (not word.decode("utf-8", "ignore").isascii() or bool(_SURROGATE.search(word)))


def check_vectors(matrix_VD: Matrix, words: Sequence[bytes], where: Locator) -> None:
    """Find NaN and infinity in the rows of words that were checked.

    Raises:
        DataError: There is such a number; the message names word and place.
    """
    row = first_nonfinite_row(matrix_VD)
    if row is not None:
        raise DataError(
            f"{where(row)}: the vector of {words[row].decode()!r} holds NaN or infinity",
            hint="--repair skips such vectors",
        )


def check_writable(table: VectorTable, format: str, forbidden: bytes) -> list[bytes]:
    """The words of a table that is about to be written, each known to fit the format.

    Args:
        table: What will be written.
        format: Name of the format, for messages.
        forbidden: Bytes that part words from numbers there.

    Raises:
        DataError: A word is empty or holds such a byte, or a vector is not finite; the message names the word.
    """
    words = table.words.encoded()
    wrong = [bytes([byte]) for byte in {*forbidden, *FORBIDDEN_BYTES}]
    for word in words:
        if not word or any(byte in word for byte in wrong):
            why = "is empty" if not word else "holds white space or a control character"
            raise DataError(
                f"{word.decode('utf-8', 'backslashreplace')!r} cannot be written as {format}",
                f"the word {why}; nothing was written",
                hint="other formats may carry it: see --to" if word else None,
            )
    row = first_nonfinite_row(table.matrix_VD)
    if row is not None:
        raise table.not_finite(table.words[row])
    return words


def first_nonfinite_row(matrix_VD: Matrix, block: int = 8192) -> int | None:
    """The first row with NaN or infinity; None where all are finite."""
    for start in range(0, len(matrix_VD), block):
        finite = np.isfinite(matrix_VD[start : start + block]).all(axis=1)
        if not finite.all():
            return start + int(np.argmin(finite))
    return None


def _check_word(word: bytes, place: str, hint: str) -> None:
    if not word:
        raise DataError(
            f"{place}: the word is missing", "the entry begins with its numbers", hint="--repair skips such entries"
        )
    try:
        word.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: the word '{word.decode('utf-8', 'backslashreplace')}' is not UTF-8",
            f"byte {error.start + 1} of it is 0x{word[error.start]:02x}",
            hint=hint,
        ) from None
    for byte in FORBIDDEN_BYTES:
        if byte in word:
            raise DataError(
                f"{place}: the word {word.decode()!r} holds the character {chr(byte)!r}",
                hint=f"--repair reads it with {REPLACEMENT_CHARACTER!r} in its place",
            )
