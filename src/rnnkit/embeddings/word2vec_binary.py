"""word2vec's binary format: a header line `words dimension`, then each word, a space, and its numbers as float32.

word2vec.c ends each entry with a newline, gensim does not; both are read, the second is written.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from rnnkit.embeddings import repaired_binary
from rnnkit.embeddings.binary_entries import Entries
from rnnkit.embeddings.source import Source
from rnnkit.embeddings.spelling import check_rows, check_words, refuse_unfit
from rnnkit.embeddings.table import Table
from rnnkit.embeddings.word2vec_text import read_header
from rnnkit.embeddings.words import Words
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import Repairs

_BLOCK_ROWS = 4096
_COPY = "copy the file again"
_CUT_OFF = f"{_COPY}; --repair reads the words before"


def read(source: Source, repairs: Repairs | None = None) -> Table:
    """Read a file.

    Args:
        source: The file.
        repairs: Takes the record where an imperfect file is read; without it, such a file is an error.

    Raises:
        DataError: It is malformed or cut off; the message names the byte.
    """
    if repairs is not None:
        return repaired_binary.read(source, repairs)
    count, dimension = read_header(source)
    if not source.can_hold(count * (4 * dimension + 2)):
        raise DataError(
            f"{source.name}:1: the header says {count:,} words of dimension {dimension:,}",
            "the file is too small for that: it was cut off, or is of another kind",
            hint="copy the file again; --repair reads the words that are there",
        )
    entries = Entries(source, dimension)
    for row in range(count):
        if not entries.add():
            raise _no_word(entries, row, count)
        if entries.is_cut:
            hint = _CUT_OFF if row else _COPY
            entries.drop()
            entries.refuse_numbers(has_rest=True)
            raise source.cut_off(source.position, f"the vector of word {row + 1:,} of {count:,}", hint)
    has_rest = source.read(2) not in (b"", b"\n")
    entries.refuse_numbers(has_rest)
    matrix_VD = entries.take_vectors()
    check_words(entries.words, entries.where)
    check_rows(matrix_VD, entries.words, entries.where)
    if has_rest:
        raise DataError(
            f"{source.name} goes on behind its last vector",
            f"its header says {count:,}",
            hint="the header or the dimension in it is wrong: copy the file again; "
            "--repair reads the words behind it, as far as there are any",
        )
    return Table(Words.from_list(entries.words, name=source.name), matrix_VD, name=source.name)


def write(path: str | os.PathLike[str], table: Table) -> None:
    """Write a file.

    Raises:
        DataError: A word holds a space, or a vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = refuse_unfit(table, "word2vec's binary format", b" ")
    with atomic_file(Path(path), "wb") as file:
        file.write(b"%d %d\n" % (len(words), table.dimension))
        for start in range(0, len(words), _BLOCK_ROWS):
            rows = np.ascontiguousarray(table.matrix_VD[start : start + _BLOCK_ROWS], dtype="<f4")
            pairs = zip(words[start : start + _BLOCK_ROWS], rows, strict=True)
            file.write(b"".join(b"%b %b" % (word, row.tobytes()) for word, row in pairs))


def _no_word(entries: Entries, row: int, count: int) -> DataError:
    source = entries.source
    entries.refuse_numbers(has_rest=True)
    if entries.is_at_end():
        return source.cut_off(source.position, f"word {row + 1:,} of {count:,}", _CUT_OFF if row else _COPY)
    return entries.no_word()
