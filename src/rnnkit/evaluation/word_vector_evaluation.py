"""Intrinsic evaluation of word vectors: word similarity and word analogies.

Word similarity is Spearman's rank correlation between cosine similarities and human ratings of word pairs. Data sets
such as WordSim-353 (Finkelstein et al. 2002), MEN, SimLex-999 and Rare Words have two words and a rating per line.

In a word analogy, `Athens Greece Baghdad Iraq`, Athens is to Greece as Baghdad is to Iraq. The predicted word is the
one whose vector is nearest to b - a + c of the normalized vectors (3CosAdd; Mikolov et al. 2013, arXiv:1301.3781),
excluding a, b and c. Counts agree with gensim's `evaluate_word_analogies`.

Shapes: Q questions, B questions of a block, V words, D vector dimension.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.vectors import WordVectors
from rnnkit.embeddings.word_index import find_words
from rnnkit.json_types import JsonObject

COMMENT = "#"
SEPARATORS = ("\t", ";", ",", None, ":")
"""Column separators, in the order in which they are tried; None is white space."""

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")

SECTION = ":"
NO_SECTION = "(no section)"
SYNTACTIC_PREFIX = "gram"
"""Prefix of the names of syntactic sections; the other sections are semantic."""

MAX_BLOCK_SCORES = 1 << 23
"""Maximum number of scores in memory at once, 4 bytes each: 32 MiB."""


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

    def as_dict(self) -> JsonObject:
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


@dataclass(frozen=True)
class AnalogyQuestion:
    """`a` is to `b` as `c` is to `answer`."""

    section: str
    a: str
    b: str
    c: str
    answer: str


@dataclass(frozen=True)
class SectionScore:
    """Accuracy on the questions of one section, or of several.

    Attributes:
        name: Name of the section.
        correct: Questions answered correctly.
        covered: Questions whose four words are all in the vocabulary.
        questions: Questions in the file.
    """

    name: str
    correct: int
    covered: int
    questions: int

    @property
    def accuracy(self) -> float | None:
        """Fraction of covered questions answered correctly; None if no question is covered."""
        return self.correct / self.covered if self.covered else None

    @property
    def coverage(self) -> float:
        """Fraction of the questions whose words are all in the vocabulary."""
        return self.covered / self.questions if self.questions else 0.0

    def as_dict(self) -> JsonObject:
        """JSON form."""
        return {
            "name": self.name,
            "accuracy": self.accuracy,
            "correct": self.correct,
            "asked": self.covered,
            "questions": self.questions,
            "coverage": self.coverage,
        }


def parse_questions(lines: Iterable[str]) -> tuple[list[AnalogyQuestion], list[int]]:
    """Parse a file of questions.

    Args:
        lines: Questions of four words, section names after `:`, and comments after `#`.

    Returns:
        The questions, and the numbers of malformed lines.
    """
    questions: list[AnalogyQuestion] = []
    malformed: list[int] = []
    section = NO_SECTION
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if line.startswith(SECTION):
            section = line.lstrip(SECTION).strip() or NO_SECTION
        elif len(words) == 4:
            questions.append(AnalogyQuestion(section, *words))
        elif words and not line.startswith("#"):
            malformed.append(number)
    return questions, malformed


def evaluate_analogies(
    questions: Sequence[AnalogyQuestion], vectors: WordVectors, restrict: int, ignore_case: bool = True
) -> list[SectionScore]:
    """Answer analogy questions by 3CosAdd.

    Args:
        questions: The questions.
        vectors: The vectors to evaluate.
        restrict: Size of the vocabulary: this many of the most frequent words. Questions with other words are skipped.
        ignore_case: Match words of the questions in any case (`find_words`), and accept answers in any case.

    Returns:
        The score of each section, in the order of the file.
    """
    words = vectors.words[:restrict]
    indices = _find_question_words(questions, vectors, words, ignore_case)
    found = [[indices.get(word, -1) for word in _words(question)] for question in questions]
    index_Q4 = np.array(found, dtype=np.int64).reshape(-1, 4)
    covered_Q = (index_Q4 >= 0).all(axis=1)
    canonical_V = _canonical_indices(words, ignore_case)
    correct_Q = np.zeros(len(questions), dtype=bool)
    correct_Q[covered_Q] = _is_correct(vectors.unit_rows(restrict), canonical_V, index_Q4[covered_Q])
    names = list(dict.fromkeys(question.section for question in questions))
    section_Q = np.array([names.index(question.section) for question in questions], dtype=np.int64)
    counts = [np.bincount(section_Q[which], minlength=len(names)) for which in (correct_Q, covered_Q, slice(None))]
    return [SectionScore(name, *map(int, row)) for name, row in zip(names, np.transpose(counts), strict=True)]


def combine_scores(name: str, scores: Iterable[SectionScore]) -> SectionScore:
    """Sum the counts of several sections."""
    parts = list(scores)
    return SectionScore(
        name,
        sum(part.correct for part in parts),
        sum(part.covered for part in parts),
        sum(part.questions for part in parts),
    )


def is_syntactic(score: SectionScore) -> bool:
    """Return whether a section has questions about grammar."""
    return score.name.startswith(SYNTACTIC_PREFIX)


def _words(question: AnalogyQuestion) -> tuple[str, str, str, str]:
    return question.a, question.b, question.c, question.answer


def _find_question_words(
    questions: Sequence[AnalogyQuestion], vectors: WordVectors, words: Sequence[str], ignore_case: bool
) -> dict[str, int]:
    """Map the questions' words to indices. A word beyond the vocabulary limit is not replaced by a variant of it."""
    queried = (word for question in questions for word in _words(question))
    indices = find_words(queried, words, ignore_case)
    return {
        word: index for word, index in indices.items() if words[index].lower() == word.lower() or word not in vectors
    }


