"""word2vec's binary format: a header line `words dimension`, then each word, a space, and its numbers as float32.

word2vec.c ends each entry with a newline, gensim does not; both are read, the second is written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rnnkit.embeddings.source import Source
from rnnkit.embeddings.spelling import check_rows, check_words, refuse_unfit
from rnnkit.embeddings.table import Table
from rnnkit.embeddings.word2vec_text import read_header
from rnnkit.embeddings.words import Words
from rnnkit.errors import DataError
from rnnkit.files.atomic import atomic_file

_LONGEST_WORD = 1 << 16
_BLOCK_ROWS = 4096


def read(source: Source) -> Table:
    """Read a file.

    Raises:
        DataError: It is malformed or cut off; the message names the byte.
    """
    count, dimension = read_header(source)
    if count * (4 * dimension + 2) > source.most:
        raise DataError(
            f"{source.name}:1: the header says {count:,} words of dimension {dimension:,}",
            "the file is too small for so many: it was cut off, or is of another kind",
            hint="copy the file again",
        )
    words: list[bytes] = []
    starts = np.empty(count, dtype=np.int64)
    matrix_VD = np.empty((count, dimension), dtype=np.float32)
    for row in range(count):
        starts[row] = source.position
        word = source.until(b" ", _LONGEST_WORD)
        if word is None:
            raise _no_word(source, row, count)
        words.append(word.removeprefix(b"\n"))
        numbers = source.exactly(4 * dimension, f"the vector of word {row + 1:,} of {count:,}")
        matrix_VD[row] = np.frombuffer(numbers, dtype="<f4")

    def where(row: int) -> str:
        return f"{source.name}: byte {starts[row]:,}"

    check_words(words, where)
    check_rows(matrix_VD, words, where)
    if source.read(2) not in (b"", b"\n"):
        raise DataError(
            f"{source.name} goes on behind its last vector",
            f"its header says {count:,}",
            hint="the header or the dimension in it is wrong: copy the file again",
        )
    return Table(Words.from_list(words, name=source.name), matrix_VD, name=source.name)


def write(path: Path, table: Table) -> None:
    """Write a file.

    Raises:
        DataError: A word holds a space, or a vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = refuse_unfit(table, "word2vec's binary format", b" ")
    with atomic_file(path, "wb") as file:
        file.write(b"%d %d\n" % (len(words), table.dimension))
        for start in range(0, len(words), _BLOCK_ROWS):
            rows = np.ascontiguousarray(table.matrix_VD[start : start + _BLOCK_ROWS], dtype="<f4")
            pairs = zip(words[start : start + _BLOCK_ROWS], rows, strict=True)
            file.write(b"".join(b"%b %b" % (word, row.tobytes()) for word, row in pairs))


def _no_word(source: Source, row: int, count: int) -> DataError:
    if not source.peek(_LONGEST_WORD + 1)[_LONGEST_WORD:]:
        return source.cut_off(source.position, f"word {row + 1:,} of {count:,}")
    return DataError(
        f"{source.name}: byte {source.position:,}: no word ends within {_LONGEST_WORD:,} bytes",
        "the header's dimension is wrong, or the file is of another kind",
    )
