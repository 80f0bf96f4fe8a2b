"""Buckets of n-grams, compared with fastText's package and with plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnkit.embeddings.vector_table import Subwords
from rnnkit.kernels.word_hashing import hash_ngrams

words = st.text(st.characters(codec="utf-8"), max_size=9)
lengths = st.tuples(st.integers(1, 4), st.integers(0, 3)).map(lambda pair: (pair[0], sum(pair)))


def ngrams(word: str, min_length: int, max_length: int) -> list[str]:
    """From left to right, shorter ones first, without single brackets."""
    wrapped = f"<{word}>"
    return [
        wrapped[begin : begin + length]
        for begin in range(len(wrapped))
        for length in range(min_length, max_length + 1)
        if begin + length <= len(wrapped) and (length > 1 or 0 < begin < len(wrapped) - 1)
    ]


def fnv(text: str) -> int:
    """FNV-1a with each byte sign-extended."""
    hashed = 2166136261
    for byte in text.encode():
        hashed = ((hashed ^ (byte - 256 if byte > 127 else byte)) * 16777619) % 2**32
    return hashed


@pytest.mark.parametrize(
    ("word", "rows"),
    [
        ("cat", [747, 973, 137, 31, 995, 106]),
        ("élan", [989, 708, 190, 480, 10, 828, 838, 816, 618, 280]),
        ("日本語", [587, 581, 609, 559, 923, 355]),
        ("a", [600]),
        ("", []),
    ],
)
def test_buckets_equal_fasttext(word: str, rows: list[int]) -> None:
    assert Subwords(3, 6, 1000).rows(word).tolist() == rows


@given(words, lengths, st.integers(1, 5000))
def test_buckets_are_hashes_of_character_ngrams(word: str, lengths: tuple[int, int], buckets: int) -> None:
    expected = [fnv(ngram) % buckets for ngram in ngrams(word, *lengths)]
    assert Subwords(*lengths, buckets).rows(word).tolist() == expected


@given(st.lists(words, max_size=5), lengths)
def test_table_concatenates_the_buckets_of_words(several: list[str], lengths: tuple[int, int]) -> None:
    subwords = Subwords(*lengths, buckets=101)
    starts, rows = subwords.table(several)
    assert len(starts) == len(several) + 1
    assert starts[-1] == len(rows)
    for word, begin, end in zip(several, starts[:-1], starts[1:], strict=True):
        assert rows[begin:end].tolist() == subwords.rows(word).tolist()


def test_repeats_are_kept() -> None:
    rows = Subwords(2, 2, 1000).rows("ababa").tolist()
    assert len(rows) == 6
    assert len(set(rows)) == 4


def test_dtypes() -> None:
    starts, hashes, lengths = hash_ngrams(["cat"], 3, 6)
    assert starts.dtype == np.int64
    assert hashes.dtype == np.uint32
    assert lengths.dtype == np.int32
    assert lengths.tolist() == [3, 4, 5, 3, 4, 3]
    assert Subwords(3, 6, 1000).rows("cat").dtype == np.int32
