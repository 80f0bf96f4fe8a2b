"""fastText's model file `.bin`, version 12: words with their counts, and the rows of words and of n-gram buckets.

A word's row in the file is only its own part; its vector is the mean of that row and those of its n-grams. A
`VectorTable` has the mean, so reading composes it and writing decomposes it. The end-of-sentence symbol has no n-grams.
Limitation: quantized models (`.ftz`) are not supported.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.formats.vector_reader import BLOCK_BYTES, VectorReader
from rnnkit.embeddings.formats.word_validation import (
    check_vectors,
    check_words,
    check_writable,
    first_nonfinite_row,
    repair_words,
)
from rnnkit.embeddings.vector_table import Matrix, RowBuffer, Subwords, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import Repairs
from rnnkit.text import special_tokens

MAGIC: Final = (793712314).to_bytes(4, "little")
VERSION: Final = 12

MAX_NGRAM_CHARACTERS: Final = 100
"""Upper limit of n-gram lengths, which protects from damaged headers; models have 3 to 6."""

CUT_OFF: Final = "output matrices cut off"
NONFINITE_BUCKETS: Final = "n-gram rows with NaN or infinity"

_ARGUMENTS = struct.Struct("<12id")
_DICTIONARY = struct.Struct("<3i2q")
_ENTRY = struct.Struct("<qb")
_SHAPE = struct.Struct("<?2q")
_NEGATIVE_SAMPLING, _SKIP_GRAM = 2, 2
_NOT_PRUNED = -1
_MAX_WORD_BYTES = 1 << 16
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class FasttextHeader:
    """The header of a model file.

    Attributes:
        dimension: Dimension of the vectors.
        subwords: Which n-grams words have; None for whole words only.
        buckets: Rows after those of the words.
        words: Number of words.
        labels: Number of a classifier's labels, which follow the words.
    """

    dimension: int
    subwords: Subwords | None
    buckets: int
    words: int
    labels: int


def read(reader: VectorReader, repairs: Repairs | None = None) -> VectorTable:
    """Read a file.

    Args:
        reader: The file.
        repairs: Records what is repaired in an imperfect file; without it, such a file is an error.

    Raises:
        DataError: It is quantized, of another version, malformed or truncated.
    """
    header = read_header(reader)
    words, counts = _read_words(reader, header)
    matrix_VD, buckets_KD = _read_input(reader, header)
    _skip_output(reader, repairs)

    def locate(row: int) -> str:
        return f"{reader.name}: word {row + 1:,}"

    if repairs is None:
        check_words(words, locate)
        check_vectors(matrix_VD, words, locate)
        bucket = first_nonfinite_row(buckets_KD)
        if bucket is not None:
            raise DataError(
                f"{reader.name}: the vector of bucket {bucket:,} contains NaN or infinity",
                hint="--repair replaces it by zeros",
                path=reader.name,
            )
        spelled = words
    else:
        kept = repair_words(words, matrix_VD, locate, repairs, reader.name)
        words = [words[row] for row in kept.rows.tolist()]
        counts = [counts[row] for row in kept.rows.tolist()]
        spelled, matrix_VD = kept.words, kept.matrix_VD
        _clear_buckets(buckets_KD, reader.name, repairs)
    table = WordIndex.from_list(spelled, counts, reader.name)
    if header.subwords is None:
        return VectorTable(table, matrix_VD, name=reader.name)
    # N-grams come from the bytes in the file, even for repaired words, because fastText trained the rows with those.
    for block, sums, lengths in _ngram_sums(words, header.subwords, buckets_KD):
        matrix_VD[block] = (matrix_VD[block] + sums) / (1 + lengths)
    return VectorTable(table, matrix_VD, header.subwords, buckets_KD, name=reader.name)


def read_header(reader: VectorReader) -> FasttextHeader:
    """Read the header.

    Raises:
        DataError: The file is quantized, of another version, or truncated.
    """
    reader.read_exactly(len(MAGIC), "fastText's magic number")
    version = int.from_bytes(reader.read_exactly(4, "the version"), "little")
    if version != VERSION:
        raise DataError(
            f"{reader.name} has fastText's format version {version}",
            f"supported is version {VERSION}",
            path=reader.name,
        )
    arguments = _ARGUMENTS.unpack(reader.read_exactly(_ARGUMENTS.size, "the options"))
    dimension, buckets, min_length, max_length = arguments[0], *arguments[8:11]
    entries, words, labels, _, pruned = _DICTIONARY.unpack(reader.read_exactly(_DICTIONARY.size, "the dictionary"))
    if pruned != _NOT_PRUNED:
        raise _quantized_error(reader)
    if (
        dimension < 1
        or words < 1
        or labels < 0
        or buckets < 0
        or entries != words + labels
        or not reader.can_hold(13 * entries)
    ):
        raise DataError(
            f"{reader.name} is damaged",
            f"its header promises {words:,} words and {labels:,} labels, {entries:,} entries, dimension {dimension:,}",
            path=reader.name,
        )
    subwords = None
    if max_length > 0 and buckets > 0:
        if min_length < 0 or max_length > MAX_NGRAM_CHARACTERS:
            raise DataError(
                f"{reader.name} is damaged",
                f"its header promises n-grams of {min_length:,} to {max_length:,} characters; "
                f"the maximum is {MAX_NGRAM_CHARACTERS}",
                path=reader.name,
            )
        subwords = Subwords(min_length, max_length, buckets)
    return FasttextHeader(dimension, subwords, buckets, words, labels)


def write(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file.

    Raises:
        DataError: A word is empty.
        FormatError: A vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "a fastText model", b"")
    known = table.words.counts
    # A count of 0 would break fastText's table of noise words.
    counts = np.ones(len(words), dtype=np.int64) if known is None else np.maximum(known, 1)
    subwords = table.subwords
    min_length, max_length, buckets = (
        (subwords.min_length, subwords.max_length, subwords.buckets) if subwords else (0, 0, 0)
    )
    window, epochs, min_count, negatives, word_ngrams, update_rate, sample = 5, 5, 1, 5, 1, 100, 1e-4
    with atomic_file(Path(path), "wb") as file:
        file.write(MAGIC + VERSION.to_bytes(4, "little"))
        file.write(
            _ARGUMENTS.pack(
                table.dimension, window, epochs, min_count, negatives, word_ngrams, _NEGATIVE_SAMPLING, _SKIP_GRAM,
                buckets, min_length, max_length, update_rate, sample,
            )
        )  # fmt: skip
        file.write(_DICTIONARY.pack(len(words), len(words), 0, int(counts.sum()), _NOT_PRUNED))
        for word, count in zip(words, counts.tolist(), strict=True):
            file.write(word + b"\0" + _ENTRY.pack(count, 0))
        file.write(_SHAPE.pack(False, len(words) + buckets, table.dimension))
        _write_own_rows(file, table)
        if table.buckets_KD is not None:
            _write_matrix(file, table.buckets_KD)
        outputs_VD = table.contexts_VD if table.contexts_VD is not None else table.matrix_VD[:0]
        file.write(_SHAPE.pack(False, len(outputs_VD), table.dimension))
        _write_matrix(file, outputs_VD)


def _read_words(reader: VectorReader, header: FasttextHeader) -> tuple[list[bytes], list[int]]:
    """Read the words with their counts, and skip labels."""
    words: list[bytes] = []
    counts: list[int] = []
    for entry in range(header.words + header.labels):
        what = f"word {entry + 1:,} of {header.words:,}"
        word = reader.read_until(b"\0", _MAX_WORD_BYTES)
        if word is None:
            raise reader.truncated(reader.position, what)
        count, is_label = _ENTRY.unpack(reader.read_exactly(_ENTRY.size, what))
        if bool(is_label) != (entry >= header.words):
            raise DataError(f"{reader.name} is damaged", f"{what} is marked as kind {is_label}", path=reader.name)
        if not is_label:
            words.append(word)
            counts.append(count)
    return words, counts


def _read_input(reader: VectorReader, header: FasttextHeader) -> tuple[Matrix, Matrix]:
    """Read the rows of words and of buckets."""
    rows, columns = _read_shape(reader, "the input matrix")
    if (rows, columns) != (header.words + header.buckets, header.dimension):
        expected = f"{header.words + header.buckets:,} x {header.dimension:,}"
        raise DataError(
            f"{reader.name} is damaged",
            f"its input matrix is {rows:,} x {columns:,}, expected {expected} from its header",
            path=reader.name,
        )
    return (
        _read_matrix(reader, header.words, columns, "the rows of the words"),
        _read_matrix(reader, header.buckets, columns, "the rows of the n-grams"),
    )


def _read_shape(reader: VectorReader, what: str) -> tuple[int, int]:
    is_quantized, rows, columns = _SHAPE.unpack(reader.read_exactly(_SHAPE.size, what))
    if is_quantized:
        raise _quantized_error(reader)
    if rows < 0 or columns < 0 or not reader.can_hold(reader.position + 4 * rows * columns):
        raise DataError(
            f"{reader.name} is truncated",
            f"{what} would be {rows:,} x {columns:,}",
            hint="copy the file again",
            path=reader.name,
        )
    return rows, columns


def _skip_output(reader: VectorReader, repairs: Repairs | None) -> None:
    """Skip the output matrix, which only training needs."""
    start = reader.position
    try:
        rows, columns = _read_shape(reader, "the output matrix")
        reader.skip(4 * rows * columns, "the output matrix")
    except DataError as error:
        if repairs is None:
            raise DataError(
                error.what,
                *error.details,
                hint=f"{error.hint}; --repair reads the vectors, which precede it",
                path=reader.name,
            ) from error
        repairs.add(CUT_OFF, f"{reader.name}: byte {start:,}", "the output matrix was skipped")


def _read_matrix(reader: VectorReader, rows: int, columns: int, what: str) -> Matrix:
    gathered = RowBuffer(columns)
    step = max(1, min(_BLOCK_ROWS, BLOCK_BYTES // (4 * columns)))
    for start in range(0, rows, step):
        count = min(step, rows - start)
        block = np.frombuffer(reader.read_exactly(4 * count * columns, what), dtype="<f4")
        gathered.append(block.reshape(count, columns))
    return gathered.take()


def _clear_buckets(buckets_KD: Matrix, name: str, repairs: Repairs) -> None:
    """Replace rows of n-grams that contain NaN or infinity by zeros."""
    for start in range(0, len(buckets_KD), _BLOCK_ROWS):
        block = buckets_KD[start : start + _BLOCK_ROWS]
        for row in np.flatnonzero(~np.isfinite(block).all(axis=1)).tolist():
            block[row] = 0
            repairs.add(NONFINITE_BUCKETS, f"{name}: bucket {start + row:,}", "its vector was replaced by zeros")


def _ngram_sums(
    words: Sequence[bytes], subwords: Subwords, buckets_KD: Matrix
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.int64]]]:
    """Yield blocks of words: a slice, the sums (N, D) of their n-grams' rows, and the number (N, 1) of n-grams."""
    sentence_end = special_tokens.NAMES[special_tokens.EOS].encode()
    for start in range(0, len(words), _BLOCK_ROWS):
        block = slice(start, min(start + _BLOCK_ROWS, len(words)))
        starts, rows = subwords.table(words[block])
        lengths = np.diff(starts)
        sums = np.zeros((len(lengths), buckets_KD.shape[1]))
        if len(rows):
            sums[lengths > 0] = np.add.reduceat(buckets_KD[rows], starts[:-1][lengths > 0], axis=0, dtype=np.float64)
        for i, word in enumerate(words[block]):
            if word == sentence_end:
                sums[i] = lengths[i] = 0
        yield block, sums, lengths[:, None]


def _write_own_rows(file: IO[bytes], table: VectorTable) -> None:
    """Write the words' own rows: (n + 1) times the mean, minus the rows of the n n-grams."""
    if table.subwords is None or table.buckets_KD is None:
        _write_matrix(file, table.matrix_VD)
        return
    for block, sums, lengths in _ngram_sums(table.words.encoded(), table.subwords, table.buckets_KD):
        file.write((table.matrix_VD[block] * (1.0 + lengths) - sums).astype("<f4").tobytes())


def _write_matrix(file: IO[bytes], matrix: Matrix) -> None:
    for start in range(0, len(matrix), _BLOCK_ROWS):
        file.write(matrix[start : start + _BLOCK_ROWS].astype("<f4").tobytes())


def _quantized_error(reader: VectorReader) -> DataError:
    return DataError(
        f"{reader.name} is a quantized fastText model",
        "its vectors are compressed and cannot be recovered",
        hint="use the model's .bin file",
        path=reader.name,
    )
