"""How often words, and pairs of neighbours, occur in a text.

A pair is one 64 bit number made of two words' ids, and the pairs counted so far are two sorted arrays: 16 bytes a pair,
where a table of Python's would take ten times as much.
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
from typing import IO, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rnnkit.errors import FormatError
from rnnkit.io import manifest
from rnnkit.io.artifact_output import write_file_manifest
from rnnkit.text.token_files import read_token_lines

BUFFER_WORDS = 1 << 21
"""Words that are gathered before their pairs are counted; sorting so many takes a tenth of a second."""

_END = -1  # stands between lines: a pair does not reach from one to the next
_BITS = 32


@dataclass(frozen=True)
class Bigram:
    """Two neighbours.

    Attributes:
        first: The word on the left.
        second: The word on the right.
        count: How often they stood side by side.
        first_count: Occurrences of the word on the left, anywhere.
        second_count: Occurrences of the word on the right.
    """

    first: str
    second: str
    count: int
    first_count: int
    second_count: int


class BigramCounts:
    """Counts words and pairs of neighbours, line by line.

    Args:
        most: Most different pairs kept. Where there are more, the rarest so far are forgotten.

    Attributes:
        words: Words counted.
        dropped: Pairs that were forgotten; one that comes back is counted from nothing, and again if it goes again.
        floor: Highest count of a pair that was forgotten.
    """

    def __init__(self, most: int) -> None:
        self.words = 0
        self.dropped = 0
        self.floor = 0
        self._most = most
        self._ids: defaultdict[str, int] = defaultdict()
        self._ids.default_factory = self._ids.__len__  # a new word gets the next number
        self._buffer = array("q")
        self._word_counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._pairs: NDArray[np.int64] = np.zeros(0, np.int64)
        self._pair_counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, words: Sequence[str]) -> None:
        """Count the words of one line."""
        self._buffer.extend(map(self._ids.__getitem__, words))
        self._buffer.append(_END)
        self.words += len(words)
        if len(self._buffer) >= BUFFER_WORDS:
            self._fold()

    def frequent(self, least: int) -> Iterator[Bigram]:
        """The pairs that occur at least so often, in no order that means anything."""
        self._fold()
        names = list(self._ids)
        often = self._pair_counts >= least
        for key, count in zip(self._pairs[often].tolist(), self._pair_counts[often].tolist(), strict=True):
            first, second = key >> _BITS, key & ((1 << _BITS) - 1)
            counts = int(self._word_counts[first]), int(self._word_counts[second])
            yield Bigram(names[first], names[second], count, *counts)

    def _fold(self) -> None:
        """Add what is in the buffer to the counts."""
        ids = np.frombuffer(self._buffer, np.int64) if self._buffer else np.zeros(0, np.int64)
        real = ids != _END
        counts = np.bincount(ids[real], minlength=len(self._ids))
        counts[: len(self._word_counts)] += self._word_counts
        self._word_counts = counts
        first, second = ids[:-1], ids[1:]
        inside = real[:-1] & real[1:]
        new, new_counts = np.unique((first[inside] << _BITS) | second[inside], return_counts=True)
        self._pairs, self._pair_counts = _merge((self._pairs, new), (self._pair_counts, new_counts))
        self._buffer = array("q")
        if len(self._pairs) > self._most:
            self._forget()

    def _forget(self) -> None:
        """Drop the rarest pairs: every one of the highest count among them, so that no pair is lucky."""
        surplus = len(self._pairs) - self._most
        floor = int(np.partition(self._pair_counts, surplus - 1)[surplus - 1])
        stays = self._pair_counts > floor
        self.dropped += int(len(stays) - stays.sum())
        self.floor = max(self.floor, floor)
        self._pairs, self._pair_counts = self._pairs[stays], self._pair_counts[stays]


def _merge(
    keys: Iterable[NDArray[np.int64]], counts: Iterable[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two tables of counts as one, sorted by key."""
    every, amounts = np.concatenate(list(keys)), np.concatenate(list(counts))
    if not len(every):
        return every, amounts
    order = np.argsort(every, kind="stable")  # a merge, where both are sorted already
    every, amounts = every[order], amounts[order]
    starts = np.flatnonzero(np.concatenate(([True], every[1:] != every[:-1])))
    return every[starts], np.add.reduceat(amounts, starts)


KIND: Final = "phrases"
VERSION: Final = 1
Scoring = Literal["default", "npmi"]
SCORINGS: Final[tuple[Scoring, ...]] = get_args(Scoring)


@dataclass(frozen=True)
class BigramPhrase:
    """A pair of words that are joined.

    Attributes:
        joined: The one word that they become.
        first: The word on the left, which may be a phrase of an earlier pass.
        second: The word on the right.
        count: How often they stood side by side.
        score: How much more often than by chance.
    """

    joined: str
    first: str
    second: str
    count: int
    score: float


