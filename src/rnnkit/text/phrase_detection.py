"""Phrase detection: frequent collocations joined to one word, `new york` to `new_york` (Mikolov et al. 2013).

A bigram ab is scored by how much more often it occurs than by chance, n being the number of words of the text:

    default    (count(ab) - discount) / (count(a) count(b)) * n       (Mikolov et al. 2013, arXiv:1310.4546, equation 6)
    npmi       ln(p(ab) / (p(a) p(b))) / -ln p(ab),  p = count / n    (Bouma 2009), from -1 to 1

The discount excludes bigrams of rare words. Both scores are those of word2phrase and gensim, except for a factor of the
default score: gensim has the number of distinct words and bigrams where word2phrase and this module have n, so the same
phrases need a threshold smaller by n / (distinct words and bigrams) in gensim.

Joining proceeds from left to right and takes the first bigram that is a phrase; a word is part of one phrase only. A
further pass over the joined text finds longer phrases: `new_york` and `city`.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import FormatError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import write_file_manifest
from rnnkit.json_types import JsonMapping
from rnnkit.text.token_files import read_token_lines

KIND: Final = "phrases"
VERSION: Final = 1
Scoring = Literal["default", "npmi"]
SCORINGS: Final[tuple[Scoring, ...]] = get_args(Scoring)

BUFFER_WORDS = 1 << 21
"""Words buffered before their bigrams are counted; sorting this many takes a tenth of a second."""

_LINE_END = -1  # separates lines in the buffer: a bigram does not cross a line end
_ID_BITS = 32


@dataclass(frozen=True)
class Bigram:
    """Two adjacent words with their counts.

    Attributes:
        first: Left word.
        second: Right word.
        count: Occurrences of the bigram.
        first_count: Occurrences of the left word, anywhere.
        second_count: Occurrences of the right word.
    """

    first: str
    second: str
    count: int
    first_count: int
    second_count: int


class BigramCounts:
    """Counts words and bigrams, line by line.

    A bigram is a 64-bit integer of two word ids, and the counts are two sorted arrays: 16 bytes per bigram, a tenth of
    a Python dictionary.

    Args:
        max_bigrams: Maximum number of distinct bigrams. Beyond it, the rarest so far are dropped.

    Attributes:
        words: Words counted.
        dropped: Bigrams dropped. One that occurs again is counted from zero, and may be dropped again.
        floor: Highest count of a dropped bigram.
    """

    def __init__(self, max_bigrams: int) -> None:
        self.words = 0
        self.dropped = 0
        self.floor = 0
        self._max_bigrams = max_bigrams
        self._ids: defaultdict[str, int] = defaultdict()
        self._ids.default_factory = self._ids.__len__  # a new word gets the next id
        self._buffer = array("q")
        self._word_counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._bigrams: NDArray[np.int64] = np.zeros(0, np.int64)
        self._bigram_counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, words: Sequence[str]) -> None:
        """Count the words of one line."""
        self._buffer.extend(map(self._ids.__getitem__, words))
        self._buffer.append(_LINE_END)
        self.words += len(words)
        if len(self._buffer) >= BUFFER_WORDS:
            self._count_buffer()

    def frequent(self, min_count: int) -> Iterator[Bigram]:
        """Yield the bigrams with at least this count, in unspecified order."""
        self._count_buffer()
        names = list(self._ids)
        frequent = self._bigram_counts >= min_count
        for key, count in zip(self._bigrams[frequent].tolist(), self._bigram_counts[frequent].tolist(), strict=True):
            first, second = key >> _ID_BITS, key & ((1 << _ID_BITS) - 1)
            counts = int(self._word_counts[first]), int(self._word_counts[second])
            yield Bigram(names[first], names[second], count, *counts)

    def _count_buffer(self) -> None:
        """Add the buffer to the counts."""
        ids = np.frombuffer(self._buffer, np.int64) if self._buffer else np.zeros(0, np.int64)
        real = ids != _LINE_END
        counts = np.bincount(ids[real], minlength=len(self._ids))
        counts[: len(self._word_counts)] += self._word_counts
        self._word_counts = counts
        first, second = ids[:-1], ids[1:]
        inside = real[:-1] & real[1:]
        new, new_counts = np.unique((first[inside] << _ID_BITS) | second[inside], return_counts=True)
        self._bigrams, self._bigram_counts = _merge((self._bigrams, new), (self._bigram_counts, new_counts))
        self._buffer = array("q")
        if len(self._bigrams) > self._max_bigrams:
            self._drop_rarest()

    def _drop_rarest(self) -> None:
        """Drop all bigrams up to the count that brings their number to the maximum; ties are dropped together."""
        surplus = len(self._bigrams) - self._max_bigrams
        floor = int(np.partition(self._bigram_counts, surplus - 1)[surplus - 1])
        kept = self._bigram_counts > floor
        self.dropped += int(len(kept) - kept.sum())
        self.floor = max(self.floor, floor)
        self._bigrams, self._bigram_counts = self._bigrams[kept], self._bigram_counts[kept]


def _merge(
    keys: Iterable[NDArray[np.int64]], counts: Iterable[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merge tables of counts to one, sorted by key."""
    all_keys, all_counts = np.concatenate(list(keys)), np.concatenate(list(counts))
    if not len(all_keys):
        return all_keys, all_counts
    order = np.argsort(all_keys, kind="stable")  # a merge, because both tables are sorted
    all_keys, all_counts = all_keys[order], all_counts[order]
    starts = np.flatnonzero(np.concatenate(([True], all_keys[1:] != all_keys[:-1])))
    return all_keys[starts], np.add.reduceat(all_counts, starts)


