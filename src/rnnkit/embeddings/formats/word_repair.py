"""Repair of the words and vectors of an imperfect file (`--repair`): rows are kept or skipped, words respelled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.formats.word_validation import FORBIDDEN_BYTES, Locator, is_utf8
from rnnkit.embeddings.vector_table import Matrix, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.safe_reading import Repairs

NOT_UTF8 = "words that are not UTF-8"
CONTROLS = "words with control characters"
DUPLICATES = "duplicate words"
NOT_FINITE = "rows with NaN or infinity"
NO_WORD = "rows without a word"
WORD_WITH_SPACE = "words with a space"
SPACES_REPLACED = "spaces written as underscores"

_FORBIDDEN = re.compile(b"[%b]" % re.escape(FORBIDDEN_BYTES))
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