@dataclass(frozen=True)
class PhraseList:
    """What is joined, pass by pass.

    Attributes:
        passes: The phrases of each pass, the best first.
    """

    passes: tuple[tuple[BigramPhrase, ...], ...]

    @classmethod
    def load(cls, path: Path) -> PhraseList:
        """Read a phrase list.

        Raises:
            DataError: The file is missing or not text.
            FormatError: It is not a phrase list; the message names the line.
        """
        passes: list[list[BigramPhrase]] = []
        for number, line in enumerate(read_token_lines(path), start=1):
            phrase, which = _parse_row(line, f"{path}:{number}")
            while len(passes) < which:
                passes.append([])
            passes[which - 1].append(phrase)
        return cls(tuple(map(tuple, passes)))

    def __len__(self) -> int:
        return sum(map(len, self.passes))

    def write(self, file: IO[str]) -> None:
        """Write the rows of a phrase list: joined, count, score, pass, and the two words."""
        for which, phrases in enumerate(self.passes, start=1):
            for phrase in phrases:
                words = f"{phrase.first} {phrase.second}"
                file.write(f"{phrase.joined}\t{phrase.count}\t{phrase.score:.6g}\t{which}\t{words}\n")

    def joiner(self) -> Callable[[Sequence[str]], Sequence[str]]:
        """A function from the words of a line to the words with phrases joined."""
        tables = [{(phrase.first, phrase.second): phrase.joined for phrase in phrases} for phrases in self.passes]

        def join(words: Sequence[str]) -> Sequence[str]:
            for table in tables:
                words = _join(words, table)
            return words

        return join


def find_phrases(
    pairs: Iterable[Bigram], score: Callable[[Bigram], float], threshold: float, delimiter: str
) -> tuple[BigramPhrase, ...]:
    """The pairs that score more than the threshold, the best first, ties by code point."""
    found = []
    for pair in pairs:
        value = score(pair)
        if value > threshold:
            joined = f"{pair.first}{delimiter}{pair.second}"
            found.append(BigramPhrase(joined, pair.first, pair.second, pair.count, value))
    return tuple(sorted(found, key=lambda phrase: (-phrase.score, phrase.first, phrase.second)))


def default_score(pair: Bigram, words: int, discount: float) -> float:
    """The excess of a pair over chance; 1 is chance, where the discount is 0."""
    return (pair.count - discount) / (pair.first_count * pair.second_count) * words


def npmi_score(pair: Bigram, words: int) -> float:
    """Normalised pointwise mutual information: 0 is chance, 1 is words that only occur together."""
    chance = pair.first_count * pair.second_count / words
    return math.log(pair.count / chance) / -math.log(pair.count / words)


def write_phrase_manifest(
    path: Path, options: Mapping[str, Any], inputs: Mapping[str, str], facts: Mapping[str, Any]
) -> None:
    """Write the manifest beside a phrase list that is finished."""
    write_file_manifest(path, KIND, VERSION, options=options, inputs=inputs, facts=facts)


def is_modified(path: Path) -> bool:
    """Whether a phrase list is another than its manifest says, as when somebody struck rows out. Without one, no.

    Raises:
        ArtefactError: The manifest is of another kind of file.
        FormatError: It is damaged, or of a newer version.
    """
    if not manifest.manifest_path(path).exists():
        return False
    manifest.read(path, KIND, VERSION)
    return bool(manifest.find_mismatches(path))


def _join(words: Sequence[str], table: Mapping[tuple[str, str], str]) -> Sequence[str]:
    if table.keys().isdisjoint(pairwise(words)):
        return words  # most lines, at the speed of C
    joined = []
    place, last = 0, len(words) - 1
    while place <= last:
        phrase = table.get((words[place], words[place + 1])) if place < last else None
        joined.append(words[place] if phrase is None else phrase)
        place += 1 if phrase is None else 2
    return joined


def _parse_row(line: str, where: str) -> tuple[BigramPhrase, int]:
    """A phrase and the number of its pass."""
    columns = line.split("\t")
    words = columns[-1].split(" ")
    if len(columns) != 5 or len(words) != 2 or not all(words) or columns[0].split() != [columns[0]]:
        raise FormatError(
            f"{where}: no phrase",
            "a row is PHRASE<TAB>COUNT<TAB>SCORE<TAB>PASS<TAB>FIRST SECOND",
            hint="`rnnkit phrases FILE… --output FILE` makes a phrase list",
        )
    joined, count, score, which, _ = columns
    first, second = words
    try:
        return BigramPhrase(joined, first, second, int(count), float(score)), _pass_number(which)
    except ValueError:
        raise FormatError(f"{where}: count, score and pass are numbers, not {count}, {score}, {which}") from None


def _pass_number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]?", text):
        raise ValueError(text)
    return int(text)
