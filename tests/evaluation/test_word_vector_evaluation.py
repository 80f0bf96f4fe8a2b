"""Spearman's correlation against its definition and SciPy's, analogies one by one, and the files of both."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.embeddings.vector_table import Subwords
from rnnkit.embeddings.vectors import WordVectors
from rnnkit.evaluation import word_vector_evaluation
from rnnkit.evaluation.word_vector_evaluation import (
    AnalogyQuestion,
    RatedPair,
    SectionScore,
    average_ranks,
    combine_scores,
    correlate,
    cosine,
    evaluate_analogies,
    is_syntactic,
    parse_pair,
    parse_pairs,
    parse_questions,
    spearman,
)
from rnnkit.text.lines import read_lines

WORDS = ["sun", "moon", "Rome", "rome", "naught"]
MATRIX_VD = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [5, 0, 1], [0, 0, 0]], dtype=np.float32)

NUMBERS = st.lists(st.tuples(st.integers(-4, 4), st.floats(-3, 3, width=16)), min_size=2, max_size=17)


def test_ranks_of_equal_values_are_shared() -> None:
    assert average_ranks([3.0, 1.0, 3.0, 7.0, 3.0]).tolist() == [3.0, 1.0, 3.0, 5.0, 3.0]
    assert average_ranks([2.0, 2.0]).tolist() == [1.5, 1.5]


def test_spearman_of_what_can_be_reckoned_by_hand() -> None:
    assert spearman([1, 2, 3], [10, 20, 70]) == 1
    assert spearman([1, 2, 3], [7, 2, 1]) == -1
    assert spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(
        1 - 6 * 4 / (5 * 24)
    )  # 1 - 6 sum d^2 / n(n^2 - 1)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0]])
def test_spearman_is_not_always_defined(values: list[float]) -> None:
    assert spearman(values, list(range(len(values)))) is None


@given(NUMBERS)
def test_spearman_equals_scipy_s(numbers: list[tuple[int, float]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = map(list, zip(*numbers, strict=True))
    ours = spearman(first, second)
    if ours is None:
        assert len(set(first)) == 1 or len(set(second)) == 1
    else:
        assert ours == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)


def test_cosine() -> None:
    one, other = MATRIX_VD[0], MATRIX_VD[1]
    assert cosine(one, other) == pytest.approx(0.5**0.5)
    assert cosine(one, MATRIX_VD[4]) == 0


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("love\tsex\t6.77", RatedPair("love", "sex", 6.77)),
        ("sun sunlight 50.000000", RatedPair("sun", "sunlight", 50)),
        ("love, sex, 6", RatedPair("love", "sex", 6)),
        ("gem;jewel;3.94", RatedPair("gem", "jewel", 3.94)),
        ("old\tnew\tA\t1.58\t2.72\t2", RatedPair("old", "new", 1.58)),
        ("New York\tcity\t-1e1", RatedPair("New York", "city", -10)),
        ('"tiger","cat",7.35', RatedPair("tiger", "cat", 7.35)),
        ('"tiger","cat","7,35"', RatedPair("tiger", "cat", 7.35)),
        ('"tiger";"cat";7,35', RatedPair("tiger", "cat", 7.35)),
        ('"tiger"\t"cat"\t7,35', RatedPair("tiger", "cat", 7.35)),
        ('"tiger", "cat", 7.35', RatedPair("tiger", "cat", 7.35)),
        ('"Washington, D.C.",city,7', RatedPair("Washington, D.C.", "city", 7)),
        ('"the ""big"" cat","a;b",7', RatedPair('the "big" cat', "a;b", 7)),
        ('5" disk\tfloppy\t9', RatedPair('5" disk', "floppy", 9)),
        ('"\tquote\t9', RatedPair('"', "quote", 9)),
        ("tiger;cat;7,35", RatedPair("tiger", "cat", 7.35)),
        ("tiger cat 7,35", RatedPair("tiger", "cat", 7.35)),
        ("tiger\tcat\t,5", RatedPair("tiger", "cat", 0.5)),
        ("tiger:cat:7.35", RatedPair("tiger", "cat", 7.35)),
        ("tiger   cat\t7.35", RatedPair("tiger", "cat", 7.35)),
        ("tiger    cat   7.35", RatedPair("tiger", "cat", 7.35)),
        ("a:b c:d 3", RatedPair("a:b", "c:d", 3)),
        (": family", None),
        ("word1\tword2\tHuman (mean)", None),
        ("alone\t\t7", None),
        ("a b", None),
        ("a b nan", None),
    ],
)
def test_lines_of_many_makers(line: str, pair: RatedPair | None) -> None:
    assert parse_pair(line) == pair


def test_a_header_and_comments_are_no_bad_lines() -> None:
    lines = ["# WordSim", "", "word1 word2 score", "a b 1", "# c d 2", "not a pair", "e f 3", "g h"]
    pairs, bad = parse_pairs(lines)
    assert [(pair.first, pair.rating) for pair in pairs] == [("a", 1), ("e", 3)]
    assert bad == [6, 8]


@pytest.mark.parametrize("layout", ["{0}\t{1}\t{2}\t{3}", "{0},{1},{2},{3}", '{0},"{1}","{2}",{3}', "{0} {1} {2} {3}"])
@pytest.mark.parametrize("header", [[], ["", "word1,word2,score"], [",word1,word2,score"], ["id\ta\tb\tmean"]])
@pytest.mark.parametrize("first", [0, 1, 4711])
def test_an_index_column_is_left_out(layout: str, header: list[str], first: int) -> None:
    expected = [RatedPair("tiger", "cat", 7.35), RatedPair("king", "queen", 8), RatedPair("a", "b", 1)]
    for count in (1, 2, 3):
        rows = [(first + n, pair.first, pair.second, pair.rating) for n, pair in enumerate(expected[:count])]
        assert parse_pairs([*header, *(layout.format(*row) for row in rows)]) == (expected[:count], [])


def test_numbers_that_are_words_are_no_index() -> None:
    pairs, bad = parse_pairs(["1 one 9", "2 two 8"])
    assert ([(pair.first, pair.second) for pair in pairs], bad) == ([("1", "one"), ("2", "two")], [])
    pairs, bad = parse_pairs(["1 one N 9", "dog cat N 8"])
    assert ([(pair.first, pair.second) for pair in pairs], bad) == ([("1", "one"), ("dog", "cat")], [])


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([("sun", "moon", 5)], "only one pair has vectors, and a correlation needs at least two"),
        ([("sun", "moon", 5), ("x", "y", 1)], "only one pair has vectors, and a correlation needs at least two"),
        (
            [("sun", "moon", 5), ("sun", "Rome", 5), ("Rome", "moon", 5)],
            "all 3 ratings are equal (5), so there is nothing to rank",
        ),
        ([("sun", "sun", 5), ("naught", "moon", 2), ("naught", "Rome", 1)], None),
        ([("naught", "moon", 2), ("naught", "Rome", 1)], "all 2 cosines are equal (0), so there is nothing to rank"),
        ([("x", "y", 1), ("x", "z", 2)], None),
    ],
)
def test_why_a_correlation_is_not_defined(pairs: list[tuple[str, str, float]], why: str | None) -> None:
    found = correlate([RatedPair(*pair) for pair in pairs], WordVectors.of(WORDS, MATRIX_VD))
    assert found.undefined == why
    assert found.as_dict().get("undefined") == why
    assert (found.spearman is None) == (why is not None or not found.used)


B2 = {"sinir": (1, 0), "sınır": (0.2, 1), "hudut": (0, 1), "masse": (0, -1), "maße": (-1, 0.1), "volumen": (-1, -0.1)}
EXACT = [
    RatedPair("sınır", "hudut", 9.5), RatedPair("sinir", "hudut", 1.0),
    RatedPair("maße", "volumen", 9.5), RatedPair("masse", "volumen", 1.0),
]  # fmt: skip


@pytest.mark.parametrize("order", [list(B2), list(reversed(B2))])
def test_a_pair_has_the_vectors_of_its_own_words(order: list[str]) -> None:
    vectors = WordVectors.of(order, np.array([B2[word] for word in order], dtype=np.float32))
    folded, exact = (correlate(EXACT, vectors, ignore_case) for ignore_case in (True, False))
    assert folded == exact
    assert exact.spearman is not None
    assert exact.spearman > 0.8


def test_pairs_without_vectors_are_left_out() -> None:
    vectors = WordVectors.of(WORDS, MATRIX_VD)
    pairs = [
        RatedPair("Sun", "moon", 9),
        RatedPair("sun", "Rome", 1),
        RatedPair("SUN", "sun", 10),
        RatedPair("x", "y", 1),
    ]
    found = correlate(pairs, vectors)
    assert (found.spearman, found.used, found.pairs, found.coverage) == (1.0, 3, 4, 0.75)
    strict = correlate(pairs, vectors, ignore_case=False)
    assert (strict.spearman, strict.used) == (None, 1)


def test_the_most_frequent_of_several_cases_counts() -> None:
    vectors = WordVectors.of(WORDS, MATRIX_VD)
    pairs = [RatedPair("sun", "ROME", 1), RatedPair("sun", "moon", 2)]  # the vector of Rome is far from the sun
    assert correlate(pairs, vectors).spearman == 1
    lower = [RatedPair("sun", "rome", 1), RatedPair("sun", "moon", 2)]
    assert correlate(lower, vectors, ignore_case=False).spearman == -1


def test_unseen_words_are_composed_where_that_is_asked_for() -> None:
    buckets = np.random.default_rng(7).normal(size=(5, 3)).astype(np.float32)
    vectors = WordVectors.of(WORDS, MATRIX_VD, None, Subwords(2, 3, 5), buckets)
    pairs = [RatedPair("sun", "sunny", 1), RatedPair("sun", "moon", 2), RatedPair("moonlight", "Sunny", 3)]
    assert correlate(pairs, vectors).used == 1
    assert correlate(pairs, vectors, unseen=True).used == 3


def test_a_file_without_known_words() -> None:
    found = correlate([RatedPair("x", "y", 1)], WordVectors.of(WORDS, MATRIX_VD))
    assert found.as_dict() == {"spearman": None, "used": 0, "pairs": 1, "coverage": 0.0}


def test_wordsim_353_is_read_whole() -> None:
    if "RNNKIT_CORPORA" not in os.environ:
        pytest.skip("RNNKIT_CORPORA names no folder of corpora")
    pairs, bad = parse_pairs(read_lines(Path(os.environ["RNNKIT_CORPORA"]) / "word-similarity" / "wordsim353.tsv"))
    assert (len(pairs), bad) == (353, [])


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
    monkeypatch.setattr(word_vector_evaluation, "MAX_BLOCK_SCORES", block)
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


ANALOGY_WORDS = ["king", "man", "woman", "queen", "King", "KING", "Queen"]
ANALOGY_VD = np.array(
    [[1, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0.7, 1.2], [0.3, 1, 1], [0.1, 1, 1], [0, 1, 1]], dtype=np.float32
)
QUESTION = AnalogyQuestion("family", "man", "king", "woman", "queen")


def test_other_cases_of_the_question_s_words_are_no_answers() -> None:
    """`KING` lies nearest but is a word of the question; `Queen` is nearer than `queen` and as good."""
    vectors = WordVectors.of(ANALOGY_WORDS, ANALOGY_VD)
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
    vectors = WordVectors.of(ANALOGY_WORDS, ANALOGY_VD)
    assert evaluate_analogies([QUESTION], vectors, 3) == [SectionScore("family", 0, 0, 1)]
    assert evaluate_analogies([QUESTION], vectors, 4) == [SectionScore("family", 1, 1, 1)]
    assert evaluate_analogies([QUESTION], vectors, 1000) == [SectionScore("family", 1, 1, 1)]


def test_an_answer_that_stands_in_the_question_is_never_right() -> None:
    vectors = WordVectors.of(ANALOGY_WORDS[:3], ANALOGY_VD[:3])
    assert evaluate_analogies([AnalogyQuestion("x", "man", "king", "woman", "woman")], vectors, 3) == [
        SectionScore("x", 0, 1, 1)
    ]


def test_nothing_to_ask() -> None:
    assert evaluate_analogies([], WordVectors.of(ANALOGY_WORDS, ANALOGY_VD), 7) == []


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
