"""word2vec's text format, which is also fastText's `.vec`: a header `words dimension`, then a row for each word."""

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
_LONGEST_HEADER = 64


def read(source: VectorReader, repairs: Repairs | None = None) -> VectorTable:
    """Read a file.

    Args:
        source: The file.
        repairs: Takes the record where an imperfect file is read; without it, such a file is an error.

    Raises:
        DataError: It is malformed; the message names the line.
    """
    if repairs is not None:
        return text_repair.read(source, repairs, header=True)
    count, dimension = read_header(source)
    words, matrix_VD = read_rows(source, dimension, first_line=2, most=count)
    if len(words) < count:
        raise DataError(
            f"{source.name} has {len(words):,} words, its header says {count:,}",
            "it was cut off, or the header is wrong",
            hint="copy the file again, or mend the header's first number if the rows are right"
            + ("; --repair reads them as they are" if words else ""),
        )
    return VectorTable(WordIndex.from_list(words, name=source.name), matrix_VD, name=source.name)


def read_header(source: VectorReader) -> tuple[int, int]:
    """The number of words and of numbers a vector, from the first line.

    Raises:
        DataError: One of them is 0, or there is no such line.
    """
    found = HEADER_PATTERN.fullmatch(source.until(b"\n", _LONGEST_HEADER) or b"")
    if found is None:
        raise DataError(f"{source.name}:1: no header", "the first line is `words dimension`")
    count, dimension = int(found[1]), int(found[2])
    if not count or not dimension:
        raise DataError(f"{source.name}:1: the header says {count} words of dimension {dimension}: there is nothing")
    return count, dimension


def write(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file.

    Raises:
        DataError: A word holds a space, or a vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "text", b" ")
    with atomic_file(Path(path), "wb") as file:
        file.write(b"%d %d\n" % (len(words), table.dimension))
        write_rows(file, words, table.matrix_VD)
