"""The unigram cache against counting by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.evaluation.unigram_cache import UnigramCache


@given(st.lists(st.integers(0, 6), min_size=1, max_size=50), st.integers(1, 12), st.integers(1, 20))
def test_it_counts_the_last_tokens(words: list[int], size: int, length: int) -> None:
    cache, parts = UnigramCache(size), []
    for begin in range(0, len(words), length):
        piece = np.array(words[begin : begin + length], dtype=np.uint16)
        parts.append(cache.score(piece, np.full(len(piece), -9.0)))
    found = np.concatenate(parts)
    assert found[0] == -9.0
    for place in range(1, len(words)):
        seen = words[max(0, place - size) : place]
        assert np.isclose(np.exp(found[place]), Counter(seen)[words[place]] / len(seen))


def test_a_word_not_read_lately_is_impossible_by_counts() -> None:
    assert UnigramCache(2).score(np.array([5, 6, 7, 5]), np.zeros(4)).tolist() == [0.0, -np.inf, -np.inf, -np.inf]
