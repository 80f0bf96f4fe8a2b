"""Frequent pairs of words joined to one: `new york` becomes `new_york`.

A pair ab is scored by how much more often it occurs than its words would meet by chance, n being the words of the text:

    default    (count(ab) - discount) / (count(a) count(b)) * n       (Mikolov et al. 2013, arXiv:1310.4546, equation 6)
    npmi       ln(p(ab) / (p(a) p(b))) / -ln p(ab),  p = count / n    (Bouma 2009), from -1 to 1

The discount keeps pairs of rare words out. Both are those of word2phrase and of gensim, but for one factor: where
gensim's default has the number of different words and pairs, word2phrase and this have n, so that the same phrases want
another threshold there: n / (number of different words and pairs) times smaller.

Joining goes from left to right and takes the first pair that is a phrase; a word is in one phrase only. A further
pass over the joined text makes longer ones: `new_york` and `city`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final, Literal, get_args

from rnnkit.errors import FormatError
from rnnkit.io import manifest
from rnnkit.io.artefact_output import seal_file
from rnnkit.text.pairs import Pair
from rnnkit.text.token_files import read_token_lines

KIND: Final = "phrases"
VERSION: Final = 1
Scoring = Literal["default", "npmi"]
SCORINGS: Final[tuple[Scoring, ...]] = get_args(Scoring)


@dataclass(frozen=True)
class Phrase:
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
class Phrases:
    """What is joined, pass by pass.

    Attributes:
        passes: The phrases of each pass, the best first.
    """

    passes: tuple[tuple[Phrase, ...], ...]

    @classmethod
    def load(cls, path: Path) -> Phrases:
        """Read a phrase list.

        Raises:
            DataError: The file is missing or not text.
            FormatError: It is not a phrase list; the message names the line.
        """
        passes: list[list[Phrase]] = []
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


def find(pairs: Iterable[Pair], score: Callable[[Pair], float], threshold: float, delimiter: str) -> tuple[Phrase, ...]:
    """The pairs that score more than the threshold, the best first, ties by code point."""
    found = []
    for pair in pairs:
        value = score(pair)
        if value > threshold:
            joined = f"{pair.first}{delimiter}{pair.second}"
            found.append(Phrase(joined, pair.first, pair.second, pair.count, value))
    return tuple(sorted(found, key=lambda phrase: (-phrase.score, phrase.first, phrase.second)))


def default_score(pair: Pair, words: int, discount: float) -> float:
    """The excess of a pair over chance; 1 is chance, where the discount is 0."""
    return (pair.count - discount) / (pair.first_count * pair.second_count) * words


def npmi(pair: Pair, words: int) -> float:
    """Normalised pointwise mutual information: 0 is chance, 1 is words that only occur together."""
    chance = pair.first_count * pair.second_count / words
    return math.log(pair.count / chance) / -math.log(pair.count / words)


def write_meta(path: Path, options: Mapping[str, Any], inputs: Mapping[str, str], facts: Mapping[str, Any]) -> None:
    """Write the manifest beside a phrase list that is finished."""
    seal_file(path, KIND, VERSION, options=options, inputs=inputs, facts=facts)


def is_changed(path: Path) -> bool:
    """Whether a phrase list is another than its manifest says, as when somebody struck rows out. Without one, no.

    Raises:
        ArtefactError: The manifest is of another kind of file.
        FormatError: It is damaged, or of a newer version.
    """
    if not manifest.place(path).exists():
        return False
    manifest.read(path, KIND, VERSION)
    return bool(manifest.faults(path))


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


def _parse_row(line: str, where: str) -> tuple[Phrase, int]:
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
        return Phrase(joined, first, second, int(count), float(score)), _pass_number(which)
    except ValueError:
        raise FormatError(f"{where}: count, score and pass are numbers, not {count}, {score}, {which}") from None


def _pass_number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]?", text):
        raise ValueError(text)
    return int(text)
