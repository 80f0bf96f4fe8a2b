"""The training text as ids on disk: parsed once, then read in batches.

    text/  ids.npy       int32, a corpus id for each word of all files: ids are numbered in order of first occurrence
           segments.npy  int64: segment i is ids[segments[i]:segments[i + 1]]; a line, or part of a long one
           rows.npy      int32: the vocabulary id of each corpus id, UNK for rare words

Memory grows with the number of distinct words only, not with the length of the text.
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
from rnnkit.kernels.word_hashing import WordHashTable
from rnnkit.text import special_tokens
from rnnkit.text.blocks import ASCII_SPACES, read_word_blocks

IDS: Final = "ids.npy"
SEGMENTS: Final = "segments.npy"
ROWS: Final = "rows.npy"

_BLOCK = 1 << 17  # bytes or words that are processed at a time

_SPECIALS = len(special_tokens.NAMES)


@dataclass(frozen=True)
class Corpus:
    """A text as ids.

    Attributes:
        file: The open file of the ids, which stays readable when the directory is renamed.
        ids: Corpus ids, memory-mapped. `read` avoids filling memory with mapped pages.
        segments: Start of each segment, and the end of the last one; none is longer than MAX_SEGMENT_WORDS.
        rows: The vocabulary id of each corpus id.
    """

    file: IO[bytes]
    ids: IntArray
    segments: IntArray
    rows: NDArray[np.int32]

    @property
    def tokens(self) -> int:
        """Number of words in the text, rare ones included."""
        return int(self.segments[-1])

    def counts(self, size: int) -> NDArray[np.int64]:
        """Count the occurrences of each id of a vocabulary of `size` ids; 0 for special symbols."""
        counts = np.zeros(size, np.int64)
        for start in range(0, len(self.ids), _BLOCK):
            counts += np.bincount(self.rows[self.read(start, start + _BLOCK)], minlength=size)
        counts[:_SPECIALS] = 0
        return counts

    def read_segments(self, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Read segments `first` to `last` - 1: vocabulary ids, and where each segment begins among them."""
        bounds = np.asarray(self.segments[first : last + 1], np.int64)
        return self.rows[self.read(int(bounds[0]), int(bounds[-1]))], bounds - bounds[0]

    def read(self, start: int, stop: int) -> IntArray:
        """Read the corpus ids of words `start` to `stop` - 1, or to the end of the text."""
        descriptor, size = self.file.fileno(), self.ids.itemsize
        offset = os.fstat(descriptor).st_size - self.ids.nbytes + start * size
        return np.frombuffer(os.pread(descriptor, (stop - start) * size, offset), self.ids.dtype)


