"""Bigram counts against `collections.Counter`; scores, joining, and phrase lists."""

from __future__ import annotations

import io
import math
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.raising import raises

from rnnkit.errors import DataError, FormatError
from rnnkit.text import phrase_detection
from rnnkit.text.phrase_detection import (
    Bigram,
    BigramCounts,
    BigramPhrase,
    PhraseList,
    default_score,
    find_phrases,
    npmi_score,
)

LINES = st.lists(st.lists(st.sampled_from(["a", "b", "c", "ab", "ü"]), max_size=7), max_size=9)


def counted(lines: list[list[str]], most: int = 1000) -> BigramCounts:
    counts = BigramCounts(most)
    for line in lines:
        counts.add(line)
    return counts


@given(LINES, st.integers(1, 3), st.sampled_from([1, 3, 7, 1000]))
def test_bigrams_equal_those_of_a_counter(lines: list[list[str]], least: int, buffer: int) -> None:
    words = Counter(word for line in lines for word in line)
    plain = Counter(pair for line in lines for pair in pairwise(line))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phrase_detection, "BUFFER_WORDS", buffer)
        counts = counted(lines)
        found = {(pair.first, pair.second): pair for pair in counts.frequent(least)}
    assert counts.words == words.total()
    assert (counts.dropped, counts.floor) == (0, 0)
    assert found == {
        (a, b): Bigram(a, b, count, words[a], words[b]) for (a, b), count in plain.items() if count >= least
    }


def test_the_rarest_bigrams_are_dropped_above_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrase_detection, "BUFFER_WORDS", 1)  # each line is counted at once
    counts = counted([["a", "b", "a", "b"], ["a", "c"], ["b", "c"]], most=2)
    # ab twice, ba, ac: one too many, so that both of count 1 go; bc comes after that
    assert {(pair.first, pair.second, pair.count) for pair in counts.frequent(1)} == {("a", "b", 2), ("b", "c", 1)}
    assert (counts.dropped, counts.floor) == (2, 1)
    assert counts.words == 8
    everything = {(pair.first_count, pair.second_count) for pair in counts.frequent(2)}
    assert everything == {(3, 3)}, "words are never forgotten"


NEW_YORK = BigramPhrase("new_york", "new", "york", 7, 12.5)
YORK_CITY = BigramPhrase("york_city", "york", "city", 5, 11.0)
BIG_APPLE = BigramPhrase("new_york_city", "new_york", "city", 5, 3.25)


def joined(text: str, *passes: tuple[BigramPhrase, ...]) -> str:
    return " ".join(PhraseList(passes).joiner()(text.split()))


def test_default_score_is_the_paper_s() -> None:
    assert default_score(Bigram("a", "b", 8, 10, 12), words=240, discount=5) == pytest.approx((8 - 5) / (10 * 12) * 240)
    assert default_score(Bigram("a", "b", 2, 4, 5), words=10, discount=0) == pytest.approx(1), "chance is one"


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), st.integers(1, 500))
def test_npmi_lies_between_minus_one_and_one(count: int, more_first: int, more_second: int, more: int) -> None:
    pair = Bigram("a", "b", count, count + more_first, count + more_second)
    words = pair.first_count + pair.second_count + more
    score = npmi_score(pair, words)
    assert -1 <= score <= 1 + 1e-12
    p_first, p_second, p_both = pair.first_count / words, pair.second_count / words, count / words
    assert score == pytest.approx(math.log(p_both / (p_first * p_second)) / -math.log(p_both), abs=1e-12)
    if not more_first and not more_second:
        assert score == pytest.approx(1), "two words that only occur together"


def test_phrases_above_the_threshold_by_descending_score() -> None:
    pairs = [Bigram("x", "y", 3, 3, 4), Bigram("a", "c", 3, 3, 3), Bigram("a", "b", 3, 3, 3), Bigram("z", "z", 1, 9, 9)]
    found = find_phrases(pairs, partial(default_score, words=36, discount=1), threshold=0, delimiter="+")
    assert [(phrase.joined, phrase.score) for phrase in found] == [("a+b", 8.0), ("a+c", 8.0), ("x+y", 6.0)]


def test_joining_is_left_to_right_pass_by_pass() -> None:
    first = (NEW_YORK, YORK_CITY)
    assert joined("in new york city", first) == "in new_york city"
    assert joined("york city new york", first) == "york_city new_york"
    assert joined("new york city new", first, (BIG_APPLE,)) == "new_york_city new"
    assert joined("new", first) == "new"
    assert joined("", first) == ""
    doubled = (BigramPhrase("a_a", "a", "a", 9, 9.0),)
    assert joined("a a a a a", doubled) == "a_a a_a a"


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    phrases = PhraseList(((NEW_YORK, YORK_CITY), (BIG_APPLE,)))
    file = io.StringIO()
    phrases.write(file)
    assert file.getvalue().splitlines()[2] == "new_york_city\t5\t3.25\t2\tnew_york city"
    path = tmp_path / "list.tsv"
    path.write_text(file.getvalue(), encoding="utf-8")
    assert PhraseList.load(path) == phrases
    assert len(phrases) == 3


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("new_york", "PHRASE<TAB>COUNT"),
        ("new_york\t7\t12.5\t1\tnew", "PHRASE<TAB>COUNT"),
        ("new_york\t7\t12.5\t1\tnew york city", "PHRASE<TAB>COUNT"),
        ("new york\t7\t12.5\t1\tnew york", "PHRASE<TAB>COUNT"),
        ("new_york\tx\t12.5\t1\tnew york", "x, 12.5, 1"),
        ("new_york\t7\t12.5\t0\tnew york", "7, 12.5, 0"),
    ],
)
def test_malformed_phrase_lists_are_refused(tmp_path: Path, row: str, value: str) -> None:
    path = tmp_path / "list.tsv"
    path.write_text(f"york_city\t5\t11\t1\tyork city\n{row}\n", encoding="utf-8")
    with raises(FormatError, f"{path}:2: ", value, path=path, line=2):
        PhraseList.load(path)


def test_a_missing_phrase_list(tmp_path: Path) -> None:
    with raises(DataError, path=tmp_path / "none.tsv"):
        PhraseList.load(tmp_path / "none.tsv")
