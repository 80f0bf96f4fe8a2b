"""The text as numbers on the disk: parsed once, then read a slab at a time.

    text/  ids.npy       int32, the words of all files, numbered in the order in which they were first met
           segments.npy  int64: segment i is ids[segments[i]:segments[i + 1]]; a line, or a piece of a long one
           rows.npy      int32: the row of each number in the vocabulary, UNK for words that are too rare

Text of any size takes only the memory of its different words.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from rnnkit.data.aligned_data import SentenceDataset
from rnnkit.errors import DataError
from rnnkit.events import Listener, Progress
from rnnkit.io.npy import IntArray, NpyWriter, open_array
from rnnkit.kernels.word2vec_chunk import MAX_SEGMENT_WORDS
from rnnkit.kernels.word_hash_table import WordHashTable
from rnnkit.text import special_tokens
from rnnkit.text.blocks import ASCII_SPACES, read_word_blocks

IDS: Final = "ids.npy"
SEGMENTS: Final = "segments.npy"
ROWS: Final = "rows.npy"

_BLOCK = 1 << 17  # bytes or words: what is handled at a time


@dataclass(frozen=True)
class Corpus:
    """A text in numbers.

    Attributes:
        file: The file of the words, open: the folder may get another name while the text is read.
        ids: The words, mapped into memory. Whoever wants many of them takes `read`, which leaves no pages behind.
        segments: Where each segment begins, and where the last one ends; none is longer than LONGEST.
        rows: The row of each number in the vocabulary.
    """

    file: IO[bytes]
    ids: IntArray
    segments: IntArray
    rows: NDArray[np.int32]

    @property
    def tokens(self) -> int:
        """Words of the text, rare ones too."""
        return int(self.segments[-1])

    def counts(self, size: int) -> NDArray[np.int64]:
        """How often each row of a vocabulary of that size is met; the special symbols are no words."""
        counts = np.zeros(size, np.int64)
        for start in range(0, len(self.ids), _BLOCK):
            counts += np.bincount(self.rows[self.read(start, start + _BLOCK)], minlength=size)
        counts[: len(special_tokens.NAMES)] = 0
        return counts

    def slab(self, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Segments from `first` to before `last`: the row of each word, and where each segment begins among them."""
        bounds = np.asarray(self.segments[first : last + 1], np.int64)
        return self.rows[self.read(int(bounds[0]), int(bounds[-1]))], bounds - bounds[0]

    def read(self, start: int, stop: int) -> IntArray:
        """Words `start` to before `stop`, or the text's end."""
        number, size = self.file.fileno(), self.ids.itemsize
        before = os.fstat(number).st_size - self.ids.nbytes + start * size
        return np.frombuffer(os.pread(number, (stop - start) * size, before), self.ids.dtype)


@dataclass(frozen=True)
class WordCounts:
    """The different words of a text.

    Attributes:
        words: In UTF-8, the most frequent first, ties by their bytes, which is by code point.
        counts: Occurrences of each.
        numbers: The number of each in the text.
        different: Words in all, with those that are too rare.
    """

    words: Sequence[bytes]
    counts: NDArray[np.int64]
    numbers: NDArray[np.int64]
    distinct: int

    def rows(self, row_of: NDArray[np.int32]) -> NDArray[np.int32]:
        """For each number its row, `row_of` being the rows of `words`."""
        rows = np.full(self.distinct, special_tokens.UNK, np.int32)
        rows[self.numbers] = row_of
        return rows


def write_corpus(paths: Iterable[Path], folder: Path, min_count: int, listen: Listener) -> WordCounts:
    """Read text files and write their numbers, all but `rows.npy`.

    Args:
        paths: Text or token files; words stand between white space.
        folder: Where; it exists.
        min_count: Rarer words get no row.
        listen: Hears how far it is.

    Raises:
        DataError: A file cannot be read or is no text, or there is no word that is frequent enough.
    """
    table = WordHashTable(MAX_SEGMENT_WORDS, ASCII_SPACES)
    with ExitStack() as stack:
        ids = stack.enter_context(closing(NpyWriter(folder / IDS, np.int32)))
        segments = stack.enter_context(closing(NpyWriter(folder / SEGMENTS, np.int64)))
        segments.append(np.zeros(1, np.int64))
        for path in paths:
            for block in read_word_blocks(path, _BLOCK):
                numbers, ends = table.encode(block)
                segments.append(ends + ids.length)
                ids.append(numbers)
                listen(Progress("reading text", ids.length, None, "words", {"different": f"{len(table):,}"}))
            if table.end_segment():
                segments.append(np.array([ids.length]))
        listen(Progress("reading text", ids.length, None, "words", {"different": f"{len(table):,}"}, finished=True))
    return select_words(table.counts, table.word, min_count)


