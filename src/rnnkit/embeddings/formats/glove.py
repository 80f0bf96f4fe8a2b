"""GloVe's text format: a row for each word and nothing before the first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from rnnkit.embeddings.formats import text_repair
from rnnkit.embeddings.formats.text_rows import count_numbers, read_rows, write_rows
from rnnkit.embeddings.formats.vector_reader import BLOCK_BYTES, VectorReader
from rnnkit.embeddings.formats.word_validation import check_writable
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import Repairs

MIN_DIMENSION: Final = 2
"""A word and one number is a row of a table of counts, or word2vec's header."""

_BOM = b"\xef\xbb\xbf"


def read(source: VectorReader, repairs: Repairs | None = None) -> VectorTable:
    """Read a file; the first row says how many numbers each must have.

    Args:
        source: The file.
        repairs: Takes the record where an imperfect file is read; without it, such a file is an error.

    Raises:
        DataError: It is malformed; the message names the line.
    """
    if repairs is not None:
        return text_repair.read(source, repairs, header=False)
    if source.peek(len(_BOM)) == _BOM:
        source.read(len(_BOM))
    words, matrix_VD = read_rows(source, count_numbers(source.peek(BLOCK_BYTES)), first_line=1)
    return VectorTable(WordIndex.from_list(words, name=source.name), matrix_VD, name=source.name)


def write(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file.

    Raises:
        DataError: A word holds a space, a vector is not finite, or the first row would be taken for something else.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "GloVe's text", b" ")
    if table.dimension < MIN_DIMENSION:
        raise DataError(
            "vectors of one number cannot be written as GloVe's text",
            "a row of a word and one number would look like word2vec's header",
            hint="--to word2vec has a header",
        )
    if words and words[0].startswith(_BOM):
        raise DataError(f"{table.words[0]!r} cannot be the first word of GloVe's text", "a byte order mark is dropped")
    with atomic_file(Path(path), "wb") as file:
        write_rows(file, words, table.matrix_VD)
