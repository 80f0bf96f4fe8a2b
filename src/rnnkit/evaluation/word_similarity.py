"""Do words that people call similar have similar vectors? Spearman's rank correlation over rated pairs of words.

Files such as WordSim-353 (Finkelstein et al. 2002), MEN, SimLex-999 and rare words hold two words and a rating a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.vectors import Vectors
from rnnkit.evaluation.word_lookup import first_rows, fold

COMMENT = "#"


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
        spearman: Rank correlation; None where there is nothing to rank: fewer than two pairs, or all alike.
        used: Pairs whose words both have a vector.
        pairs: Pairs in the file.
    """

    spearman: float | None
    used: int
    pairs: int

    @property
    def coverage(self) -> float:
        """Share of the pairs that were used."""
        return self.used / self.pairs if self.pairs else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The correlation for JSON."""
        return {"spearman": self.spearman, "used": self.used, "pairs": self.pairs, "coverage": self.coverage}


def parse_pair(line: str) -> RatedPair | None:
    """One line's pair, or None where the line holds none, as a header does not.

    Columns are parted by tabs, else by semicolons or commas, else by white space. The rating is the first number behind
    the two words, so that a column for the part of speech may stand between.
    """
    separator = next((mark for mark in "\t;," if mark in line), None)
    first, second, *others = [field.strip() for field in line.split(separator)] + ["", ""]
    rating = next((field for field in others if _NUMBER.fullmatch(field)), None)
    if not first or not second or rating is None:
        return None
    return RatedPair(first, second, float(rating))


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def parse_pairs(lines: Iterable[str]) -> tuple[list[RatedPair], list[int]]:
    """The pairs of a file, and the numbers of the lines that hold none.

    Comments, blank lines and a header are not counted among these.
    """
    pairs: list[RatedPair] = []
    bad: list[int] = []
    header = True
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(COMMENT):
            continue
        pair = parse_pair(line)
        if pair is not None:
            pairs.append(pair)
        elif not header:
            bad.append(number)
        header = False
    return pairs, bad


def correlate(
    pairs: Sequence[RatedPair], vectors: Vectors, ignore_case: bool = True, unseen: bool = False
) -> Correlation:
    """Correlate cosines with ratings.

    Args:
        pairs: Pairs of words and their ratings.
        vectors: The vectors on trial.
        ignore_case: Whether a word may stand in the vectors in another case; of several, the most frequent counts.
        unseen: Whether a word without a row is composed of its n-grams, in lower case where case is ignored.
    """
    rows = first_rows(vectors.words, ignore_case)

    def find(word: str) -> NDArray[np.float32] | None:
        row = rows.get(fold(word) if ignore_case else word)
        if row is None:
            return vectors.table.vector(word.lower() if ignore_case else word) if unseen else None
        return np.asarray(vectors.matrix_VD[row])

    cosines, ratings = [], []
    for pair in pairs:
        first_D, second_D = find(pair.first), find(pair.second)
        if first_D is not None and second_D is not None:
            cosines.append(cosine(first_D, second_D))
            ratings.append(pair.rating)
    return Correlation(spearman(cosines, ratings), len(cosines), len(pairs))


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
