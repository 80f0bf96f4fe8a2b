"""Do words that people call similar have similar vectors? Spearman's rank correlation over rated pairs of words.

Files such as WordSim-353 (Finkelstein et al. 2002), MEN, SimLex-999 and rare words hold two words and a rating a line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.vectors import Vectors

COMMENT = "#"
SEPARATORS = ("\t", ";", ",", None, ":")
"""What may stand between columns; None is white space."""

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class RatedPair:
    """Two words, and how similar people find them."""

    first: str
    second: str
    rating: float


@dataclass(frozen=True)
class Correlation:
    """How well the vectors' cosines agree with the ratings.

    Attributes:
        spearman: Rank correlation; None where it is not defined: fewer than two pairs, or all alike.
        used: Pairs whose words both have a vector.
        pairs: Pairs in the file.
        undefined: Why it is not defined although pairs were used; None where it is defined.
    """

    spearman: float | None
    used: int
    pairs: int
    undefined: str | None = None

    @property
    def coverage(self) -> float:
        """Share of the pairs that were used."""
        return self.used / self.pairs if self.pairs else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The correlation for JSON."""
        figures = {"spearman": self.spearman, "used": self.used, "pairs": self.pairs, "coverage": self.coverage}
        return figures if self.undefined is None else {**figures, "undefined": self.undefined}


def parse_pair(line: str) -> RatedPair | None:
    """One line's pair, or None where the line holds none, as a header does not.

    Columns are split at tabs, semicolons, commas, white space or colons: at the first of these that leaves two words
    and a number. A column may stand in double quotes, as spreadsheets write it (RFC 4180). The rating is the first
    number behind the two words, so that a column for the part of speech may stand between; a decimal comma is read
    where commas do not split columns.
    """
    for separator in SEPARATORS:
        pair = _pair(_columns(line, separator), separator)
        if pair is not None:
            return pair
    return None


def parse_pairs(lines: Iterable[str]) -> tuple[list[RatedPair], list[int]]:
    """The pairs of a file, and the numbers of the lines that hold none.

    Comments, blank lines and a header are not counted among these. A first column of numbers, with two words behind it
    on each line, is an index, as tables of data have it, and is left out.
    """
    numbered = [
        (number, line) for number, line in enumerate(lines, start=1) if line.strip() and not line.startswith(COMMENT)
    ]
    bodies = [_without_index(line) for _, line in numbered]
    found = [parse_pair(line) for _, line in numbered]
    indexed = [body for body, pair in zip(bodies, found, strict=True) if pair is not None]
    if indexed and None not in indexed:
        found = [pair and body for body, pair in zip(bodies, found, strict=True)]
    bad = [number for (number, _), pair in zip(numbered[1:], found[1:], strict=True) if pair is None]
    return [pair for pair in found if pair is not None], bad


def _columns(line: str, separator: str | None) -> list[str]:
    """A line's columns at a separator, or at white space where it is None, without their quotes."""
    if separator is None:
        return line.split()
    if '"' in line:
        try:
            row = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True), [])
        except csv.Error:  # a quotation mark that belongs to a word
            row = line.split(separator)
    else:
        row = line.split(separator)
    return [column.strip() for column in row]


def _pair(columns: Sequence[str], separator: str | None) -> RatedPair | None:
    """The pair that columns hold, the two words first."""
    first, second, *others = [*columns, "", ""]
    rating = next(filter(None, (_NUMBER.fullmatch(column) for column in others)), None)
    if not first or not second or rating is None:
        return None
    return RatedPair(first, second, float(rating[0].replace(",", ".")))


def _without_index(line: str) -> RatedPair | None:
    """The pair of a line without its first column; None where that is no number or a word too few stands behind it."""
    for separator in SEPARATORS:
        columns = _columns(line, separator)
        words = columns[1:3]
        if _pair(columns, separator) is not None:
            if columns[0].isdecimal() and not any(_NUMBER.fullmatch(word) for word in words):
                return _pair(columns[1:], separator)
            return None
    return None


