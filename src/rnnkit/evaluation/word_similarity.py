"""Word similarity: Spearman's rank correlation between cosine similarities and human ratings of word pairs.

Data sets such as WordSim-353 (Finkelstein et al. 2002), MEN, SimLex-999 and Rare Words have two words and a rating per
line. Also the lookup of test words among the words with vectors, which word analogies share.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.vectors import WordVectors

COMMENT = "#"
SEPARATORS = ("\t", ";", ",", None, ":")
"""Column separators, in the order in which they are tried; None is white space."""

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class RatedPair:
    """Two words and their rated similarity."""

    first: str
    second: str
    rating: float


@dataclass(frozen=True)
class Correlation:
    """Rank correlation of cosine similarities with ratings.

    Attributes:
        spearman: Spearman's rho; None if undefined: fewer than two pairs, or all values equal.
        used: Pairs whose words both have a vector.
        pairs: Pairs in the file.
        undefined: Why rho is undefined although pairs were used; None if it is defined.
    """

    spearman: float | None
    used: int
    pairs: int
    undefined: str | None = None

    @property
    def coverage(self) -> float:
        """Fraction of the pairs that were used."""
        return self.used / self.pairs if self.pairs else 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        figures = {"spearman": self.spearman, "used": self.used, "pairs": self.pairs, "coverage": self.coverage}
        return figures if self.undefined is None else {**figures, "undefined": self.undefined}


def parse_pair(line: str) -> RatedPair | None:
    """Parse a line; None if it has no rated pair, such as a header.

    Columns are separated by tabs, semicolons, commas, white space or colons: the first of these that yields two words
    and a number. Columns may be quoted (RFC 4180). The rating is the first number after the two words, so a column such
    as the part of speech may precede it; a decimal comma is accepted unless commas separate the columns.
    """
    for separator in SEPARATORS:
        pair = _pair(_columns(line, separator), separator)
        if pair is not None:
            return pair
    return None


def parse_pairs(lines: Iterable[str]) -> tuple[list[RatedPair], list[int]]:
    """Parse a file of rated pairs.

    Comments, blank lines and a header are skipped. A first column of numbers, followed by two words on every line, is
    an index column and ignored.

    Returns:
        The pairs, and the numbers of malformed lines.
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
    """Split a line into columns, without quotes; None separates at white space."""
    if separator is None:
        return line.split()
    if '"' in line:
        try:
            row = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True), [])
        except csv.Error:  # a quotation mark that is part of a word
            row = line.split(separator)
    else:
        row = line.split(separator)
    return [column.strip() for column in row]


def _pair(columns: Sequence[str], separator: str | None) -> RatedPair | None:
    """Parse columns that begin with two words; None if they have no rated pair."""
    first, second, *others = [*columns, "", ""]
    rating = next(filter(None, (_NUMBER.fullmatch(column) for column in others)), None)
    if not first or not second or rating is None:
        return None
    return RatedPair(first, second, float(rating[0].replace(",", ".")))


def _without_index(line: str) -> RatedPair | None:
    """Parse a line without its first column; None if that is not a number or not followed by two words."""
    for separator in SEPARATORS:
        columns = _columns(line, separator)
        words = columns[1:3]
        if _pair(columns, separator) is not None:
            if columns[0].isdecimal() and not any(_NUMBER.fullmatch(word) for word in words):
                return _pair(columns[1:], separator)
            return None
    return None


def correlate(
    pairs: Sequence[RatedPair], vectors: WordVectors, ignore_case: bool = True, unseen: bool = False
) -> Correlation:
    """Correlate cosine similarities with ratings.

    Args:
        pairs: Pairs of words and their ratings.
        vectors: The vectors to evaluate.
        ignore_case: Match words in any case (`find_words`).
        unseen: Compose vectors of out-of-vocabulary words from their n-grams, in lower case if case is ignored.
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
    """Explain why the correlation is undefined; None if it is defined or there are no pairs."""
    if len(cosines) == 1:
        return "only one pair has vectors, and a correlation needs at least two"
    for values, name in ((ratings, "ratings"), (cosines, "cosines")):
        if len(set(values)) == 1:
            return f"all {len(values):,} {name} are equal ({values[0]:g}), so there is nothing to rank"
    return None


def cosine(first_D: NDArray[np.float32], second_D: NDArray[np.float32]) -> float:
    """Compute the cosine similarity of two vectors; 0 if one of them is zero."""
    first, second = first_D.astype(np.float64), second_D.astype(np.float64)
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths else 0.0


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Compute Spearman's rank correlation: Pearson's correlation of the ranks, with average ranks for ties.

    Returns:
        Spearman's rho; None if undefined: fewer than two values, or all values of one side equal.
    """
    if len(first) < 2:
        return None
    one, other = (ranks - ranks.mean() for ranks in (average_ranks(first), average_ranks(second)))
    spread = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / spread if spread else None


def average_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Compute ranks from 1; tied values share the mean of their ranks."""
    _, inverse, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: NDArray[np.float64] = last - (counts - 1) / 2
    return mean[inverse]


def find_words(queries: Iterable[str], words: Iterable[str], ignore_case: bool) -> dict[str, int]:
    """Map the words of a test set to indices; words without a match are missing from the result.

    An exact match has priority. If case is ignored, a word with the same lower-case form is next. Last is a word that
    equals the other's upper-case form, such as `STRASSE` for `straße` and `SINIR` for Turkish `sınır`, which lower case
    does not match. Words with equal upper-case forms, such as `masse` and `maße` or `sinir` and `sınır`, are distinct.

    Args:
        queries: Words of the test set.
        words: Words with vectors, the most frequent first; of several equally good matches, the first wins.
        ignore_case: Whether words match in any case.
    """
    wanted = dict.fromkeys(queries)
    exact: dict[str, int] = {}
    lower: dict[str, int] = {}
    upper: dict[str, int] = {}
    spellings = {form for word in wanted for form in (word, *_upper_forms(word))} if ignore_case else set(wanted)
    lowered = {word.lower() for word in wanted} if ignore_case else set()
    for index, word in enumerate(words):
        if word in spellings:
            exact.setdefault(word, index)
        if ignore_case:
            if (key := word.lower()) in lowered:
                lower.setdefault(key, index)
            for form in _upper_forms(word):
                if form in wanted:
                    upper.setdefault(form, index)
    found: dict[str, int] = {}
    for word in wanted:
        by_upper = [upper.get(word), *(exact.get(form) for form in _upper_forms(word))] if ignore_case else []
        last = min((index for index in by_upper if index is not None), default=None)
        for match in (exact.get(word), lower.get(word.lower()), last):
            if match is not None:
                found.setdefault(word, match)
    return found


def _upper_forms(word: str) -> tuple[str, str]:
    """Return a word in upper case, and with only its first letter in upper case."""
    return word.upper(), word.capitalize()