@dataclass(frozen=True)
class BigramPhrase:
    """A bigram that is joined to one word.

    Attributes:
        joined: The resulting word.
        first: Left word, which may be a phrase of an earlier pass.
        second: Right word.
        count: Occurrences of the bigram.
        score: Its score.
    """

    joined: str
    first: str
    second: str
    count: int
    score: float


@dataclass(frozen=True)
class PhraseList:
    """The phrases of all passes.

    Attributes:
        passes: The phrases of each pass, by descending score.
    """

    passes: tuple[tuple[BigramPhrase, ...], ...]

    @classmethod
    def load(cls, path: Path) -> PhraseList:
        """Load a phrase list.

        Raises:
            DataError: The file is missing or not text.
            FormatError: It is not a phrase list; the message contains the line.
        """
        passes: list[list[BigramPhrase]] = []
        for number, line in enumerate(read_token_lines(path), start=1):
            phrase, which = _parse_row(line, path, number)
            while len(passes) < which:
                passes.append([])
            passes[which - 1].append(phrase)
        return cls(tuple(map(tuple, passes)))

    def __len__(self) -> int:
        return sum(map(len, self.passes))

    def write(self, file: IO[str]) -> None:
        """Write the list: joined word, count, score, pass, and the two words."""
        for which, phrases in enumerate(self.passes, start=1):
            for phrase in phrases:
                words = f"{phrase.first} {phrase.second}"
                file.write(f"{phrase.joined}\t{phrase.count}\t{phrase.score:.6g}\t{which}\t{words}\n")

    def joiner(self) -> Callable[[Sequence[str]], Sequence[str]]:
        """Return a function that joins the phrases among the words of a line."""
        tables = [{(phrase.first, phrase.second): phrase.joined for phrase in phrases} for phrases in self.passes]

        def join(words: Sequence[str]) -> Sequence[str]:
            for table in tables:
                words = _join(words, table)
            return words

        return join


def find_phrases(
    bigrams: Iterable[Bigram], score: Callable[[Bigram], float], threshold: float, delimiter: str
) -> tuple[BigramPhrase, ...]:
    """Return the bigrams that score above the threshold, by descending score, ties by code point."""
    found = []
    for bigram in bigrams:
        value = score(bigram)
        if value > threshold:
            joined = f"{bigram.first}{delimiter}{bigram.second}"
            found.append(BigramPhrase(joined, bigram.first, bigram.second, bigram.count, value))
    return tuple(sorted(found, key=lambda phrase: (-phrase.score, phrase.first, phrase.second)))


def default_score(bigram: Bigram, words: int, discount: float) -> float:
    """Return the ratio of the discounted count to the count expected by chance."""
    return (bigram.count - discount) / (bigram.first_count * bigram.second_count) * words


def npmi_score(bigram: Bigram, words: int) -> float:
    """Return the normalized pointwise mutual information: 0 is chance, 1 is words that only occur together."""
    chance = bigram.first_count * bigram.second_count / words
    return math.log(bigram.count / chance) / -math.log(bigram.count / words)


def write_phrase_manifest(path: Path, options: JsonMapping, inputs: Mapping[str, str], facts: JsonMapping) -> None:
    """Write the manifest of a finished phrase list."""
    write_file_manifest(path, KIND, VERSION, options=options, inputs=inputs, facts=facts)


def is_modified(path: Path) -> bool:
    """Return whether a phrase list differs from its manifest, as after an edit by the user; False without a manifest.

    Raises:
        ArtefactError: The manifest is of another kind of file.
        FormatError: It is damaged or of a newer version.
    """
    if not manifest.manifest_path(path).exists():
        return False
    manifest.read(path, KIND, VERSION)
    return bool(manifest.find_mismatches(path))


def _join(words: Sequence[str], table: Mapping[tuple[str, str], str]) -> Sequence[str]:
    if table.keys().isdisjoint(pairwise(words)):
        return words  # the common case, at C speed
    joined = []
    position, last = 0, len(words) - 1
    while position <= last:
        phrase = table.get((words[position], words[position + 1])) if position < last else None
        joined.append(words[position] if phrase is None else phrase)
        position += 1 if phrase is None else 2
    return joined


def _parse_row(line: str, path: Path, number: int) -> tuple[BigramPhrase, int]:
    """Return a phrase and its pass."""
    columns = line.split("\t")
    words = columns[-1].split(" ")
    if len(columns) != 5 or len(words) != 2 or not all(words) or columns[0].split() != [columns[0]]:
        raise FormatError(
            f"{path}:{number}: not a phrase",
            "the format of a line is PHRASE<TAB>COUNT<TAB>SCORE<TAB>PASS<TAB>FIRST SECOND",
            hint="`rnnkit phrases FILE… --output FILE` creates a phrase list",
            path=path,
            line=number,
        )
    joined, count, score, which, _ = columns
    first, second = words
    try:
        return BigramPhrase(joined, first, second, int(count), float(score)), _parse_pass(which)
    except ValueError:
        raise FormatError(
            f"{path}:{number}: count, score and pass must be numbers, got {count}, {score}, {which}",
            path=path,
            line=number,
        ) from None


def _parse_pass(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]?", text):
        raise ValueError(text)
    return int(text)
