"""Words and vectors of files: their validation, after reading and before writing, and their repair (`--repair`).

Repair keeps or skips rows and respells words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.vector_table import Matrix, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.safe_reading import Repairs

Locator = Callable[[int], str]
"""Maps a row to its position in the file, `file:line` or `file: ...`, for messages."""

REPLACEMENT_CHARACTER: Final = "\ufffd"
"""Replaces bytes that are not UTF-8, as Unicode recommends."""

FORBIDDEN_BYTES: Final = b"\t\n\0"
"""Bytes that no word contains in any format: tab and newline are separators in a vocabulary, NUL in fastText models."""

NOT_UTF8 = "words that are not UTF-8"
CONTROLS = "words with control characters"
DUPLICATES = "duplicate words"
NOT_FINITE = "rows with NaN or infinity"
NO_WORD = "rows without a word"
WORD_WITH_SPACE = "words with a space"
SPACES_REPLACED = "spaces written as underscores"
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_FORBIDDEN = re.compile(b"[%b]" % re.escape(FORBIDDEN_BYTES))

_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
"""Half of a surrogate pair encoded as a character, as some converters to UTF-8 write it."""

_LINE = re.compile(r"(.*):(\d+)", re.DOTALL)
_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class KeptRows:
    """The rows that are kept.

    Attributes:
        rows: Their indices among all rows, ascending.
        words: Their repaired words in UTF-8.
        matrix_VD: Their vectors.
    """

    rows: NDArray[np.int64]
    words: list[bytes]
    matrix_VD: Matrix


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


def repair_words(words: Sequence[bytes], matrix_VD: Matrix, locate: Locator, repairs: Repairs, name: str) -> KeptRows:
    """Select the rows that are kept, and repair their words.

    Rows with NaN or infinity and rows without a word are skipped. Bytes that are not UTF-8 become replacement
    characters. Of duplicate words the first is kept, but a word that was valid in the file takes precedence over one
    that became equal to it by repair.

    Args:
        words: The words in the file.
        matrix_VD: Their vectors; changed in place if rows are skipped.
        locate: Their positions.
        repairs: Records what is repaired.
        name: Name of the file, for messages.

    Raises:
        DataError: No row is left.
    """
    valid = {word for word in words if word and not _FORBIDDEN.search(word) and is_utf8(word)}
    finite = _finite_rows(matrix_VD)
    row_of: dict[bytes, int] = {}
    rows: list[int] = []
    repaired: list[bytes] = []
    for row, word in enumerate(words):
        if not word or not finite[row]:
            what = "the row" if not word else f"the row of {_shown(word)}"
            repairs.add(NOT_FINITE if word else NO_WORD, locate(row), f"{what} was skipped")
            continue
        kind, right = (None, word) if word in valid else _respell(word)
        if right in row_of or (kind and right in valid):
            first = f", the first is at {locate(row_of[right])}" if right in row_of else ""
            repairs.add(DUPLICATES, locate(row), f"the row of {_shown(word)} was skipped{first}")
            continue
        if kind:
            repairs.add(kind, locate(row), f"{_shown(word)} was read as {right.decode()!r}")
        row_of[right] = row
        rows.append(row)
        repaired.append(right)
    if not rows:
        counts = (f"{count:,} {kind}" for kind, count in repairs.counts.items())
        raise DataError(f"{name} has no usable row", *counts, path=name)
    kept = np.array(rows, np.int64)
    return KeptRows(kept, repaired, _compact(matrix_VD, kept))


def spaces_to_underscores(table: VectorTable) -> VectorTable:
    """Replace spaces in words by underscores, for formats that cannot represent spaces.

    If the resulting word already exists, the row with spaces is skipped. Changes are recorded in the table's repairs; a
    table that was read strictly is returned unchanged.
    """
    repairs, words = table.repairs, table.words.encoded()
    affected = [row for row, word in enumerate(words) if b" " in word] if repairs is not None else []
    if repairs is None or not affected:
        return table
    existing = set(words)
    skipped = set()
    for row in affected:
        joined = words[row].replace(b" ", b"_")
        where = f"{table.name}: word {row + 1:,}"
        if joined in existing:
            skipped.add(row)
            repairs.add(DUPLICATES, where, f"the row of {_shown(words[row])} was skipped: {_shown(joined)} exists")
            continue
        repairs.add(SPACES_REPLACED, where, f"{_shown(words[row])} was written as {_shown(joined)}")
        existing.add(joined)
        words[row] = joined
    kept = np.array([row for row in range(len(words)) if row not in skipped], np.int64)
    counts = table.words.counts
    return replace(
        table,
        words=WordIndex.from_list(
            [words[row] for row in kept.tolist()], None if counts is None else counts[kept].tolist(), table.words.name
        ),
        matrix_VD=table.matrix_VD[kept],
        contexts_VD=None if table.contexts_VD is None else table.contexts_VD[kept],
    )


def _respell(word: bytes) -> tuple[str | None, bytes]:
    """Return the kind of repair and the repaired word."""
    kind = CONTROLS if is_utf8(word) else NOT_UTF8
    text = _FORBIDDEN.sub(b"\xff", word).decode("utf-8", "replace")
    return kind, text.encode("utf-8")


def _shown(word: bytes) -> str:
    return f"'{word.decode('utf-8', 'backslashreplace')}'"


def _finite_rows(matrix_VD: Matrix) -> NDArray[np.bool_]:
    finite = np.empty(len(matrix_VD), np.bool_)
    for start in range(0, len(matrix_VD), _BLOCK_ROWS):
        finite[start : start + _BLOCK_ROWS] = np.isfinite(matrix_VD[start : start + _BLOCK_ROWS]).all(axis=1)
    return finite


def _compact(matrix_VD: Matrix, kept: NDArray[np.int64]) -> Matrix:
    """Move the kept rows to the start of the same memory."""
    if len(kept) == len(matrix_VD):
        return matrix_VD
    for start in range(0, len(kept), _BLOCK_ROWS):  # rows move towards the start only
        block = matrix_VD[kept[start : start + _BLOCK_ROWS]]
        matrix_VD[start : start + len(block)] = block
    return matrix_VD[: len(kept)].copy() if len(kept) < len(matrix_VD) // 2 else matrix_VD[: len(kept)]
