"""fastText's model file `.bin`, version 12: words with their counts, and the rows of words and of n-grams.

A row of a word there is the word's own part; what people use is the mean of it and of its n-grams' rows. A vectors
directory holds the mean, so reading composes it and writing takes it apart again. The end-of-sentence symbol has no
n-grams there. Quantised models (`.ftz`) are not read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.formats.vector_reader import BLOCK_BYTES, VectorReader
from rnnkit.embeddings.formats.word_repair import repair_words
from rnnkit.embeddings.formats.word_validation import check_vectors, check_words, check_writable, first_nonfinite_row
from rnnkit.embeddings.vector_table import Matrix, RowBuffer, VectorTable
from rnnkit.embeddings.word_index import WordIndex
from rnnkit.errors import DataError
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import Repairs
from rnnkit.text import special_tokens

if TYPE_CHECKING:
    from rnnkit.embeddings.subword_ngrams import Subwords

MAGIC: Final = (793712314).to_bytes(4, "little")
VERSION: Final = 12

MAX_NGRAM_CHARACTERS: Final = 100
"""Characters of an n-gram at most; models have three to six."""

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
    """What stands before the words.

    Attributes:
        dimension: Numbers a vector.
        subwords: How words are cut; None where the model has whole words only.
        buckets: Rows behind those of the words.
        words: Number of words.
        labels: Entries behind the words; a classifier's.
    """

    dimension: int
    subwords: Subwords | None
    buckets: int
    words: int
    labels: int


def read(source: VectorReader, repairs: Repairs | None = None) -> VectorTable:
    """Read a file.

    Args:
        source: The file.
        repairs: Takes the record where an imperfect file is read; without it, such a file is an error.

    Raises:
        DataError: It is quantised, of another version, malformed or cut off.
    """
    header = read_header(source)
    words, counts = _read_words(source, header)
    matrix_VD, buckets_KD = _read_input(source, header)
    _skip_output(source, repairs)

    def where(row: int) -> str:
        return f"{source.name}: word {row + 1:,}"

    if repairs is None:
        check_words(words, where)
        check_vectors(matrix_VD, words, where)
        unfit = first_nonfinite_row(buckets_KD)
        if unfit is not None:
            raise DataError(
                f"{source.name}: the vector of bucket {unfit:,} holds NaN or infinity",
                hint="--repair puts zeros in its place",
            )
        spelled = words
    else:
        kept = repair_words(words, matrix_VD, where, repairs, source.name)
        words = [words[row] for row in kept.rows.tolist()]
        counts = [counts[row] for row in kept.rows.tolist()]
        spelled, matrix_VD = kept.words, kept.matrix_VD
        _clear_buckets(buckets_KD, source.name, repairs)
    table = WordIndex.from_list(spelled, counts, source.name)
    if header.subwords is None:
        return VectorTable(table, matrix_VD, name=source.name)
    # N-grams are those of the bytes in the file, whatever the word's spelling is: fastText made the rows with them.
    for block, sums, lengths in _ngram_sums(words, header.subwords, buckets_KD):
        matrix_VD[block] = (matrix_VD[block] + sums) / (1 + lengths)
    return VectorTable(table, matrix_VD, header.subwords, buckets_KD, name=source.name)


def read_header(source: VectorReader) -> FasttextHeader:
    """Read what stands before the words.

    Raises:
        DataError: The file is quantised, of another version, or cut off.
    """
    source.exactly(len(MAGIC), "fastText's mark")
    version = int.from_bytes(source.exactly(4, "the version"), "little")
    if version != VERSION:
        raise DataError(f"{source.name} is of fastText's version {version}", f"version {VERSION} is read")
    arguments = _ARGUMENTS.unpack(source.exactly(_ARGUMENTS.size, "the options"))
    dimension, buckets, shortest, longest = arguments[0], *arguments[8:11]
    entries, words, labels, _, pruned = _DICTIONARY.unpack(source.exactly(_DICTIONARY.size, "the dictionary"))
    if pruned != _NOT_PRUNED:
        raise _quantized_error(source)
    if (
        dimension < 1
        or words < 1
        or labels < 0
        or buckets < 0
        or entries != words + labels
        or not source.can_hold(13 * entries)
    ):
        raise DataError(
            f"{source.name} is damaged",
            f"its header says {words:,} words and {labels:,} labels, {entries:,} entries, of dimension {dimension:,}",
        )
    subwords = None
    if longest > 0 and buckets > 0:
        if shortest < 0 or longest > MAX_NGRAM_CHARACTERS:
            raise DataError(
                f"{source.name} is damaged",
                f"its header says n-grams of {shortest:,} to {longest:,} characters; "
                f"{MAX_NGRAM_CHARACTERS} is the most",
            )
        from rnnkit.embeddings.subword_ngrams import Subwords  # with its compiler: only those wait who need it

        subwords = Subwords(shortest, longest, buckets)
    return FasttextHeader(dimension, subwords, buckets, words, labels)


def write(path: str | os.PathLike[str], table: VectorTable) -> None:
    """Write a file.

    Raises:
        DataError: A word is empty, or a vector is not finite.
        ArtefactError: The file cannot be written.
    """
    words = check_writable(table, "fastText's model file", b"")
    known = table.words.counts
    # A count of 0 would break the table that fastText draws its noise from.
    counts = np.ones(len(words), dtype=np.int64) if known is None else np.maximum(known, 1)
    cut = table.subwords
    shortest, longest, buckets = (cut.min_length, cut.max_length, cut.buckets) if cut else (0, 0, 0)
    window, epochs, min_count, negatives, word_ngrams, update_rate, sample = 5, 5, 1, 5, 1, 100, 1e-4
    with atomic_file(Path(path), "wb") as file:
        file.write(MAGIC + VERSION.to_bytes(4, "little"))
        file.write(
            _ARGUMENTS.pack(
                table.dimension, window, epochs, min_count, negatives, word_ngrams, _NEGATIVE_SAMPLING, _SKIP_GRAM,
                buckets, shortest, longest, update_rate, sample,
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


def _read_words(source: VectorReader, header: FasttextHeader) -> tuple[list[bytes], list[int]]:
    """The words with their counts; labels are passed over."""
    words: list[bytes] = []
    counts: list[int] = []
    for entry in range(header.words + header.labels):
        what = f"word {entry + 1:,} of {header.words:,}"
        word = source.until(b"\0", _MAX_WORD_BYTES)
        if word is None:
            raise source.cut_off(source.position, what)
        count, is_label = _ENTRY.unpack(source.exactly(_ENTRY.size, what))
        if bool(is_label) != (entry >= header.words):
            raise DataError(f"{source.name} is damaged", f"{what} is marked as of kind {is_label}")
        if not is_label:
            words.append(word)
            counts.append(count)
    return words, counts


def _read_input(source: VectorReader, header: FasttextHeader) -> tuple[Matrix, Matrix]:
    """The rows of words and of buckets."""
    rows, columns = _read_shape(source, "the input matrix")
    if (rows, columns) != (header.words + header.buckets, header.dimension):
        wanted = f"{header.words + header.buckets:,} x {header.dimension:,}"
        raise DataError(
            f"{source.name} is damaged", f"its input matrix is {rows:,} x {columns:,}, {wanted} follows from its header"
        )
    return (
        _read_matrix(source, header.words, columns, "the words' rows"),
        _read_matrix(source, header.buckets, columns, "the n-grams' rows"),
    )


def _read_shape(source: VectorReader, what: str) -> tuple[int, int]:
    quantised, rows, columns = _SHAPE.unpack(source.exactly(_SHAPE.size, what))
    if quantised:
        raise _quantized_error(source)
    if rows < 0 or columns < 0 or not source.can_hold(source.position + 4 * rows * columns):
        raise DataError(
            f"{source.name} is cut off", f"{what} would be {rows:,} x {columns:,}", hint="copy the file again"
        )
    return rows, columns


def _skip_output(source: VectorReader, repairs: Repairs | None) -> None:
    """Pass over the output matrix, which is needed for training alone."""
    start = source.position
    try:
        rows, columns = _read_shape(source, "the output matrix")
        source.skip(4 * rows * columns, "the output matrix")
    except DataError as error:
        if repairs is None:
            raise DataError(
                error.what, *error.details, hint=f"{error.hint}; --repair reads the vectors, which are before it"
            ) from error
        repairs.add(CUT_OFF, f"{source.name}: byte {start:,}", "the output matrix was skipped")


def _read_matrix(source: VectorReader, rows: int, columns: int, what: str) -> Matrix:
    gathered = RowBuffer(columns)
    step = max(1, min(_BLOCK_ROWS, BLOCK_BYTES // (4 * columns)))
    for start in range(0, rows, step):
        count = min(step, rows - start)
        block = np.frombuffer(source.exactly(4 * count * columns, what), dtype="<f4")
        gathered.append(block.reshape(count, columns))
    return gathered.take()


def _clear_buckets(buckets_KD: Matrix, name: str, repairs: Repairs) -> None:
    """Put zeros in the place of n-grams' rows that hold NaN or infinity."""
    for start in range(0, len(buckets_KD), _BLOCK_ROWS):
        block = buckets_KD[start : start + _BLOCK_ROWS]
        for row in np.flatnonzero(~np.isfinite(block).all(axis=1)).tolist():
            block[row] = 0
            repairs.add(NONFINITE_BUCKETS, f"{name}: bucket {start + row:,}", "its vector was replaced by zeros")


