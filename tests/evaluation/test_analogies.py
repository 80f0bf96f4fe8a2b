"""Analogies in blocks against the same one by one, and the cases in which words are one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rnnkit.embeddings.vectors import WordVectors
from rnnkit.evaluation import analogies
from rnnkit.evaluation.analogies import (
    AnalogyQuestion,
    SectionScore,
    combine_scores,
    evaluate_analogies,
    is_syntactic,
    parse_questions,
)
from rnnkit.text.lines import read_lines


def test_lines_of_a_file() -> None:
    lines = [
        ": capital-common",
        "Athens Greece Baghdad Iraq",
        "",
        "# a comment",
        "a b c",
        ": gram1",
        "1 2 3 4",
        "1 2 3 4 5",
    ]
    questions, bad = parse_questions(lines)
    assert questions == [
        AnalogyQuestion("capital-common", "Athens", "Greece", "Baghdad", "Iraq"),
        AnalogyQuestion("gram1", "1", "2", "3", "4"),
    ]
    assert bad == [5, 8]


def test_questions_before_any_section() -> None:
    questions, _ = parse_questions(["a b c d"])
    assert questions[0].section == "(no section)"


def one_by_one(questions: list[AnalogyQuestion], vectors: WordVectors, restrict: int) -> list[bool | None]:
    """The plain reference: whether each answer is right, None where a word is beyond the restriction."""
    known = set(vectors.words[:restrict])
    right: list[bool | None] = []
    for q in questions:
        if {q.a, q.b, q.c, q.answer} <= known:
            right.append(vectors.analogy([q.b, q.c], [q.a], 1, restrict)[0].word == q.answer)
        else:
            right.append(None)
    return right


@pytest.mark.parametrize("block", [1, 70, 1 << 20])
def test_blocks_equal_single_questions(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(analogies, "MAX_BLOCK_SCORES", block)
    random = np.random.default_rng(11)
    words = [f"w{number}" for number in range(35)]
    grid = random.normal(size=(7, 1, 5)) + random.normal(size=(1, 5, 5)) + 0.3 * random.normal(size=(7, 5, 5))
    vectors = WordVectors.of(words, grid.reshape(35, 5).astype(np.float32))
    drawn = random.integers(0, (7, 5), size=(150, 2)), random.integers(0, (7, 5), size=(150, 2))
    questions = [
        AnalogyQuestion(
            f"s{number % 3}", *(words[5 * row + column] for row, column in ((i, j), (i, m), (k, j), (k, m)))
        )
        for number, ((i, j), (k, m)) in enumerate(zip(*drawn, strict=True))
    ]
    expected = one_by_one(questions, vectors, 30)
    assert 20 < sum(answer is True for answer in expected) < 130
    assert None in expected
    for tally in evaluate_analogies(questions, vectors, 30, ignore_case=False):
        answers = [
            answer for question, answer in zip(questions, expected, strict=True) if question.section == tally.name
        ]
        known = [answer for answer in answers if answer is not None]
        assert (tally.correct, tally.covered, tally.questions) == (sum(known), len(known), len(answers))


WORDS = ["king", "man", "woman", "queen", "King", "KING", "Queen"]
MATRIX_VD = np.array(
    [[1, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0.7, 1.2], [0.3, 1, 1], [0.1, 1, 1], [0, 1, 1]], dtype=np.float32
)
QUESTION = AnalogyQuestion("family", "man", "king", "woman", "queen")


def test_other_cases_of_the_question_s_words_are_no_answers() -> None:
    """`KING` lies nearest but is a word of the question; `Queen` is nearer than `queen` and as good."""
    vectors = WordVectors.of(WORDS, MATRIX_VD)
    assert vectors.analogy(["king", "woman"], ["man"], 2)[0].word in ("KING", "Queen")
    assert evaluate_analogies([QUESTION], vectors, 7) == [SectionScore("family", 1, 1, 1)]
    assert evaluate_analogies([AnalogyQuestion("family", "MAN", "King", "WOMAN", "QUEEN")], vectors, 7) == [
        SectionScore("family", 1, 1, 1)
    ]
    assert evaluate_analogies([QUESTION], vectors, 7, ignore_case=False) == [SectionScore("family", 0, 1, 1)]


LETTERS = ["sinir", "sınır", "masse", "maße", "hudut", "volumen"]
TURKISH_VD = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [0.1, 1], [0.1, -1]], dtype=np.float32)


def test_letters_that_upper_case_makes_one_stay_two_words() -> None:
    vectors = WordVectors.of(LETTERS, TURKISH_VD)
    for ignore_case in (True, False):
        for a, b, c in (("masse", "hudut", "volumen"), ("sinir", "sınır", "masse"), ("maße", "sınır", "hudut")):
            answer = vectors.analogy([b, c], [a], 1)[0].word
            assert evaluate_analogies([AnalogyQuestion("x", a, b, c, answer)], vectors, 6, ignore_case) == [
                SectionScore("x", 1, 1, 1)
            ]


def test_a_word_beyond_the_restriction_is_not_taken_for_another() -> None:
    vectors = WordVectors.of(["a", "b", "sinir", "c", "sınır"], np.eye(5, dtype=np.float32))
    assert evaluate_analogies([AnalogyQuestion("x", "a", "b", "c", "sınır")], vectors, 4) == [
        SectionScore("x", 0, 0, 1)
    ]
    assert evaluate_analogies([AnalogyQuestion("x", "a", "b", "c", "SINIR")], vectors, 4)[0].covered == 1


def test_questions_beyond_the_restriction_are_not_asked() -> None:
    vectors = WordVectors.of(WORDS, MATRIX_VD)
    assert evaluate_analogies([QUESTION], vectors, 3) == [SectionScore("family", 0, 0, 1)]
    assert evaluate_analogies([QUESTION], vectors, 4) == [SectionScore("family", 1, 1, 1)]
    assert evaluate_analogies([QUESTION], vectors, 1000) == [SectionScore("family", 1, 1, 1)]


def test_an_answer_that_stands_in_the_question_is_never_right() -> None:
    vectors = WordVectors.of(WORDS[:3], MATRIX_VD[:3])
    assert evaluate_analogies([AnalogyQuestion("x", "man", "king", "woman", "woman")], vectors, 3) == [
        SectionScore("x", 0, 1, 1)
    ]


def test_nothing_to_ask() -> None:
    assert evaluate_analogies([], WordVectors.of(WORDS, MATRIX_VD), 7) == []


def test_sums_and_shares() -> None:
    parts = [SectionScore("family", 1, 4, 8), SectionScore("gram1-plural", 0, 0, 2)]
    both = combine_scores("total", parts)
    assert (both, both.accuracy, both.coverage) == (SectionScore("total", 1, 4, 10), 0.25, 0.4)
    assert parts[1].accuracy is None
    assert [is_syntactic(part) for part in parts] == [False, True]
    assert SectionScore("empty", 0, 0, 0).as_dict()["coverage"] == 0


def test_questions_words_is_read_whole() -> None:
    if "RNNKIT_CORPORA" not in os.environ:
        pytest.skip("RNNKIT_CORPORA names no folder of corpora")
    path = Path(os.environ["RNNKIT_CORPORA"]) / "word-analogy" / "questions-words.txt"
    questions, bad = parse_questions(read_lines(path))
    assert (len(questions), len({question.section for question in questions}), bad) == (19544, 14, [])