def _canonical_indices(words: Sequence[str], ignore_case: bool) -> NDArray[np.int64]:
    """Map each index to the first index of the same word, compared in lower case if case is ignored."""
    if not ignore_case:
        return np.arange(len(words))
    first: dict[str, int] = {}
    return np.array([first.setdefault(word.lower(), index) for index, word in enumerate(words)], dtype=np.int64)


def _is_correct(
    unit_VD: NDArray[np.float32], canonical_V: NDArray[np.int64], index_Q4: NDArray[np.int64]
) -> NDArray[np.bool]:
    """Compare the nearest word with the answer, for each question.

    Args:
        unit_VD: Normalized vectors.
        canonical_V: For each index, the first index of the same word.
        index_Q4: Indices of a, b, c and the answer.
    """
    size = max(1, MAX_BLOCK_SCORES // max(1, len(unit_VD)))
    scores_BV = np.empty((min(size, len(index_Q4)), len(unit_VD)), dtype=np.float32)
    correct_Q = np.zeros(len(index_Q4), dtype=bool)
    for start in range(0, len(index_Q4), size):
        block_B4 = index_Q4[start : start + size]
        a, b, c, answer = block_B4.T
        block_BV = np.matmul(unit_VD[b] - unit_VD[a] + unit_VD[c], unit_VD.T, out=scores_BV[: len(block_B4)])
        predicted_B = _argmax_excluding(block_BV, canonical_V, block_B4[:, :3])
        correct_Q[start : start + size] = predicted_B == canonical_V[answer]
    return correct_Q


def _argmax_excluding(
    scores_BV: NDArray[np.float32], canonical_V: NDArray[np.int64], excluded_B3: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the best word of each row, excluding three words in all their case variants; -1 if no word is left."""
    np.put_along_axis(scores_BV, excluded_B3, -np.inf, axis=1)
    excluded_B3 = canonical_V[excluded_B3]
    best_B = scores_BV.argmax(axis=1)
    open_B = np.arange(len(scores_BV))
    while len(open_B):  # repeat for the rows whose best word is an excluded one in another case
        best = best_B[open_B]
        is_excluded = (canonical_V[best][:, None] == excluded_B3[open_B]).any(axis=1)
        open_B, best = open_B[is_excluded], best[is_excluded]
        exhausted = scores_BV[open_B, best] == -np.inf
        scores_BV[open_B, best] = -np.inf
        best_B[open_B[exhausted]] = -1
        open_B = open_B[~exhausted]
        best_B[open_B] = scores_BV[open_B].argmax(axis=1)
    return np.where(best_B < 0, -1, canonical_V[best_B])
