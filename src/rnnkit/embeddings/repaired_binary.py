"""word2vec's binary format under `--repair`: whatever whole entries the file holds, counted as they come."""

from __future__ import annotations

import numpy as np

from rnnkit.embeddings.binary_entries import Entries
from rnnkit.embeddings.repaired_text import WRONG_COUNT, read_header
from rnnkit.embeddings.repaired_words import repair
from rnnkit.embeddings.source import Source
from rnnkit.embeddings.spelling import is_numbers, is_utf8
from rnnkit.embeddings.table import Table
from rnnkit.embeddings.words import Words
from rnnkit.io.safe_reading import Repairs

CUT_OFF = "entries cut off at the end"
TRAILING = "trailing bytes that are not entries"

_NEWLINES = b"\r\n"
_MOST_NEWLINES = 8


def read(source: Source, repairs: Repairs) -> Table:
    """Read a file.

    Raises:
        DataError: No entry can be used, or words and numbers are read from a wrong place.
    """
    count, dimension = read_header(source, repairs)
    entries = Entries(source, dimension)
    has_rest = False
    while not _ends(source):
        start = source.position
        is_behind = len(entries.words) >= count
        if not entries.add():
            if is_behind or entries.is_at_end():
                has_rest = True
                _skip_rest(source, start, TRAILING if is_behind else CUT_OFF, repairs)
                break
            entries.refuse_numbers(has_rest=True)
            raise entries.no_word()
        entries.words[-1] = entries.words[-1].lstrip(_NEWLINES)
        if entries.is_cut or (is_behind and not _is_entry(entries)):
            kind = CUT_OFF if entries.is_cut and not is_behind else TRAILING
            entries.drop()
            has_rest = True
            _skip_rest(source, start, kind, repairs)
            break
    entries.refuse_numbers(has_rest or len(entries.words) != count)
    if len(entries.words) != count:
        repairs.add(WRONG_COUNT, f"{source.name}:1", f"it says {count:,} words, {len(entries.words):,} were read")
    kept = repair(entries.words, entries.take_vectors(), entries.where, repairs, source.name)
    return Table(Words.from_list(kept.words, name=source.name), kept.matrix_VD, name=source.name)


def _ends(source: Source) -> bool:
    """Whether nothing but line ends follows."""
    rest = source.peek(_MOST_NEWLINES)
    return len(rest) < _MOST_NEWLINES and not rest.strip(_NEWLINES)


def _is_entry(entries: Entries) -> bool:
    """Whether what the header does not count is a word with a vector, rather than bytes of another kind."""
    word = entries.words[-1]
    fit = bool(word) and is_utf8(word) and not is_numbers(word)
    return fit and bool(np.isfinite(entries.last_vector()).all())


def _skip_rest(source: Source, start: int, kind: str, repairs: Repairs) -> None:
    repairs.add(kind, f"{source.name}: byte {start:,}", "it was skipped, with all that follows")