def _ngram_sums(
    words: Sequence[bytes], subwords: Subwords, buckets_KD: Matrix
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.int64]]]:
    """Blocks of words: their places, the sums (N, D) of their n-grams' rows, and the numbers (N, 1) of n-grams."""
    sentence_end = special_tokens.NAMES[special_tokens.EOS].encode()
    for start in range(0, len(words), _BLOCK_ROWS):
        block = slice(start, min(start + _BLOCK_ROWS, len(words)))
        starts, rows = subwords.table(words[block])
        lengths = np.diff(starts)
        sums = np.zeros((len(lengths), buckets_KD.shape[1]))
        if len(rows):
            sums[lengths > 0] = np.add.reduceat(buckets_KD[rows], starts[:-1][lengths > 0], axis=0, dtype=np.float64)
        for place, word in enumerate(words[block]):
            if word == sentence_end:
                sums[place] = lengths[place] = 0
        yield block, sums, lengths[:, None]


def _write_own_rows(file: IO[bytes], table: VectorTable) -> None:
    """The words' own parts: the mean of n + 1 rows, times n + 1, less the n of the n-grams."""
    if table.subwords is None or table.buckets_KD is None:
        _write_matrix(file, table.matrix_VD)
        return
    for block, sums, lengths in _ngram_sums(table.words.encoded(), table.subwords, table.buckets_KD):
        file.write((table.matrix_VD[block] * (1.0 + lengths) - sums).astype("<f4").tobytes())


def _write_matrix(file: IO[bytes], matrix: NDArray[Any]) -> None:
    for start in range(0, len(matrix), _BLOCK_ROWS):
        file.write(matrix[start : start + _BLOCK_ROWS].astype("<f4").tobytes())


def _quantized_error(source: VectorReader) -> DataError:
    return DataError(
        f"{source.name} is a quantised fastText model",
        "its vectors are compressed, and cannot be had back",
        hint="use the model's .bin file",
    )
