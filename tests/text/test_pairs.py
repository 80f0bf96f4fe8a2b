"""Counts of neighbours against Python's own counter."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.text import phrase_detection
from rnnkit.text.phrase_detection import Bigram, BigramCounts

LINES = st.lists(st.lists(st.sampled_from(["a", "b", "c", "ab", "ü"]), max_size=7), max_size=9)


def counted(lines: list[list[str]], most: int = 1000) -> BigramCounts:
    counts = BigramCounts(most)
    for line in lines:
        counts.add(line)
    return counts


@given(LINES, st.integers(1, 3), st.sampled_from([1, 3, 7, 1000]))
def test_pairs_are_those_of_a_plain_count(lines: list[list[str]], least: int, buffer: int) -> None:
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


def test_the_rarest_pairs_go_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrase_detection, "BUFFER_WORDS", 1)  # each line is counted at once
    counts = counted([["a", "b", "a", "b"], ["a", "c"], ["b", "c"]], most=2)
    # ab twice, ba, ac: one too many, so that both of count 1 go; bc comes after that
    assert {(pair.first, pair.second, pair.count) for pair in counts.frequent(1)} == {("a", "b", 2), ("b", "c", 1)}
    assert (counts.dropped, counts.floor) == (2, 1)
    assert counts.words == 8
    everything = {(pair.first_count, pair.second_count) for pair in counts.frequent(2)}
    assert everything == {(3, 3)}, "words are never forgotten"
