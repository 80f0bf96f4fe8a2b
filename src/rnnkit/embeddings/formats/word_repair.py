"""Words and rows of an imperfect file: which of them are kept under `--repair`, and how the words are spelled."""

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
    """What is kept of the rows that were read.

    Attributes:
        rows: Their places among all rows, in order.
        words: Their words as they are spelled from here on, in UTF-8.
        matrix_VD: Their vectors.
    """

    rows: NDArray[np.int64]
    words: list[bytes]
    matrix_VD: Matrix


def repair_words(words: Sequence[bytes], matrix_VD: Matrix, where: Locator, repairs: Repairs, name: str) -> KeptRows:
    """Choose the rows that are kept, and spell their words.

    Rows with NaN or infinity and rows without a word are skipped. Bytes that are not UTF-8 become replacement
    characters. Of several rows of one word the first is kept; a word that was whole in the file goes before one that
    became equal to it by repair.

    Args:
        words: As the file has them.
        matrix_VD: Their vectors; it is changed in place where rows are skipped.
        where: Their places.
        repairs: Takes the record.
        name: Of the file, for messages.

    Raises:
        DataError: No row is left.
    """
    whole = {word for word in words if word and not _FORBIDDEN.search(word) and is_utf8(word)}
    finite = _finite_rows(matrix_VD)
    taken: dict[bytes, int] = {}
    rows: list[int] = []
    spelled: list[bytes] = []
    for row, word in enumerate(words):
        if not word or not finite[row]:
            what = "the row" if not word else f"the row of {_shown(word)}"
            repairs.add(NOT_FINITE if word else NO_WORD, where(row), f"{what} was skipped")
            continue
        kind, right = (None, word) if word in whole else _spell(word)
        if right in taken or (kind and right in whole):
            first = f", the first is at {where(taken[right])}" if right in taken else ""
            repairs.add(DUPLICATES, where(row), f"the row of {_shown(word)} was skipped{first}")
            continue
        if kind:
            repairs.add(kind, where(row), f"{_shown(word)} was read as {right.decode()!r}")
        taken[right] = row
        rows.append(row)
        spelled.append(right)
    if not rows:
        raise DataError(f"{name} has no row that can be used", *(f"{n:,} {kind}" for kind, n in repairs.counts.items()))
    kept = np.array(rows, np.int64)
    return KeptRows(kept, spelled, _compact(matrix_VD, kept))


def spaces_to_underscores(table: VectorTable) -> VectorTable:
    """A table whose words have underscores for spaces, for formats that cannot carry these.

    Where a word of that spelling exists, the row with the spaces is skipped. What is changed is recorded in the
    table's repairs; a table that was read strictly is returned as it is.
    """
    repairs, words = table.repairs, table.words.encoded()
    places = [row for row, word in enumerate(words) if b" " in word] if repairs is not None else []
    if repairs is None or not places:
        return table
    taken = set(words)
    skipped = set()
    for row in places:
        joined = words[row].replace(b" ", b"_")
        place = f"{table.name}: word {row + 1:,}"
        if joined in taken:
            skipped.add(row)
            repairs.add(DUPLICATES, place, f"the row of {_shown(words[row])} was skipped: {_shown(joined)} has one")
            continue
        repairs.add(SPACES_REPLACED, place, f"{_shown(words[row])} was written as {_shown(joined)}")
        taken.add(joined)
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


def _spell(word: bytes) -> tuple[str | None, bytes]:
    """What is wrong with a word, and how it is spelled instead."""
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
    """The kept rows, moved to the start of the same memory."""
    if len(kept) == len(matrix_VD):
        return matrix_VD
    for start in range(0, len(kept), _BLOCK_ROWS):  # a row never moves to a later place
        block = matrix_VD[kept[start : start + _BLOCK_ROWS]]
        matrix_VD[start : start + len(block)] = block
    return matrix_VD[: len(kept)].copy() if len(kept) < len(matrix_VD) // 2 else matrix_VD[: len(kept)]