@dataclass(frozen=True)
class WordCounts:
    """The distinct words of a text that are frequent enough.

    Attributes:
        words: In UTF-8, by descending frequency; ties in the order of their bytes, which is by code point.
        counts: Occurrences of each.
        corpus_ids: The corpus id of each.
        distinct: Number of distinct words, rare ones included.
    """

    words: Sequence[bytes]
    counts: NDArray[np.int64]
    corpus_ids: NDArray[np.int64]
    distinct: int

    def vocabulary_ids(self, id_of_word: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the vocabulary id of each corpus id, given those of `words`."""
        ids = np.full(self.distinct, special_tokens.UNK, np.int32)
        ids[self.corpus_ids] = id_of_word
        return ids


def write_corpus(paths: Iterable[Path], folder: Path, min_count: int, listen: Listener) -> WordCounts:
    """Read text files and write all files of a corpus but `rows.npy`.

    Args:
        paths: Text or token files; words are separated by white space.
        folder: An existing directory.
        min_count: Minimum frequency of words in the vocabulary.
        listen: Receives progress events.

    Raises:
        DataError: A file cannot be read or is not text, or too few words are frequent enough.
    """
    table = WordHashTable(MAX_SEGMENT_WORDS, ASCII_SPACES)
    with ExitStack() as stack:
        ids = stack.enter_context(closing(NpyWriter(folder / IDS, np.int32)))
        segments = stack.enter_context(closing(NpyWriter(folder / SEGMENTS, np.int64)))
        segments.append(np.zeros(1, np.int64))
        for path in paths:
            for block in read_word_blocks(path, _BLOCK):
                block_ids, ends = table.encode(block)
                segments.append(ends + ids.length)
                ids.append(block_ids)
                listen(Progress("reading text", ids.length, None, "words", {"different": f"{len(table):,}"}))
            if table.end_segment():
                segments.append(np.array([ids.length]))
        listen(Progress("reading text", ids.length, None, "words", {"different": f"{len(table):,}"}, finished=True))
    return select_words(table.counts, table.word, min_count)


def select_words(counts: NDArray[np.int64], word: Callable[[int], bytes], min_count: int) -> WordCounts:
    """Select the words that are frequent enough, by descending frequency.

    Args:
        counts: Occurrences by corpus id.
        word: Maps a corpus id to its word.
        min_count: Minimum frequency.

    Raises:
        DataError: Fewer than two words are left.
    """
    frequent = np.flatnonzero(counts >= max(1, min_count))
    ordered = sorted((-int(counts[id]), word(int(id)), int(id)) for id in frequent)
    if len(ordered) < 2:
        raise _too_few_words(counts, [found for _, found, _ in ordered], min_count)
    return WordCounts(
        words=[found for _, found, _ in ordered],
        counts=np.array([-count for count, _, _ in ordered], np.int64),
        corpus_ids=np.array([id for _, _, id in ordered], np.int64),
        distinct=len(counts),
    )


def _too_few_words(counts: NDArray[np.int64], frequent: Sequence[bytes], min_count: int) -> DataError:
    total, most = int(counts.sum()), int(counts.max(initial=0))
    if not total:
        return DataError("the text is empty", "it contains no words to train on")
    hint = "use more text, or a lower --min-count"
    if not frequent:
        return DataError(
            f"all {len(counts):,} words are rarer than --min-count {min_count}",
            f"the most frequent one occurs {'once' if most == 1 else f'{most:,} times'} among {total:,} words",
            hint=hint,
            option="--min-count",
        )
    return DataError(
        f"only one word, {frequent[0].decode()!r}, occurs at least --min-count {min_count} times",
        "training needs at least two distinct words",
        hint=hint,
        option="--min-count",
    )


def write_aligned_corpus(sentences: SentenceDataset, folder: Path, size: int) -> NDArray[np.int64]:
    """Write aligned sentences as a corpus, all files but `rows.npy`.

    Args:
        sentences: One side of one split.
        folder: An existing directory.
        size: Number of ids of their vocabulary, which become the corpus ids.

    Returns:
        Occurrences of each id; 0 for special symbols.
    """
    counts = np.zeros(size, np.int64)
    with (
        closing(NpyWriter(folder / IDS, np.int32)) as ids,
        closing(NpyWriter(folder / SEGMENTS, np.int64)) as segments,
    ):
        segments.append(_split_long_segments(sentences.offsets))
        for start in range(0, len(sentences.ids), _BLOCK):
            block = np.asarray(sentences.ids[start : start + _BLOCK], np.int32)
            counts += np.bincount(block, minlength=size)
            ids.append(block)
    counts[:_SPECIALS] = 0
    return counts


def write_vocabulary_ids(folder: Path, ids: NDArray[np.int32]) -> None:
    """Write `rows.npy`, the vocabulary id of each corpus id."""
    with closing(NpyWriter(folder / ROWS, np.int32)) as file:
        file.append(ids)


def open_corpus(folder: str | os.PathLike[str]) -> Corpus:
    """Open a corpus.

    Raises:
        FormatError: A file is missing or damaged.
    """
    folder = Path(folder)
    ids, segments = open_array(folder / IDS, (np.int32,)), open_array(folder / SEGMENTS, (np.int64,))
    file = (folder / IDS).open("rb")
    return Corpus(file, ids, segments, np.asarray(open_array(folder / ROWS, (np.int32,)), np.int32))


def check_trainable(corpus: Corpus, min_count: int) -> None:
    """Check that some segment has two words of the vocabulary, so that one can predict the other.

    Args:
        corpus: The text.
        min_count: Minimum frequency of words in the vocabulary, for messages.

    Raises:
        DataError: No segment has two words, or none has two words of the vocabulary.
    """
    if not any((lengths > 1).any() for lengths, _, _ in _segment_blocks(corpus)):
        raise DataError(
            "the text cannot train word vectors: every line is a single word",
            "a word is trained to predict the other words of its line; words are separated by white space",
            hint="tokenize text without spaces between words first: `rnnkit tokenize train.LANG --type unigram` "
            "(or bpe, chars); put sentences on one line each if there is one word per line",
        )
    if not any(_has_pair(ids >= _SPECIALS, bounds) for _, ids, bounds in _segment_blocks(corpus)):
        raise DataError(
            f"the text cannot train word vectors: no line has two words that occur at least --min-count {min_count} "
            "times",
            hint="use more text, or a lower --min-count",
            option="--min-count",
        )


def _has_pair(is_kept: NDArray[np.bool_], bounds: NDArray[np.int64]) -> bool:
    """Return whether some segment has two words that are kept."""
    kept_before = np.concatenate([[0], np.cumsum(is_kept)])
    return bool((np.diff(kept_before[bounds]) > 1).any())


def _segment_blocks(corpus: Corpus) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]]:
    """Yield blocks of segments: their lengths, their vocabulary ids, and where each segment begins among these."""
    first, segments = 0, len(corpus.segments) - 1
    while first < segments:
        end = int(corpus.segments[first]) + _BLOCK
        last = max(first + 1, int(np.searchsorted(corpus.segments, end, "right")) - 1)
        ids, bounds = corpus.read_segments(first, last)
        yield np.diff(bounds), ids, bounds
        first = last


def _split_long_segments(offsets: IntArray) -> IntArray:
    """Return the offsets of sentences, with long sentences split into segments."""
    lengths = np.diff(offsets)
    if lengths.max(initial=0) <= MAX_SEGMENT_WORDS:
        return offsets
    pieces = np.maximum(1, -(-lengths // MAX_SEGMENT_WORDS))
    starts = np.repeat(offsets[:-1], pieces)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.append(starts + within * MAX_SEGMENT_WORDS, offsets[-1])