def select_words(counts: NDArray[np.int64], word: Callable[[int], bytes], min_count: int) -> WordCounts:
    """Order the words that are frequent enough.

    Args:
        counts: Occurrences by number.
        word: Gives the word of a number.
        min_count: Rarer ones are left out.

    Raises:
        DataError: None is left.
    """
    frequent = np.flatnonzero(counts >= max(1, min_count))
    ordered = sorted((-int(counts[number]), word(int(number)), int(number)) for number in frequent)
    if len(ordered) < 2:
        total, most = int(counts.sum()), int(counts.max(initial=0))
        if not total:
            raise DataError("the text is empty", "there are no words to learn from")
        if not ordered:
            raise DataError(
                f"all {len(counts):,} words are rarer than --min-count {min_count}",
                f"the most frequent one comes {'once' if most == 1 else f'{most:,} times'} among {total:,}",
                hint="give more text, or a lower --min-count",
            )
        raise DataError(
            f"only the word {ordered[0][1].decode()!r} comes --min-count {min_count} times or more",
            "a vector says how words differ; one word alone differs from nothing",
            hint="give more text, or a lower --min-count",
        )
    return WordCounts(
        words=[found for _, found, _ in ordered],
        counts=np.array([-count for count, _, _ in ordered], np.int64),
        numbers=np.array([number for _, _, number in ordered], np.int64),
        distinct=len(counts),
    )


def open_corpus(folder: str | os.PathLike[str]) -> Corpus:
    """Open what was written. Raises FormatError where a file is missing or damaged."""
    folder = Path(folder)
    ids, segments = open_array(folder / IDS, (np.int32,)), open_array(folder / SEGMENTS, (np.int64,))
    file = (folder / IDS).open("rb")
    return Corpus(file, ids, segments, np.asarray(open_array(folder / ROWS, (np.int32,)), np.int32))


def write_aligned_corpus(sentences: SentenceDataset, folder: Path, size: int) -> NDArray[np.int64]:
    """Write aligned sentences as text in numbers, all but `rows.npy`.

    Args:
        sentences: One side of one split.
        folder: Where; it exists.
        size: Rows of their vocabulary, which are the numbers.

    Returns:
        Occurrences of each number; the special symbols are no words and have none.
    """
    counts = np.zeros(size, np.int64)
    with (
        closing(NpyWriter(folder / IDS, np.int32)) as ids,
        closing(NpyWriter(folder / SEGMENTS, np.int64)) as ends,
    ):
        ends.append(_cut_segments(sentences.offsets))
        for start in range(0, len(sentences.ids), _BLOCK):
            block = np.asarray(sentences.ids[start : start + _BLOCK], np.int32)
            counts += np.bincount(block, minlength=size)
            ids.append(block)
    counts[: len(special_tokens.NAMES)] = 0
    return counts


def write_vocabulary_ids(folder: Path, rows: NDArray[np.int32]) -> None:
    """Write `rows.npy`."""
    with closing(NpyWriter(folder / ROWS, np.int32)) as file:
        file.append(rows)


def _cut_segments(offsets: IntArray) -> IntArray:
    """Offsets of sentences, with long sentences cut into segments."""
    lengths = np.diff(offsets)
    if lengths.max(initial=0) <= MAX_SEGMENT_WORDS:
        return offsets
    pieces = np.maximum(1, -(-lengths // MAX_SEGMENT_WORDS))
    starts = np.repeat(offsets[:-1], pieces)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.append(starts + within * MAX_SEGMENT_WORDS, offsets[-1])


_SCAN_WORDS = 1 << 17  # words that are looked at together


def check_trainable(corpus: Corpus, min_count: int) -> None:
    """Make sure that some line has two words with vectors, of which one can predict the other.

    Args:
        corpus: The text.
        min_count: Rarer words have no vector.

    Raises:
        DataError: No line has two words, or none has two with vectors.
    """
    if not any((lengths > 1).any() for lengths, _, _ in _segment_blocks(corpus)):
        raise DataError(
            "nothing can be learned: every line of the text is a single word",
            "a vector is learned from the words beside a word; they stand between white space",
            hint="text without spaces between words must be cut into tokens first: `rnnkit tokenize train.LANG --type "
            "unigram` (or bpe, chars); text with a word a line needs its sentences on one line each",
        )
    if not any(_has_pair(rows >= len(special_tokens.NAMES), bounds) for _, rows, bounds in _segment_blocks(corpus)):
        raise DataError(
            f"nothing can be learned: no line has two words that come --min-count {min_count} times or more",
            hint="give more text, or a lower --min-count",
        )


def _has_pair(kept: NDArray[np.bool_], bounds: NDArray[np.int64]) -> bool:
    """Whether two words of one segment are kept."""
    before = np.concatenate([[0], np.cumsum(kept)])
    return bool((np.diff(before[bounds]) > 1).any())


def _segment_blocks(corpus: Corpus) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]]:
    """Segments, many at a time: their lengths, the rows of their words, and where each begins among these."""
    first, segments = 0, len(corpus.segments) - 1
    while first < segments:
        end = int(corpus.segments[first]) + _SCAN_WORDS
        last = max(first + 1, int(np.searchsorted(corpus.segments, end, "right")) - 1)
        rows, bounds = corpus.slab(first, last)
        yield np.diff(bounds), rows, bounds
        first = last
