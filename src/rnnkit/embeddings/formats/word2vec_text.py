"""word2vec's text format, also used by fastText's `.vec`: a header `words dimension`, then a row per word."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from rnnkit.embeddings.formats import text_repair
from rnnkit.embeddings.formats.text_rows import read_rows, write_rows
from rnnkit.embeddings.formats.vector_reader import VectorReader
from rnnkit.embeddings.formats.word_validation import check_writable
from rnnkit.embeddings.vector_table import VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import Repairs

HEADER_PATTERN: Final = re.compile(rb"(?:\xef\xbb\xbf)?(\d{1,18}) (\d{1,9})[ \r]*")
_MAX_HEADER_BYTES = 64


def read(reader: VectorReader, repairs: Repairs | None = None) -> VectorTable:
    """Read a file.

    Args:
        reader: The file.
        repairs: Records what is repaired in an imperfect file; without it, such a file is an error.

    Raises:
        DataError: The file is malformed.
    """
    if repairs is not None:
        return text_repair.read(reader, repairs, header=True)
    count, dimension = read_header(reader)
    words, matrix_VD = read_rows(reader, dimension, first_line=2, max_rows=count)
    if len(words) < count:
        raise DataError(
            f"{reader.name} has {len(words):,} words, its header promises {count:,}",
            "the file is truncated, or the header is wrong",
            hint="copy the file again, or correct the header's first number if the rows are right"
            + ("; --repair reads them as they are" if words else ""),
            path=reader.name,
        )
    return VectorTable(WordIndex.from_list(words, name=reader.name), matrix_VD, name=reader.name)


def read_header(reader: VectorReader) -> tuple[int, int]:
    """Read the number of words and the dimension from the first line.

    Raises:
        DataError: The line is not a header, or one of the numbers is 0.
    """
    found = HEADER_PATTERN.fullmatch(reader.read_until(b"\n", _MAX_HEADER_BYTES) or b"")
    if found is None:
        raise DataError(f"{reader.name}:1: no header", "expected `words dimension`", path=reader.name, line=1)
    count, dimension = int(found[1]), int(found[2])
    if not count or not dimension:
        raise DataError(
            f"{reader.name}:1: the header promises {count} words of dimension {dimension}", path=reader.name, line=1
        )
    return count, dimension


def write(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file.

    Raises:
        DataError: A word contains a space, or a vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "text", b" ")
    with atomic_file(Path(path), "wb") as file:
        file.write(b"%d %d\n" % (len(words), table.dimension))
        write_rows(file, words, table.matrix_VD)
