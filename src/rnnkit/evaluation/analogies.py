"""Analogy questions: `Athens Greece Baghdad Iraq`, Athens is to Greece as Baghdad is to what?

Mikolov et al. 2013, arXiv:1301.3781. The answer is the word whose vector is nearest to b - a + c of the normalised
vectors (3CosAdd), the three words of the question left out. Counts are those of gensim's `evaluate_word_analogies`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnkit.embeddings.vectors import Vectors
from rnnkit.evaluation.word_similarity import find_words

SECTION = ":"
NO_SECTION = "(no section)"
SYNTACTIC_PREFIX = "gram"
"""How the names of sections about grammar begin; the others are about meaning."""

MAX_BLOCK_SCORES = 1 << 23
"""Most scores computed at a time, four bytes each."""


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
    """How many questions of a section, or of several, were answered rightly.

    Attributes:
        name: Of the section.
        correct: Questions answered rightly.
        asked: Questions whose four words all stand among the vectors looked at.
        questions: Questions in the file.
    """

    name: str
    correct: int
    asked: int
    questions: int

    @property
    def accuracy(self) -> float | None:
        """Share of right answers; None where nothing could be asked."""
        return self.correct / self.asked if self.asked else None

    @property
    def coverage(self) -> float:
        """Share of the questions that could be asked."""
        return self.asked / self.questions if self.questions else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The tally for JSON."""
        return {
            "name": self.name,
            "accuracy": self.accuracy,
            "correct": self.correct,
            "asked": self.asked,
            "questions": self.questions,
            "coverage": self.coverage,
        }


def parse_questions(lines: Iterable[str]) -> tuple[list[AnalogyQuestion], list[int]]:
    """The questions of a file, and the numbers of the lines that are neither a question, a section nor a comment."""
    questions: list[AnalogyQuestion] = []
    bad: list[int] = []
    section = NO_SECTION
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if line.startswith(SECTION):
            section = line.lstrip(SECTION).strip() or NO_SECTION
        elif len(words) == 4:
            questions.append(AnalogyQuestion(section, *words))
        elif words and not line.startswith("#"):
            bad.append(number)
    return questions, bad


def evaluate_analogies(
    questions: Sequence[AnalogyQuestion], vectors: Vectors, restrict: int, ignore_case: bool = True
) -> list[SectionScore]:
    """Ask the questions.

    Args:
        questions: All of them.
        vectors: The vectors on trial.
        restrict: Only so many of the most frequent words are looked at; a question with another word is not asked.
        ignore_case: Whether a word may stand in the vectors in another case than in the question (`find_rows`), and
            an answer in another case is as good.

    Returns:
        A tally for each section, in the order of the file.
    """
    words = vectors.words[:restrict]
    rows = _find(questions, vectors, words, ignore_case)
    asked = [[rows.get(word, -1) for word in _words(question)] for question in questions]
    rows_Q4 = np.array(asked, dtype=np.int64).reshape(-1, 4)
    known_Q = (rows_Q4 >= 0).all(axis=1)
    first_V = _same_words(words, ignore_case)
    correct_Q = np.zeros(len(questions), dtype=bool)
    correct_Q[known_Q] = _are_right(vectors.unit_rows(restrict), first_V, rows_Q4[known_Q])
    names = list(dict.fromkeys(question.section for question in questions))
    section_Q = np.array([names.index(question.section) for question in questions], dtype=np.int64)
    counts = [np.bincount(section_Q[which], minlength=len(names)) for which in (correct_Q, known_Q, slice(None))]
    return [SectionScore(name, *map(int, row)) for name, row in zip(names, np.transpose(counts), strict=True)]


def combine_scores(name: str, tallies: Iterable[SectionScore]) -> SectionScore:
    """Several tallies as one."""
    parts = list(tallies)
    return SectionScore(
        name,
        sum(part.correct for part in parts),
        sum(part.asked for part in parts),
        sum(part.questions for part in parts),
    )


def is_syntactic(tally: SectionScore) -> bool:
    """Whether a section is about grammar."""
    return tally.name.startswith(SYNTACTIC_PREFIX)


def _words(question: AnalogyQuestion) -> tuple[str, str, str, str]:
    return question.a, question.b, question.c, question.answer


def _find(
    questions: Sequence[AnalogyQuestion], vectors: Vectors, words: Sequence[str], ignore_case: bool
) -> dict[str, int]:
    """The rows of the questions' words. One that stands beyond the words looked at is not taken for another word."""
    asked = (word for question in questions for word in _words(question))
    rows = find_words(asked, words, ignore_case)
    return {word: row for word, row in rows.items() if words[row].lower() == word.lower() or word not in vectors}


def _same_words(words: Sequence[str], ignore_case: bool) -> NDArray[np.int64]:
    """For each row, the first row that counts as the same word: the same in lower case, where case is ignored."""
    if not ignore_case:
        return np.arange(len(words))
    first: dict[str, int] = {}
    return np.array([first.setdefault(word.lower(), row) for row, word in enumerate(words)], dtype=np.int64)


def _are_right(
    unit_VD: NDArray[np.float32], first_V: NDArray[np.int64], rows_Q4: NDArray[np.int64]
) -> NDArray[np.bool]:
    """Whether the nearest word is the answer.

    Args:
        unit_VD: Normalised vectors.
        first_V: For each row, the first row that counts as the same word.
        rows_Q4: Rows of a, b, c and the answer.
    """
    size = max(1, MAX_BLOCK_SCORES // max(1, len(unit_VD)))
    scores_BV = np.empty((min(size, len(rows_Q4)), len(unit_VD)), dtype=np.float32)
    right_Q = np.zeros(len(rows_Q4), dtype=bool)
    for start in range(0, len(rows_Q4), size):
        block_B4 = rows_Q4[start : start + size]
        a, b, c, answer = block_B4.T
        block_BV = np.matmul(unit_VD[b] - unit_VD[a] + unit_VD[c], unit_VD.T, out=scores_BV[: len(block_B4)])
        right_Q[start : start + size] = _best_others(block_BV, first_V, block_B4[:, :3]) == first_V[answer]
    return right_Q


def _best_others(
    scores_BV: NDArray[np.float32], first_V: NDArray[np.int64], left_out_B3: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The word with the highest score in each row, but for those left out in whatever case; -1 where none remains."""
    np.put_along_axis(scores_BV, left_out_B3, -np.inf, axis=1)
    left_out_B3 = first_V[left_out_B3]
    best_B = scores_BV.argmax(axis=1)
    open_B = np.arange(len(scores_BV))
    while len(open_B):  # again where the best is a word of the question in another case
        best = best_B[open_B]
        again = (first_V[best][:, None] == left_out_B3[open_B]).any(axis=1)
        open_B, best = open_B[again], best[again]
        exhausted = scores_BV[open_B, best] == -np.inf
        scores_BV[open_B, best] = -np.inf
        best_B[open_B[exhausted]] = -1
        open_B = open_B[~exhausted]
        best_B[open_B] = scores_BV[open_B].argmax(axis=1)
    return np.where(best_B < 0, -1, first_V[best_B])