def correlate(
    pairs: Sequence[RatedPair], vectors: Vectors, ignore_case: bool = True, unseen: bool = False
) -> Correlation:
    """Correlate cosines with ratings.

    Args:
        pairs: Pairs of words and their ratings.
        vectors: The vectors on trial.
        ignore_case: Whether a word that is not in the vectors may stand there in another case (`find_rows`).
        unseen: Whether a word without a row is composed of its n-grams, in lower case where case is ignored.
    """
    words = (word for pair in pairs for word in (pair.first, pair.second))
    rows = find_words(words, vectors.words, ignore_case)

    def find(word: str) -> NDArray[np.float32] | None:
        row = rows.get(word)
        if row is None:
            return vectors.table.vector(word.lower() if ignore_case else word) if unseen else None
        return np.asarray(vectors.matrix_VD[row])

    cosines, ratings = [], []
    for pair in pairs:
        first_D, second_D = find(pair.first), find(pair.second)
        if first_D is not None and second_D is not None:
            cosines.append(cosine(first_D, second_D))
            ratings.append(pair.rating)
    return Correlation(spearman(cosines, ratings), len(cosines), len(pairs), _why_undefined(cosines, ratings))


def _why_undefined(cosines: Sequence[float], ratings: Sequence[float]) -> str | None:
    """Why pairs have no rank correlation; None where they have one, or where there is no pair at all."""
    if len(cosines) == 1:
        return "only one pair has vectors, and a correlation takes two or more"
    for values, name in ((ratings, "ratings"), (cosines, "cosines")):
        if len(set(values)) == 1:
            return f"all {len(values):,} {name} are equal ({values[0]:g}), so there is nothing to rank"
    return None


def cosine(first_D: NDArray[np.float32], second_D: NDArray[np.float32]) -> float:
    """Cosine of the angle between two vectors; 0 where one of them is zero."""
    first, second = first_D.astype(np.float64), second_D.astype(np.float64)
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths else 0.0


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs.

    Returns:
        None where it is not defined: fewer than two values, or one side all equal.
    """
    if len(first) < 2:
        return None
    one, other = (ranks - ranks.mean() for ranks in (average_ranks(first), average_ranks(second)))
    spread = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / spread if spread else None


def average_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Ranks from 1; equal values have the mean of the ranks that they take together."""
    _, inverse, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: NDArray[np.float64] = last - (counts - 1) / 2
    return mean[inverse]


def find_words(wanted: Iterable[str], words: Iterable[str], ignore_case: bool) -> dict[str, int]:
    """The row of each word of a test that has one.

    A word's own spelling comes first. Where case is ignored, a word with the same lower case is next. Last comes one
    that is the other in capitals, as `STRASSE` is to `straße` and `SINIR` to Turkish `sınır`, which lower case does not
    find. Two words whose capitals are the same, such as `masse` and `maße` or `sinir` and `sınır`, stay two words.

    Args:
        wanted: Words of the test.
        words: One a row, the most frequent first: of several that fit equally well the first is taken.
        ignore_case: Whether a word may have another case than in the test.
    """
    asked = dict.fromkeys(wanted)
    spelled: dict[str, int] = {}
    lower: dict[str, int] = {}
    capitals: dict[str, int] = {}
    spellings = {form for word in asked for form in (word, *_capitals(word))} if ignore_case else set(asked)
    lowered = {word.lower() for word in asked} if ignore_case else set()
    for row, word in enumerate(words):
        if word in spellings:
            spelled.setdefault(word, row)
        if ignore_case:
            if (key := word.lower()) in lowered:
                lower.setdefault(key, row)
            for form in _capitals(word):
                if form in asked:
                    capitals.setdefault(form, row)
    found: dict[str, int] = {}
    for word in asked:
        in_capitals = [capitals.get(word), *(spelled.get(form) for form in _capitals(word))] if ignore_case else []
        last = min((row for row in in_capitals if row is not None), default=None)
        for place in (spelled.get(word), lower.get(word.lower()), last):
            if place is not None:
                found.setdefault(word, place)
    return found


def _capitals(word: str) -> tuple[str, str]:
    """A word in capitals, and with its first letter alone in capitals."""
    return word.upper(), word.capitalize()
