"""GloVe's text format: a row per word, without a header."""

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
"""Lowest dimension: a word and one number could be a row of a frequency list, or word2vec's header."""

_BOM = b"\xef\xbb\xbf"


def read(reader: VectorReader, repairs: Repairs | None = None) -> VectorTable:
    """Read a file; the first row determines the dimension.

    Args:
        reader: The file.
        repairs: Records what is repaired in an imperfect file; without it, such a file is an error.

    Raises:
        DataError: The file is malformed.
    """
    if repairs is not None:
        return text_repair.read(reader, repairs, header=False)
    if reader.peek(len(_BOM)) == _BOM:
        reader.read(len(_BOM))
    words, matrix_VD = read_rows(reader, count_numbers(reader.peek(BLOCK_BYTES)), first_line=1)
    return VectorTable(WordIndex.from_list(words, name=reader.name), matrix_VD, name=reader.name)


def write(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file.

    Raises:
        DataError: A word contains a space, a vector is not finite, or the first row is ambiguous.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "GloVe text", b" ")
    if table.dimension < MIN_DIMENSION:
        raise DataError(
            "vectors of dimension 1 cannot be written as GloVe text",
            "a row of a word and one number would look like word2vec's header",
            hint="use --to word2vec, which has a header",
        )
    if words and words[0].startswith(_BOM):
        raise DataError(
            f"{table.words[0]!r} cannot be the first word of GloVe text", "readers drop a byte order mark at the start"
        )
    with atomic_file(Path(path), "wb") as file:
        write_rows(file, words, table.matrix_VD)
