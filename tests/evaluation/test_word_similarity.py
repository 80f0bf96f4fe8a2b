"""Spearman's correlation against its definition and SciPy's, and the files of rated pairs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.embeddings.subwords import Subwords
from rnnkit.embeddings.vectors import Vectors
from rnnkit.evaluation.word_similarity import (
    RatedPair,
    average_ranks,
    correlate,
    cosine,
    parse_pair,
    parse_pairs,
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


def test_pairs_without_vectors_are_left_out() -> None:
    vectors = Vectors.of(WORDS, MATRIX_VD)
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
    vectors = Vectors.of(WORDS, MATRIX_VD)
    pairs = [RatedPair("sun", "ROME", 1), RatedPair("sun", "moon", 2)]  # the vector of Rome is far from the sun
    assert correlate(pairs, vectors).spearman == 1
    lower = [RatedPair("sun", "rome", 1), RatedPair("sun", "moon", 2)]
    assert correlate(lower, vectors, ignore_case=False).spearman == -1


def test_unseen_words_are_composed_where_that_is_asked_for() -> None:
    buckets = np.random.default_rng(7).normal(size=(5, 3)).astype(np.float32)
    vectors = Vectors.of(WORDS, MATRIX_VD, None, Subwords(2, 3, 5), buckets)
    pairs = [RatedPair("sun", "sunny", 1), RatedPair("sun", "moon", 2), RatedPair("moonlight", "Sunny", 3)]
    assert correlate(pairs, vectors).used == 1
    assert correlate(pairs, vectors, unseen=True).used == 3


def test_a_file_without_known_words() -> None:
    found = correlate([RatedPair("x", "y", 1)], Vectors.of(WORDS, MATRIX_VD))
    assert found.as_dict() == {"spearman": None, "used": 0, "pairs": 1, "coverage": 0.0}


def test_wordsim_353_is_read_whole() -> None:
    if "RNNKIT_CORPORA" not in os.environ:
        pytest.skip("RNNKIT_CORPORA names no folder of corpora")
    pairs, bad = parse_pairs(read_lines(Path(os.environ["RNNKIT_CORPORA"]) / "word-similarity" / "wordsim353.tsv"))
    assert (len(pairs), bad) == (353, [])
